"""A suite -> scored cases, through the product itself: ingest into a collection of its own, ask, look at what came."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import orjson

from app.answer import answer
from app.core.config import Settings
from app.core.db import ledger
from app.core.db.engine import transaction
from app.core.errors import CitewellError
from app.core.snapshot import Snapshot
from app.core.types import LOCAL, Ask, Message
from app.model.gateway import Route
from app.model.local import LocalServer
from app.model.prices import open_book
from app.retrieve import Retriever
from app.wiring import Service, needs_local_server, open_service, route_of, start_local_server
from evals.cases import Case, read_cases
from evals.home import temporary_home
from evals.measure import cited, ndcg, overlaps_evidence, right, same_document, words
from evals.metrics import Scored
from evals.recordings import Player, Recorded, playing, read
from evals.suite import Suite
from ingest.build import build, silent
from ingest.reading import Progress

_DEPTH = 50
"""Chunks searched for nDCG@10: enough for ten different documents."""


@dataclass
class Result:
    """What a run of a suite found, and what it was run on."""

    suite: Suite
    model: str
    release: dict[str, str]
    scored: list[Scored] = field(default_factory=list)
    played: int = 0
    called: list[Recorded] = field(default_factory=list)
    """Answers that the real model gave in this run."""
    seconds: float = 0.0


def run(
    suite: Suite,
    settings: Settings,
    *,
    model: str | None = None,
    limit: int | None = None,
    live: bool = False,
    progress: Progress = silent,
) -> Result:
    """Score a suite.

    Its index is built anew in a temporary home, and so is its ledger, since nothing is spent. Live, money may be: then the rows go
    into the real ledger.

    Args:
        suite: What to ask.
        settings: The settings in force; the suite's pins go before them.
        model: Instead of the suite's model.
        limit: Only the first so many cases.
        live: Ask the real model every time, recorded before or not.
        progress: Told what is being done.

    Raises:
        CitewellError: Nothing could be asked: no cases, no documents, a setting that is wrong.
    """
    began = time.perf_counter()
    cases = read_cases(suite.cases)[:limit]
    with temporary_home(suite.settings(settings, model), real_ledger=live) as own:
        build(suite.documents, collection=_collection(suite), settings=own, exclude=suite.exclude, progress=progress)
        result = asyncio.run(_ask_all(suite, cases, own, live=live, progress=progress))
    result.seconds = round(time.perf_counter() - began, 3)
    return result


def _collection(suite: Suite) -> str:
    return "evals-" + "".join(char if char.isascii() and char.isalnum() else "-" for char in suite.name.lower())[:40]


async def _ask_all(suite: Suite, cases: list[Case], settings: Settings, *, live: bool, progress: Progress) -> Result:
    with _player(suite, settings, live=live) as player:
        async with open_service(settings, route=player.route if player else None) as service:
            serving = await service.live.serving(Ask("", _collection(suite)), LOCAL)
            result = Result(suite, settings.model, serving.release.shown("stable"))
            for case in cases:
                if player:
                    player.failed = None
                scored = await _score(case, suite, service, serving.retriever)
                if player and player.failed and scored.status is None:
                    code, message = player.failed
                    scored = replace(scored, code=code, message=message)
                result.scored.append(scored)
                progress("asking", 1, len(cases))
            if player:
                result.played, result.called = player.played, player.called
            return result


@contextmanager
def _player(suite: Suite, settings: Settings, *, live: bool) -> Iterator[Player | None]:
    """Play recordings in the model's place. The extractive model needs none: it is free, deterministic and always there."""
    if settings.model == "extractive":
        yield None
        return
    reach = _Reach(settings)
    known = {} if live else read(suite.name)
    player = Player(reach.name, known, reach if live or reach.is_free_and_local() else None, settings.call)
    with playing(player):
        yield player


