"""Questions, answers, feedback."""

import secrets
from asyncio import to_thread
from typing import Any

import orjson
from fastapi import APIRouter, Request
from sqlalchemy import Engine
from starlette.responses import Response, StreamingResponse

from app.answer import Answering, answer
from app.api.auth import Answers, GivesFeedback
from app.api.errors import documents, request_id
from app.api.schemas import AnswerBody, AnswerRequest, FeedbackBody, FeedbackRequest, UnfinishedBody
from app.api.stream import Running, first, frames, whole
from app.core.db import ledger
from app.core.db.engine import transaction
from app.core.db.tables import FeedbackRow
from app.core.errors import (
    BodyTooLarge,
    CollectionUnknown,
    FilterUnknown,
    IndexMissing,
    IndexUnusable,
    InvalidRequest,
    MalformedBody,
    ModelBadResponse,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
    ModelUnpriced,
    NotFound,
    QuestionEmpty,
    QuestionTooLong,
    ShuttingDown,
    SourceErased,
    UnsupportedMediaType,
)
from app.core.types import Caller
from app.events import dollars

router = APIRouter(tags=["answers"])

_BODY = (MalformedBody, BodyTooLarge, UnsupportedMediaType, InvalidRequest)
_ASKING = (
    *_BODY, CollectionUnknown, QuestionEmpty, QuestionTooLong, FilterUnknown, IndexMissing, IndexUnusable, ModelUnpriced,
    ModelUnavailable, ModelRejected, ModelBadResponse, ModelTimeout, ShuttingDown,
    SourceErased,
)  # fmt: skip
_EVENTS = {"text/event-stream": {"schema": {"description": "Server-sent events, with `stream: true`; see the handbook."}}}


@router.post(
    "/v1/answers",
    response_model=AnswerBody,
    responses={200: {"description": "An answer", "content": _EVENTS}, **documents(*_ASKING)},
    summary="Ask a question",
)
async def ask(body: AnswerRequest, request: Request, caller: Answers) -> Response:
    """Answer one question with checked citations; streamed as server-sent events when ``stream`` is true."""
    using: Answering = request.app.state.service.answering
    events = answer(body.ask(), caller=caller, using=using, request_id=request_id(request))
    running = Running(events, stopping=using.stopping, tasks=request.app.state.tasks)
    if body.stream:
        begun = await first(running, request)
        if begun is None:
            return Response(status_code=499)
        return StreamingResponse(frames(begun, running), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
    last = await whole(running, request)
    if last is None:  # the client is gone: nobody reads this
        return Response(status_code=499)
    if last.type == "answer.failed":
        failed = last.data["problem"]
        retry = {"Retry-After": str(failed["retry_after_s"])} if "retry_after_s" in failed else {}
        return Response(orjson.dumps(failed), failed["status"], headers=retry, media_type="application/problem+json")
    return Response(orjson.dumps(last.data["answer"]), media_type="application/json")


@router.get(
    "/v1/answers/{answer_id}",
    response_model=AnswerBody | UnfinishedBody,
    responses=documents(NotFound, SourceErased),
    summary="Show an answer",
)
async def show(answer_id: str, request: Request, caller: Answers) -> Response:
    """Show an answer as it was sent, or how far it came. It is shown to the key that asked, or to an administrator."""
    service = request.app.state.service
    stored = await to_thread(_find, service.engine, caller, answer_id)
    if stored.content.erased_at is not None:
        raise SourceErased("This answer used a document that was deleted: its text is gone, and its cost is kept.")
    if stored.content.body is not None:
        return Response(stored.content.body, media_type="application/json")
    running = service.answering.running.get(answer_id)
    shown: dict[str, Any] = {
        "id": answer_id,
        "object": "answer",
        "status": stored.answer.status,
        "answer": running.fold.text if running else stored.content.text,
        "problem": stored.content.problem,
        "cost_usd": dollars(stored.answer.cost_nano),
        "trace_id": stored.answer.trace_id,
        "created_at": stored.answer.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return Response(orjson.dumps(shown), media_type="application/json")


@router.post(
    "/v1/answers/{answer_id}/feedback",
    response_model=FeedbackBody,
    status_code=201,
    responses=documents(*_BODY, NotFound),
    summary="Rate an answer",
)
async def rate(answer_id: str, body: FeedbackRequest, request: Request, caller: GivesFeedback) -> FeedbackBody:
    """Store what a user thought of an answer."""
    return await to_thread(_rate, request.app.state.service.engine, caller, answer_id, body)


def _find(engine: Engine, caller: Caller, answer_id: str) -> ledger.Stored:
    with transaction(engine, reads=True) as session:
        stored = ledger.find(session, answer_id)
    asked_it = stored is not None and (stored.answer.key_id == caller.key_id or "admin" in caller.scopes)
    if stored is None or stored.answer.tenant != caller.tenant or not asked_it:
        raise NotFound("There is no such answer, or it is not yours to see.")
    return stored


def _rate(engine: Engine, caller: Caller, answer_id: str, body: FeedbackRequest) -> FeedbackBody:
    _find(engine, caller, answer_id)
    clean: dict[str, Any] = {name: value and value.replace("\0", "") for name, value in body.model_dump().items()}
    row = FeedbackRow(id="fb_" + secrets.token_hex(10), tenant=caller.tenant, answer_id=answer_id, key_id=caller.key_id, **clean)
    with transaction(engine) as session:
        session.add(row)
    return FeedbackBody(id=row.id, answer_id=answer_id, rating=body.rating, created_at=row.created_at)
