"""A real Chromium on the real app: one browser a file, a context a test, and no test passes with a fault on its console."""

import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect, sync_playwright

from app.core.config import Settings
from app.core.db import keys
from app.core.db.engine import open_ledger, transaction
from app.model.prices import open_book
from evals.upstream import Upstream
from tests.conftest import make_settings
from tests.serving import in_thread

CHROMIUM = Path("/usr/bin/chromium")
_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDE, PHONE = {"width": 1360, "height": 850}, {"width": 375, "height": 740}
TWO = "Audit logs are kept for 365 days on the Enterprise plan [1]. Other plans keep them for 30 days [1]."
"""What the fake provider says where a test needs two quotes of one page."""
SLOW = "Audit logs are kept for 365 days [1]. " + "Other plans keep them for 30 days [1]. " * 20
"""And where there is to be time before the end; it says four words a second."""


@dataclass
class Site:
    """A running app, and its settings."""

    url: str
    settings: Settings


@pytest.fixture(scope="module")
def browser(provider: Upstream) -> Iterator[Browser]:
    """One Chromium for a file, not for the session: while it runs, no other event loop can run in this thread.

    For the same reason ``provider``, which warms up in a loop of its own, comes first.
    """
    if not CHROMIUM.exists():
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium: apt-get install chromium")
        pytest.skip("Chromium is not installed (Debian: chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=_ARGS)
        yield launched
        launched.close()


@dataclass
class Watched:
    """Contexts of one test; what went wrong on their pages."""

    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def page(self, url: str = "", *, expects: tuple[str, ...] = (), **options: Any) -> Page:
        """Open a page. ``expects``: what its console may say, as it does of each HTTP status from 400 on."""
        context = self.browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
        self.contexts.append(context)
        context.route(re.compile(r"^(?!http://127\.0\.0\.1:|data:|blob:)"), lambda route: route.abort())
        page = context.new_page()

        def heard(message: ConsoleMessage) -> None:
            if "Content Security Policy" in message.text:
                self.faults.append(message.text)
            elif message.type == "error" and not any(words in message.text for words in expects):
                self.faults.append(f"{message.text} ({message.location.get('url')})")

        page.on("console", heard)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        if url:
            page.goto(url)
        return page


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    found = Watched(browser)
    yield found
    for context in found.contexts:
        context.close()
    assert found.faults == []


# All sites live until the session ends: the pool of connections to models is one a process, and an app that stops closes it.


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, indexed: Path) -> Iterator[Site]:
    """The small corpus and the model without a key."""
    made = make_settings(tmp_path_factory.mktemp("web") / "home", cache_dir, CITEWELL_INDEXES_DIR=str(indexed))
    with in_thread(made) as client:
        yield Site(str(client.base_url).rstrip("/"), made)


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, indexed: Path) -> Iterator[tuple[Site, str, str, str]]:
    """A site that needs a key; one that may do all, one that may only answer, and one that may not even that."""
    made = make_settings(tmp_path_factory.mktemp("locked") / "home", cache_dir, CITEWELL_INDEXES_DIR=str(indexed))
    engine = open_ledger(made)
    with transaction(engine) as session:
        full = keys.create(session, tenant="a", scopes=["answer", "feedback", "documents"])[1]
        bare = keys.create(session, tenant="a", scopes=["answer"])[1]
        other = keys.create(session, tenant="a", scopes=["search"])[1]
    engine.dispose()
    with in_thread(made) as client:
        yield Site(str(client.base_url).rstrip("/"), made), full, bare, other


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[Site]:
    """A site before any index."""
    made = make_settings(tmp_path_factory.mktemp("bare") / "home", cache_dir)
    with in_thread(made) as client:
        yield Site(str(client.base_url).rstrip("/"), made)


Serve = Callable[..., Site]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, indexed: Path, provider: Upstream) -> Iterator[Serve]:
    """Serve with the fake provider behaving as asked; one server for each behaviour, kept for the session."""
    kept: dict[str, tuple[Any, Site]] = {}

    def served(behaviour: str) -> Site:
        if behaviour not in kept:
            made = make_settings(
                tmp_path_factory.mktemp(behaviour) / "home", cache_dir, CITEWELL_INDEXES_DIR=str(indexed), CITEWELL_MODEL="openai/fake",
                CITEWELL_MODEL_BASE_URL=provider.url(behaviour), CITEWELL_MODEL_API_KEY="sk-none", CITEWELL_CALL__TOTAL_S="20",
            )  # fmt: skip
            open_book(made).set("openai/fake", input=Decimal(1), output=Decimal(2), since=date(2026, 1, 1))
            running = in_thread(made)
            client = running.__enter__()
            kept[behaviour] = (running, Site(str(client.base_url).rstrip("/"), made))
        return kept[behaviour][1]

    yield served
    for running, _ in kept.values():
        running.__exit__(None, None, None)


def ask(page: Page, question: str, state: str = "answered") -> None:
    """Ask by keyboard and wait until the newest answer is in a state."""
    page.fill("#question", question)
    page.press("#question", "Enter")
    newest = page.locator(".answer:last-child")
    newest.and_(page.locator(":not([data-state=loading], [data-state=streaming])")).wait_for(timeout=20_000)
    expect(newest, newest.inner_text()).to_have_attribute("data-state", state)


def marked(page: Page) -> str:
    """The highlighted text of the source pane."""
    page.wait_for_selector("#source-text mark")
    return str(page.evaluate("[...document.querySelectorAll('#source-text mark')].map((m) => m.textContent).join('')"))


