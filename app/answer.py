"""The question path, whole: guard, retrieve, pack, prompt, (model, verify: a sentence at a time), record.

One generator of events. The JSON route sends the body of its last event, the streamed route sends them all; what can be
refused is refused (raised) before the first one.
"""

import asyncio
import time
from asyncio import to_thread
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
import structlog

from app import events, record
from app.core import telemetry
from app.core.config import Settings
from app.core.db.writer import Writer
from app.core.errors import CitewellError, InternalError, ModelBadResponse, ShuttingDown, SourceErased
from app.core.markers import strip
from app.core.sentences import Segmenter
from app.core.telemetry import step
from app.core.tokens import TokenCounter
from app.core.types import Ask, Caller, Citation, Passage, Warned
from app.events import Event
from app.expand import expand
from app.guard import admit
from app.model.gateway import Call, Parameters, Route
from app.model.prices import PriceBook
from app.pack import pack
from app.prompt import PromptVersion
from app.record import Attempt, Run
from app.release import Release
from app.retrieve import Questions, Readable, Retriever, condense
from app.verify import Checker


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one release needs to answer. Swapped whole; an answer keeps the one it began with."""

    release: Release
    retriever: Retriever
    prompt: PromptVersion
    route: Route
    parameters: Parameters
    arm: str


@dataclass(frozen=True, slots=True)
class Serving(Loaded):
    """The same for one request, with what its caller may be shown by the collection's row as it was when the request came."""

    readable: Readable
    erasure_epoch: int


@dataclass(frozen=True)
class Answering:
    """The live objects that questions need. Built in wiring.py."""

    settings: Settings
    writer: Writer
    questions: Questions
    prices: PriceBook
    count: TokenCounter
    serving: Callable[[Ask, Caller], Awaitable[Serving]]
    """The release that serves a question; raises when the caller may not see its collection, or nothing is live."""
    erased: Callable[[Run], Awaitable[bool]]
    """Whether a document that a run was shown was deleted since it began."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server stops: a cancelled answer then ends as failed, with its rows settled."""
    running: dict[str, Run] = field(default_factory=dict)
    """Answers on their way in this process, so that what was sent so far can be shown."""


