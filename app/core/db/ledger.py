"""Queries on the ledger: answers, their content, model calls, feedback. Functions never commit: the caller does."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Insert, Table, bindparam, insert, update
from sqlmodel import Session, SQLModel, col, func, select

from app.core.db.tables import (
    METADATA,
    AnswerContentRow,
    AnswerPassageRow,
    AnswerRow,
    FeedbackRow,
    ModelCallRow,
)


def _table(model: type[SQLModel]) -> Table:
    return METADATA.tables[str(model.__tablename__)]


_INSERT: dict[type[SQLModel], Insert] = {
    model: insert(_table(model)) for model in (AnswerRow, AnswerContentRow, AnswerPassageRow, ModelCallRow)
}
_WHICH: BindParameter[str] = bindparam("which")
_CLOSE_ANSWER = update(_table(AnswerRow)).where(col(AnswerRow.id) == _WHICH)
_CLOSE_CONTENT = update(_table(AnswerContentRow)).where(col(AnswerContentRow.answer_id) == _WHICH)
_SETTLE = update(_table(ModelCallRow)).where(col(ModelCallRow.id) == _WHICH, col(ModelCallRow.state) == "pending")


class Stored(NamedTuple):
    """An answer with its content."""

    answer: AnswerRow
    content: AnswerContentRow


def enter(session: Session, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows by one plain statement, made once: through the ORM the rows of an answer cost four times as much."""
    if rows:
        session.connection().execute(_INSERT[table], list(rows))


def close_answer(session: Session, answer_id: str, **values: Any) -> None:
    """Set what is known of an answer once it ended."""
    session.connection().execute(_CLOSE_ANSWER, {"which": answer_id, **values})


def close_content(session: Session, answer_id: str, **values: Any) -> None:
    """Set what an answer said."""
    session.connection().execute(_CLOSE_CONTENT, {"which": answer_id, **values})


def settle(session: Session, call_id: str, **values: Any) -> None:
    """Turn a pending call into a settled or a released one; a call is settled once."""
    session.connection().execute(_SETTLE, {"which": call_id, **values})


def find(session: Session, answer_id: str) -> Stored | None:
    """Return an answer with its content."""
    answer, content = session.get(AnswerRow, answer_id), session.get(AnswerContentRow, answer_id)
    return Stored(answer, content) if answer and content else None


def calls(session: Session, answer_id: str) -> list[ModelCallRow]:
    """Return an answer's upstream attempts, in order."""
    query = select(ModelCallRow).where(col(ModelCallRow.answer_id) == answer_id)
    return list(session.exec(query.order_by(col(ModelCallRow.created_at), col(ModelCallRow.attempt))))


def passages(session: Session, answer_id: str) -> list[AnswerPassageRow]:
    """Return the passages an answer's model was shown, in the order of their numbers."""
    query = select(AnswerPassageRow).where(col(AnswerPassageRow.answer_id) == answer_id)
    return list(session.exec(query.order_by(col(AnswerPassageRow.n))))


def cited_at(session: Session, document_id: str, revision: str) -> bool:
    """Whether a stored answer's model was shown a document at a revision."""
    query = select(AnswerPassageRow.n).where(
        col(AnswerPassageRow.document_id) == document_id, col(AnswerPassageRow.revision) == revision
    )
    return session.exec(query.limit(1)).first() is not None


def recent(session: Session, limit: int) -> list[AnswerRow]:
    """Return the newest answers, newest first."""
    return list(session.exec(select(AnswerRow).order_by(col(AnswerRow.created_at).desc(), col(AnswerRow.id)).limit(limit)))


def pending(session: Session) -> int:
    """Return how many calls are reserved and not yet settled."""
    query = select(func.count()).select_from(ModelCallRow).where(col(ModelCallRow.state) == "pending")
    return int(session.exec(query).one())


def feedback_on(session: Session, answer_id: str) -> list[FeedbackRow]:
    """Return what was said of an answer, oldest first."""
    query = select(FeedbackRow).where(col(FeedbackRow.answer_id) == answer_id)
    return list(session.exec(query.order_by(col(FeedbackRow.created_at))))
