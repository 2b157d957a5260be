"""Threads that ask the server all the while, each as someone, and keep what it said."""

import json
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from tests.serving import events_of
from tests.soak.library import Library, document_id
from tests.soak.model import Who
from tests.soak.world import PEOPLE

_KINDS = {"search": 40, "few": 14, "list": 10, "show": 14, "answer": 8, "stream": 8, "leave": 1, "again": 5}
"""How often each is asked, of a hundred."""


@dataclass
class Seen:
    """A request, and what came of it. Times are of the monotonic clock."""

    kind: str
    who: Who
    asked: dict[str, Any]
    began: float
    ended: float = 0.0
    status: int = 0
    """0: no response came."""
    body: Any = None
    """The JSON body; the events of a stream; what failed, where no response came."""
    earlier: "Seen | None" = None
    """The answer that is asked for again."""


@dataclass
class Clients:
    """Some threads. What they saw is put into ``seen``."""

    url: str
    keys: dict[str, str]
    library: Library
    seed: int
    threads: int = 3
    pause_s: float = 0.05
    seen: "queue.SimpleQueue[Seen]" = field(default_factory=queue.SimpleQueue)
    answers: "deque[Seen]" = field(default_factory=lambda: deque(maxlen=200))
    near: list[dict[str, Any]] = field(default_factory=list)
    """What a search found of late."""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Clients":
        for number in range(self.threads):
            thread = threading.Thread(target=self._ask, args=(Random(f"{self.seed}-{number}"),), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self, chance: Random) -> None:
        ways: dict[str, Callable[[httpx.Client, Random, Seen], None]] = {
            "search": self._search, "few": self._search, "list": self._list, "show": self._show, "answer": self._answer,
            "stream": self._stream, "leave": self._leave, "again": self._again,
        }  # fmt: skip
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self._stopping.is_set():
                (kind,) = chance.choices([*_KINDS], [*_KINDS.values()])
                seen = Seen(kind, chance.choice(PEOPLE), {}, time.monotonic())
                try:
                    ways[kind](client, chance, seen)
                except httpx.HTTPError as error:
                    seen.body = f"{type(error).__name__}: {error}"
                seen.ended = time.monotonic()
                self.seen.put(seen)
                self._stopping.wait(chance.expovariate(1 / self.pause_s))

    def _headers(self, seen: Seen) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[seen.who.name]}"}

    def _take(self, seen: Seen, response: httpx.Response) -> None:
        seen.status, seen.body = response.status_code, response.json()

    def _search(self, client: httpx.Client, chance: Random, seen: Seen) -> None:
        k = 100 if seen.kind == "search" else chance.choice((1, 2, 3, 5, 10))
        seen.asked = {"query": self._question(chance), "k": k}
        seen.began = time.monotonic()
        self._take(seen, client.post("/v1/search", json=seen.asked, headers=self._headers(seen)))
        if seen.kind == "search" and seen.status == 200:
            self.near = seen.body["hits"]

    def _list(self, client: httpx.Client, chance: Random, seen: Seen) -> None:
        seen.began = time.monotonic()
        self._take(seen, client.get("/v1/documents", params={"limit": 10_000}, headers=self._headers(seen)))

    def _show(self, client: httpx.Client, chance: Random, seen: Seen) -> None:
        known = [*self.library.uris.values()]
        near = [hit["uri"] for hit in self.near] or known  # of late, the newest before the library names it; others may be gone
        uri = chance.choice(near if chance.random() < 0.7 else known)
        seen.asked = {"uri": uri}
        seen.began = time.monotonic()
        self._take(seen, client.get(f"/v1/documents/{document_id(uri)}", headers=self._headers(seen)))

    def _answer(self, client: httpx.Client, chance: Random, seen: Seen) -> None:
        seen.asked = {"question": self._question(chance)}
        seen.began = time.monotonic()
        self._take(seen, client.post("/v1/answers", json=seen.asked, headers=self._headers(seen)))
        if seen.status == 200:
            self._keep(seen)

    def _stream(self, client: httpx.Client, chance: Random, seen: Seen) -> None:
        seen.asked = {"question": self._question(chance)}
        seen.began = time.monotonic()
        response = client.post("/v1/answers", json={**seen.asked, "stream": True}, headers=self._headers(seen))
        if response.headers["content-type"].startswith("text/event-stream"):
            seen.status, seen.body = response.status_code, events_of(response.text)
            if seen.body[-1]["type"] == "answer.completed":
                self._keep(seen)
        else:
            self._take(seen, response)

    def _leave(self, client: httpx.Client, chance: Random, seen: Seen) -> None:
        """Go away in the middle of a stream: its rows must be settled all the same."""
        seen.asked = {"question": self._question(chance)}
        body = {**seen.asked, "stream": True}
        with client.stream("POST", "/v1/answers", json=body, headers=self._headers(seen)) as response:
            seen.status = response.status_code
            next(response.iter_bytes(), None)

    def _again(self, client: httpx.Client, chance: Random, seen: Seen) -> None:
        """Ask for an answer as it stands in the books."""
        if not self.answers:
            return self._list(client, chance, seen)
        seen.earlier = chance.choice([*self.answers])
        seen.who = seen.earlier.who
        seen.began = time.monotonic()
        return self._take(seen, client.get(f"/v1/answers/{body_of(seen.earlier)['id']}", headers=self._headers(seen)))

    def _keep(self, seen: Seen) -> None:
        seen.ended = time.monotonic()
        self.answers.append(seen)

    def _question(self, chance: Random) -> str:
        """Ask for any text that ever was: deleted, changed and forbidden ones too."""
        version = chance.choice([*self.library.versions.values()])
        text = chance.choice(version.paragraphs)
        return f"When does {text[0].lower()}{text[1:].partition(' opens')[0]} open?"


def body_of(seen: Seen) -> dict[str, Any]:
    """Return the body of an answer that completed, streamed or not."""
    body: dict[str, Any] = seen.body if seen.kind == "answer" else seen.body[-1]["answer"]
    return body


def shown(seen: Seen) -> str:
    """Return a request and its response for a person."""
    said = json.dumps(seen.body, ensure_ascii=False)
    more = {"earlier": body_of(seen.earlier)} if seen.earlier else {}
    return f"{seen.kind} by {seen.who.name}: {json.dumps({**seen.asked, **more})}\n{seen.status} {said[:60000]}"