async def answer(ask: Ask, *, caller: Caller, using: Answering, request_id: str) -> AsyncGenerator[Event, None]:
    """Answer one question.

    Yields:
        The events of the contract, the last one ``answer.completed`` or ``answer.failed``.

    Raises:
        CitewellError: Before the first event, when the question is refused: nothing was called.
    """
    run = Run(ask, caller, request_id)
    structlog.contextvars.bind_contextvars(request_id=request_id, answer=run.id)
    started = time.perf_counter()
    settings = using.settings
    try:
        with step("guard", run.timings):
            run.ask, notices = admit(ask, settings.limits, using.count)
        serving = await using.serving(run.ask, caller)
        run.erasure_epoch = serving.erasure_epoch
        price = using.prices.price(serving.route.name)
    except CitewellError as refusal:
        await _entered(using, run, record.refused, refusal)
        telemetry.ANSWERS.labels(run.ask.collection if refusal.status != 404 else "", "refused", refusal.code).inc()
        raise

    add = run.fold.add
    structlog.contextvars.bind_contextvars(release=serving.release.id)
    using.running[run.id] = run
    problem: CitewellError | None = None
    try:
        yield add(events.created(run.id, serving.release.shown(serving.arm), run.created))
        for notice in notices:
            yield add(events.warned(notice))

        with step("retrieve", run.timings, snapshot=serving.release.snapshot) as note:
            question = condense(run.ask.question, run.ask.messages)
            search = partial(serving.retriever.find, question, k=settings.retrieve.candidates, within=serving.readable)
            if serving.retriever.dense.waits:
                vector = await asyncio.wrap_future(using.questions.submit(question, lambda row: row.copy()))
                hits = await to_thread(search, vector)
            else:
                hits = await asyncio.wrap_future(using.questions.submit(question, search))
            run.nearest = max((hit.cosine for hit in hits), default=None)
            note(hits=len(hits), best=run.nearest or 0.0)

        with step("pack", run.timings, budget=serving.prompt.front.budget) as note:
            run.passages = pack(hits, budget=serving.prompt.front.budget, most=settings.pack.passages, count=using.count)
            if settings.pack.neighbours:
                run.passages = await to_thread(
                    expand,
                    run.passages,
                    serving.retriever.snapshot,
                    budget=serving.prompt.front.budget,
                    reach=settings.pack.neighbours,
                    count=using.count,
                )
            note(passages=len(run.passages))
        yield add(events.retrieved(run.passages))

        if run.passages:
            with step("prompt", run.timings, prompt=serving.prompt.ref):
                run.messages = serving.prompt.render(run.ask.question, run.passages, today=run.today, history=run.ask.messages)
            call = Call(serving.route, serving.parameters, run.messages, settings.call)
            run.attempts.append(Attempt(serving.route.name, price.sha256, call.worst_case(price)))
            try:
                with step("record", run.timings):
                    await _entered(using, run, record.reserve)
                async with aclosing(_write(call, run, serving, using)) as written:
                    async for event in written:
                        if event.type == "answer.delta" and not run.fold.text:
                            telemetry.FIRST_DELTA_SECONDS.observe(time.perf_counter() - started)
                        yield add(event)
            finally:
                _book(call, run.attempts[-1], price.cost(call.usage.prompt_tokens, call.usage.completion_tokens), run.timings)
        else:
            run.status, run.abstained_because = "abstained", "nothing_relevant"
            yield add(events.delta(serving.prompt.front.abstain))

        run.timings["total"] = round((time.perf_counter() - started) * 1000, 3)
        body = run.fold.body(
            status=run.status,
            confidence=None,
            abstained_because=run.abstained_because,
            usage=_usage(run),
            timings_ms=run.timings,
            trace_id=run.trace_id,
        )
        with step("record", answer=run.id, status=run.status, cost_nano=run.cost_nano):
            await _entered(using, run, record.close, body=orjson.dumps(body).decode())
        yield add(Event("answer.completed", {"answer": body}))
    except CitewellError as failed:
        telemetry.log.warning("answer", outcome=failed.code, detail=failed.detail or failed.message)
        problem = failed
    except GeneratorExit:  # nobody listens any more
        await _close(using, run, "cancelled", None)
        raise
    except asyncio.CancelledError:
        if not using.stopping.is_set():  # the client went away
            await _close(using, run, "cancelled", None)
            raise
        if (task := asyncio.current_task()) is not None:
            task.uncancel()  # the cancellation was ours, to interrupt the wait for the model
        problem = ShuttingDown("The server is stopping. Ask again in a moment.", retry_after_s=2)
    except Exception:  # a bug: the caller gets its id, the log the traceback, the books their row
        telemetry.log.exception("bug")
        problem = InternalError()
    finally:
        using.running.pop(run.id, None)
        _observe(run, time.perf_counter() - started, problem)
    if problem is not None:
        await _close(using, run, "failed", problem)
        yield Event("answer.failed", {"problem": problem.problem(request_id)})


async def _write(call: Call, run: Run, serving: Serving, using: Answering) -> AsyncGenerator[Event, None]:
    """The model's text, a sentence at a time: completed, verified, then sent."""
    checker = Checker(run.passages, max_citations=run.ask.max_citations)
    abstain = serving.prompt.front.abstain
    first = True
    async for unit in _units(call, run):
        if run.abstained_because:
            continue  # it said that it can't answer; what follows is read to its end, for the books, and not shown
        if run.ask.stream and await using.erased(run):  # unstreamed, nothing is sent before the books look
            raise SourceErased(record.ERASED)
        if first and _same(unit, abstain):
            run.status, run.abstained_because = "abstained", "model_abstained"
            for citation in _found(run.passages, run.ask.max_citations):
                yield events.cited(citation)
            yield events.delta(abstain)
            continue
        first = first and not unit.strip()
        with step("verify", run.timings) as note:
            checked = checker.check(unit)
            note(support=checked.claim.support if checked.claim else None, citations=len(checked.citations))
        for warning in checked.warnings:
            yield events.warned(warning)
        for citation in checked.citations:
            yield events.cited(citation)
        if checked.text:
            yield events.delta(checked.text)
        if checked.claim:
            yield events.claimed(checked.claim)
    if not run.fold.text.strip():
        raise ModelBadResponse("The model answered nothing that can be shown. Try again.")
    if call.truncated and not run.abstained_because:
        yield events.warned(Warned("answer_truncated", "The model reached its limit of tokens; the answer may lack its end."))


async def _units(call: Call, run: Run) -> AsyncGenerator[str, None]:
    segmenter = Segmenter()
    async with aclosing(call.pieces(stream=run.ask.stream)) as pieces:
        while True:
            with _timed(run.timings):
                piece = await anext(pieces, None)
            for unit in segmenter.finish() if piece is None else segmenter.feed(piece):
                yield unit
            if piece is None:
                break


