"""A run -> its rows: one short transaction before the model is called, one after; none is open between. Nothing here commits."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from sqlmodel import Session

from app.core.db import access, ledger
from app.core.db.tables import AnswerContentRow, AnswerPassageRow, AnswerRow, ModelCallRow
from app.core.errors import CitewellError, SourceErased
from app.core.types import Ask, Caller, Message, Nano, Passage
from app.events import Fold

ERASED = "A document that this answer used was deleted while it was being written. Ask again."


@dataclass
class Attempt:
    """One upstream attempt, as the books see it."""

    model: str
    price: str
    reserved_nano: Nano
    attempt: int = 1
    purpose: str = "answer"
    id: str = field(default_factory=lambda: "call_" + secrets.token_hex(10))
    state: str = "pending"
    outcome: str | None = None
    cost_nano: Nano = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False


@dataclass
class Run:
    """One answer on its way; grows from step to step."""

    ask: Ask
    caller: Caller
    request_id: str
    id: str = field(default_factory=lambda: "ans_" + secrets.token_hex(12))
    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    timings: dict[str, float] = field(default_factory=dict)
    fold: Fold = field(default_factory=Fold)
    nearest: float | None = None
    """The best cosine of what was found."""
    passages: tuple[Passage, ...] = ()
    messages: list[Message] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    status: str = "answered"
    abstained_because: str | None = None
    erasure_epoch: int = 0
    """The collection's, when its passages were looked up."""
    entered: bool = False
    """Whether its rows exist: they do once money may be spent."""

    @property
    def release(self) -> dict[str, str]:
        """The release as the answer shows it; empty before one is known."""
        shown: dict[str, str] = self.fold.head.get("release", {})
        return shown

    @property
    def today(self) -> date:
        """The day that the prompt names."""
        return self.ask.today or self.created_at.date()

    @property
    def created(self) -> str:
        """When it was asked, as the answer shows it."""
        return self.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def cost_nano(self) -> Nano:
        """What all attempts cost."""
        return sum(attempt.cost_nano for attempt in self.attempts)


def refused(session: Session, run: Run, error: CitewellError) -> None:
    """Enter a question that was refused before anything was called."""
    ended = {"status": "refused", "code": error.code, "finished_at": datetime.now(UTC)}
    ledger.enter(session, AnswerRow, [{**_answer(run), **ended}])
    ledger.enter(session, AnswerContentRow, [{**_content(run), "problem": error.problem(run.request_id)}])


def reserve(session: Session, run: Run) -> None:
    """Enter the answer as running, and its first attempt as pending with its worst case, before any byte goes upstream.

    Raises:
        SourceErased: A document that it was shown was deleted meanwhile: nothing may go to a model.
    """
    if _erased(session, run):
        raise SourceErased(ERASED)
    _enter(session, run, status="running")
    ledger.enter(session, ModelCallRow, [_call(run, attempt) for attempt in run.attempts])


def close(session: Session, run: Run, *, body: str | None = None, error: CitewellError | None = None) -> None:
    """Write how it ended: the answer, its content, and every attempt settled or released.

    Raises:
        SourceErased: It completed, and a document that it used was deleted meanwhile. Any other end is written without content.
    """
    erased = _erased(session, run)
    if erased and body is not None:
        raise SourceErased(ERASED)
    if not run.entered:
        _enter(session, run, status=run.status)
    for attempt in run.attempts:
        ledger.settle(
            session,
            attempt.id,
            state=attempt.state,
            outcome=attempt.outcome,
            cost_nano=attempt.cost_nano,
            prompt_tokens=attempt.prompt_tokens,
            completion_tokens=attempt.completion_tokens,
            cached_tokens=attempt.cached_tokens,
            estimated=attempt.estimated,
            settled_at=datetime.now(UTC),
        )
    ledger.close_answer(
        session,
        run.id,
        status=run.status,
        abstained_because=run.abstained_because,
        code=error.code if error else None,
        cost_nano=run.cost_nano,
        prompt_tokens=sum(attempt.prompt_tokens for attempt in run.attempts),
        completion_tokens=sum(attempt.completion_tokens for attempt in run.attempts),
        estimated=any(attempt.estimated for attempt in run.attempts),
        timings=run.timings,
        finished_at=datetime.now(UTC),
    )
    problem = error.problem(run.request_id) if error else None
    if erased:
        access.blank(session, run.id)
        ledger.close_content(session, run.id, problem=problem)
    else:
        ledger.close_content(session, run.id, text=run.fold.text, body=body, problem=problem)


def _erased(session: Session, run: Run) -> bool:
    used = [passage.chunk.document.document_id for passage in run.passages]
    return bool(used) and access.hit(session, run.ask.collection, run.erasure_epoch, used, run.id)


def _enter(session: Session, run: Run, *, status: str) -> None:
    ledger.enter(session, AnswerRow, [{**_answer(run), "status": status}])
    ledger.enter(session, AnswerContentRow, [_content(run)])
    ledger.enter(
        session,
        AnswerPassageRow,
        [
            {
                "tenant": run.caller.tenant,
                "answer_id": run.id,
                "n": passage.n,
                "document_id": passage.chunk.document.document_id,
                "revision": passage.chunk.document.revision,
                "start": passage.chunk.start,
                "end": passage.chunk.end,
                "score": passage.score,
            }
            for passage in run.passages
        ],
    )


def _answer(run: Run) -> dict[str, Any]:
    release = run.release
    return {
        "id": run.id,
        "tenant": run.caller.tenant,
        "key_id": run.caller.key_id,
        "collection": run.ask.collection,
        "release_id": release.get("id"),
        "arm": release.get("arm"),
        "prompt": release.get("prompt"),
        "snapshot": release.get("snapshot"),
        "model": release.get("model"),
        "status": run.status,
        "timings": run.timings,
        "request_id": run.request_id,
        "trace_id": run.trace_id,
        "created_at": run.created_at,
    }


def _content(run: Run) -> dict[str, Any]:
    return {
        "tenant": run.caller.tenant,
        "answer_id": run.id,
        "question": run.ask.question.replace("\0", ""),  # PostgreSQL's text holds no NUL; a refused question may
        "history": [{"role": turn.role, "content": turn.content} for turn in run.ask.messages],
        "today": run.today.isoformat(),
        "user": run.ask.user,
        "max_citations": run.ask.max_citations,
        "filters": dict(run.ask.filters),
        "rendered": [{"role": message.role, "content": message.content} for message in run.messages] or None,
    }


def _call(run: Run, attempt: Attempt) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "tenant": run.caller.tenant,
        "answer_id": run.id,
        "purpose": attempt.purpose,
        "model": attempt.model,
        "attempt": attempt.attempt,
        "state": attempt.state,
        "reserved_nano": attempt.reserved_nano,
        "price": attempt.price,
        "created_at": datetime.now(UTC),
    }