class _Reach:
    """The real model of a suite; one that this machine serves itself is started by the first call that needs it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server: LocalServer | None = None
        self.name = settings.model
        if needs_local_server(settings):
            self.name = "citewell/" + settings.model.partition(":")[0]

    def is_free_and_local(self) -> bool:
        """Whether it may be called without being told to: it costs nothing, and no byte leaves this machine."""
        if needs_local_server(self._settings):
            return True
        host = urlsplit(self._settings.model_base_url or "").hostname
        try:
            price = open_book(self._settings).price(self.name)
        except CitewellError:
            return False
        return host in ("127.0.0.1", "::1", "localhost") and price.cost(10**9, 10**9) == 0

    def __call__(self) -> Route:
        if needs_local_server(self._settings) and self._server is None:
            self._server = start_local_server(self._settings)
        return route_of(self._settings, self._server)


async def _score(case: Case, suite: Suite, service: Service, retriever: Retriever) -> Scored:
    """Ask one question, and score what came."""
    body: dict[str, Any] | None = None
    problem: dict[str, Any] = {}
    answer_id = None
    turns = tuple(Message(turn.role, turn.content) for turn in case.messages)
    asked = Ask(case.question, _collection(suite), turns, today=suite.today)
    began = time.perf_counter()
    try:
        async for event in answer(asked, caller=LOCAL, using=service.answering, request_id=f"eval_{case.id}"):
            match event.type:
                case "answer.created":
                    answer_id = event.data["id"]
                case "answer.failed":
                    problem = event.data["problem"]
                case "answer.completed":
                    body = orjson.loads(orjson.dumps(event.data["answer"]))
    except CitewellError as refusal:
        problem = refusal.problem("")
    ms = round((time.perf_counter() - began) * 1000, 1)
    found = _retrieved(case, answer_id, service, retriever)
    if body is None:
        return Scored(case.id, case.answerable, None, problem["code"], problem["detail"], ms=ms, **found)
    return Scored(case.id, case.answerable, body["status"], ms=ms, **found, **_judged(case, body, retriever.snapshot))


def _judged(case: Case, body: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    said = body["status"] in ("answered", "degraded")
    good = case.answerable and said and right(body["answer"], case.answers)
    texts = {citation["revision"]: snapshot.texts.read(citation["revision"]) for citation in body["citations"]}
    supports = [claim["support"] for claim in body["claims"]]
    return {
        "words": len(words(body["answer"])),
        "right": good,
        "cited": good and cited(body["citations"], texts, [one.model_dump() for one in case.evidence]),
        "supported": sum(support in ("verbatim", "entailed") for support in supports),
        "unsupported": supports.count("unsupported"),
        "claims": len(supports),
        "answer": body["answer"],
    }


def _retrieved(case: Case, answer_id: str | None, service: Service, retriever: Retriever) -> dict[str, Any]:
    """Whether the model was given the evidence and what it cost, from the ledger's rows; and how documents were ranked."""
    with transaction(service.engine, reads=True) as session:
        rows = ledger.passages(session, answer_id) if answer_id else []
        stored = ledger.find(session, answer_id) if answer_id else None
    cost = {"cost_nano": stored.answer.cost_nano if stored else 0}
    if not case.evidence:
        return cost
    snapshot, evidence = retriever.snapshot, [one.model_dump() for one in case.evidence]
    hit = any(
        overlaps_evidence(document.uri, r.start, r.end, snapshot.texts.read(r.revision), evidence)
        for r in rows
        if (document := snapshot.document(r.document_id))
    )
    # A document is ranked by its best chunk. One that the case names and the index lacks still counts as relevant.
    uris = list(dict.fromkeys(hit.chunk.document.uri for hit in retriever.search(case.question, k=_DEPTH)))
    names = {one["document"] for one in evidence}
    ranked = [next((name for name in names if same_document(uri, name)), uri) for uri in uris]
    return {**cost, "hit": hit, "ndcg": round(ndcg(list(dict.fromkeys(ranked)), dict.fromkeys(names, 1.0)), 4)}