class _timed:
    """Adds to the model's time; the one log line of a call is written when it is booked."""

    def __init__(self, timings: dict[str, float]) -> None:
        self._timings = timings

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = (time.perf_counter() - self._started) * 1000
        self._timings["model"] = round(self._timings.get("model", 0.0) + spent, 3)


def _same(unit: str, abstain: str) -> bool:
    """Whether a sentence is the abstain text, however the model dressed it."""

    def bare(text: str) -> str:
        return " ".join(strip(text).split()).strip(" .\"'“”*<>").casefold()

    return bare(unit) == bare(abstain)


def _found(passages: tuple[Passage, ...], most: int) -> list[Citation]:
    """What was found, for an answer that abstains: the passages by rank."""
    return [
        Citation(passage.n, passage.chunk, passage.chunk.start, passage.chunk.end, passage.chunk.text, passage.score)
        for passage in passages[:most]
    ]


def _book(call: Call, attempt: Attempt, cost: int, timings: dict[str, float]) -> None:
    """Put what a call used into the run's books; a provider that refused it charges nothing."""
    usage = call.usage
    attempt.state, attempt.outcome = ("settled" if call.billed else "released"), call.outcome
    attempt.prompt_tokens, attempt.completion_tokens = usage.prompt_tokens, usage.completion_tokens
    attempt.cached_tokens, attempt.estimated = usage.cached_tokens, usage.estimated
    attempt.cost_nano = cost if call.billed else 0
    ms = timings.get("model", 0.0)
    telemetry.STEP_SECONDS.labels("model").observe(ms / 1000)
    telemetry.log.info(
        "model",
        model=attempt.model,
        outcome=attempt.outcome,
        tokens=usage.prompt_tokens + usage.completion_tokens,
        cost_nano=attempt.cost_nano,
        ms=ms,
    )


def _usage(run: Run) -> dict[str, object]:
    prompt = sum(attempt.prompt_tokens for attempt in run.attempts)
    completion = sum(attempt.completion_tokens for attempt in run.attempts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost_usd": events.dollars(run.cost_nano),
        "estimated": any(attempt.estimated for attempt in run.attempts),
        "calls": [
            {
                "purpose": attempt.purpose,
                "model": attempt.model,
                "prompt_tokens": attempt.prompt_tokens,
                "completion_tokens": attempt.completion_tokens,
                "cached_tokens": attempt.cached_tokens,
                "cost_usd": events.dollars(attempt.cost_nano),
                "attempt": attempt.attempt,
                "outcome": attempt.outcome,
            }
            for attempt in run.attempts
        ],
    }


async def _close(using: Answering, run: Run, status: str, error: CitewellError | None) -> None:
    """Write the end of an answer that did not complete."""
    run.status = status
    try:
        await _entered(using, run, record.close, error=error)
    except CitewellError as lost:
        # Its pending row stands with the worst case reserved: nothing is lost, and the log says why it was not settled.
        telemetry.log.error("record", answer=run.id, outcome=lost.code, detail=lost.detail)


async def _entered(using: Answering, run: Run, write: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Have a run's rows written and wait for the commit, cancelled or not: its outcome must be known before the next."""
    done = asyncio.wrap_future(using.writer.submit(lambda session: write(session, run, *args, **kwargs)))
    try:
        await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait({done})
        raise
    finally:
        run.entered = run.entered or (done.done() and not done.cancelled() and done.exception() is None)


def _observe(run: Run, seconds: float, error: CitewellError | None) -> None:
    status = "failed" if error else run.status
    telemetry.ANSWERS.labels(run.ask.collection, status, error.code if error else "").inc()
    telemetry.ANSWER_SECONDS.labels(run.ask.collection).observe(seconds)
    if run.nearest is not None:
        telemetry.BEST_SCORE.labels(run.ask.collection).observe(run.nearest)
    for claim in run.fold.claims:
        telemetry.CLAIMS.labels(claim["support"]).inc()
    for attempt in run.attempts:
        telemetry.MODEL_CALLS.labels(attempt.model, attempt.purpose, attempt.outcome or "unknown").inc()
        telemetry.TOKENS.labels(attempt.model, "prompt").inc(attempt.prompt_tokens)
        telemetry.TOKENS.labels(attempt.model, "completion").inc(attempt.completion_tokens)
        telemetry.COST.labels(attempt.model, attempt.purpose).inc(attempt.cost_nano / 1e9)