def module(page: Page, name: str) -> str:
    """The address of one of the page's modules, to be imported in it."""
    return str(page.evaluate("document.querySelector('script[type=module]').src")).replace("app.js", name)


# ------------------------------------------------------------------------------------------ answers that no server here gives


def sse(*events: dict[str, Any]) -> str:
    """A stream as the service writes it."""
    lines = [{**event, "seq": seq, "t_ms": 1.0} for seq, event in enumerate(events)]
    return "".join(f"event: {e['type']}\nid: {e['seq']}\ndata: {json.dumps(e)}\n\n" for e in lines)


def body(text: str, citations: list[dict[str, Any]], claims: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """An answer's body."""
    return {
        "id": "ans_0123456789abcdef", "object": "answer", "status": "answered", "answer": text, "citations": citations, "claims": claims,
        "confidence": None, "abstained_because": None, "guardrails": [], "warnings": [], "trace_id": "t1", "created_at": "2026-11-24T10:00:00Z",
        "release": {"id": "rel_0123456789abcdef", "arm": "stable", "prompt": "answer@1", "snapshot": "snap_1", "model": "openai/fake"},
        "usage": {"prompt_tokens": 90, "completion_tokens": 9, "total_tokens": 99, "cost_usd": 0.000108, "estimated": True, "calls": [
            {"purpose": "answer", "model": "openai/first", "prompt_tokens": 40, "completion_tokens": 0, "cached_tokens": 0, "cost_usd": 0, "attempt": 1, "outcome": "timeout"},
            {"purpose": "answer", "model": "openai/fake", "prompt_tokens": 50, "completion_tokens": 9, "cached_tokens": 0, "cost_usd": 0.000108, "attempt": 2, "outcome": "ok"}]},
        "timings_ms": {"guard": 0.6, "retrieve": 9.1, "pack": 0.4, "prompt": 0.2, "model": 840.0, "verify": 6.0, "record": 1.1, "total": 858.0},
        **more,
    }  # fmt: skip


def citation(n: int, quote: str, start: int, **more: Any) -> dict[str, Any]:
    return {
        "n": n, "document_id": "doc_1", "revision": "r1", "chunk_id": "c1", "title": "Retention", "uri": "corpus/retention.md",
        "heading": ["Retention", "Logs"], "page": None, "start": start, "end": start + len(quote), "quote": quote, "score": 0.83,
        "answer_spans": [], **more,
    }  # fmt: skip


def claim(text: str, part: str, support: str, *numbers: int) -> dict[str, Any]:
    start = text.index(part)
    return {"text": part, "start": start, "end": start + len(part), "citations": list(numbers), "support": support, "score": 0.9}


def streamed(answer: dict[str, Any], *, upto: int | None = None) -> str:
    """The stream that ends in ``answer``, or its first events."""
    events: list[dict[str, Any]] = [
        {"type": "answer.created", "id": answer["id"], "release": answer["release"], "created_at": answer["created_at"]},
        *({"type": "warning.added", "warning": w} for w in answer["warnings"]),
        {"type": "answer.rerouted", "note": "an event this page does not know"},
        {"type": "retrieval.completed", "passages": [{"title": "Retention", "uri": "corpus/retention.md", "document_id": "doc_1", "heading": [], "score": 0.83}]},
        *({"type": "citation.added", "citation": c} for c in answer["citations"]),
        {"type": "answer.delta", "text": answer["answer"]},
        *({"type": "claim.verified", "claim": c} for c in answer["claims"]),
        {"type": "answer.completed", "answer": answer},
    ]  # fmt: skip
    return sse(*events[:upto])


def problem(code: str, status: int, detail: str, **more: Any) -> dict[str, Any]:
    title = code.replace("_", " ").capitalize()
    return {"type": f"/handbook/errors#{code}", "title": title, "status": status, "detail": detail, "code": code, "request_id": "req_1", "retryable": False, **more}  # fmt: skip


def answers_with(page: Page, *, stream: str = "", refusal: dict[str, Any] | None = None) -> None:
    """Answer this page's next questions with a stream or a refusal."""

    def fulfil(route: Route) -> None:
        if refusal:
            route.fulfill(status=refusal["status"], content_type="application/problem+json", body=json.dumps(refusal))
        else:
            route.fulfill(status=200, content_type="text/event-stream", body=stream)

    page.unroute("**/v1/answers")
    page.route("**/v1/answers", fulfil)


# ------------------------------------------------------------------------------------------ a line that breaks


@dataclass
class Line:
    """A way to the app that breaks where a stream says ``cut_before``."""

    url: str
    cut_before: bytes = b""


@contextmanager
def line_to(site: Site) -> Iterator[Line]:
    """Forward bytes between the browser and the app, on a port of its own."""
    port = int(site.url.rpartition(":")[2])
    listening = socket.create_server(("127.0.0.1", 0))
    line = Line(f"http://127.0.0.1:{listening.getsockname()[1]}")
    open_ones: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket, *, watch: bool) -> None:
        try:
            while data := source.recv(65536):
                if watch and line.cut_before and line.cut_before in data:
                    target.sendall(data[: data.index(line.cut_before)])
                    break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", port))
            open_ones.extend((near, far))
            for source, target, watch in ((near, far, False), (far, near, True)):
                threading.Thread(target=pump, args=(source, target), kwargs={"watch": watch}, daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield line
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(5)
    for end in open_ones:
        end.close()
