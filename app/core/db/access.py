"""Queries on who may read what, and on what was erased. A change raises the collection's epoch, which everything cached is keyed by."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam, update
from sqlmodel import Session, col, func, select

from app.core.db.tables import (
    AclRow,
    AnswerContentRow,
    AnswerPassageRow,
    AnswerRow,
    CollectionRow,
    ErasureRow,
    FeedbackRow,
)

EVERYONE = "*"
"""The principal that each caller has."""


class Standing(NamedTuple):
    """What each request reads of its collection: who may use it, and the epochs."""

    tenant: str
    visible_to_all: bool
    erasure_epoch: int
    acl_epoch: int
    acl_required: bool


_STANDING = sa.select(
    col(CollectionRow.tenant),
    col(CollectionRow.visible_to_all),
    col(CollectionRow.erasure_epoch),
    col(CollectionRow.acl_epoch),
    col(CollectionRow.acl_required),
).where(col(CollectionRow.name) == bindparam("name"))

_EPOCH = (
    sa.select(col(CollectionRow.erasure_epoch)).where(col(CollectionRow.name) == bindparam("name")).with_for_update(read=True)
)
"""Asked with each row of an answer, so made once, as the one above."""


def standing(session: Session, collection: str) -> Standing | None:
    """Return what a request must know of its collection; None when it was never entered."""
    found = session.connection().execute(_STANDING, {"name": collection}).first()
    return Standing(*found) if found else None


# --------------------------------------------------------------------------------------------- erasures


def erased(session: Session, collection: str) -> frozenset[str]:
    """Return the ids of the documents that are erased now."""
    query = select(ErasureRow.document_id).where(col(ErasureRow.collection) == collection, col(ErasureRow.restored_at).is_(None))
    return frozenset(session.exec(query))


def hit(session: Session, collection: str, since: int, documents: Iterable[str], answer_id: str) -> bool:
    """Whether an erasure after the epoch ``since`` hit an answer. Whoever deletes meanwhile waits for our commit.

    One of its documents is erased, or was, and is restored again: then the answer's rows, where they stood, were blanked.
    """
    epoch = session.connection().execute(_EPOCH, {"name": collection}).scalar()
    if epoch is None or epoch == since:
        return False
    blanked = select(AnswerContentRow.erased_at).where(col(AnswerContentRow.answer_id) == answer_id)
    return not erased(session, collection).isdisjoint(documents) or session.exec(blanked).first() is not None


_NOTHING: dict[str, Any] = {
    "question": "", "history": [], "rendered": None, "text": "", "body": None, "problem": None, "user": None, "filters": {},
}  # fmt: skip


class Blanked(NamedTuple):
    """How much an erasure took out of the books; money stays."""

    answers: int
    feedback: int


def erase(session: Session, collection: str, document_id: str) -> tuple[ErasureRow, Blanked]:
    """Ban a document from now on and blank what answers kept of it. Erasing it again gives the erasure that stands."""
    _raise(session, collection, CollectionRow.erasure_epoch)
    row = _standing_erasure(session, collection, document_id)
    if row is None:
        tenant = session.exec(select(CollectionRow.tenant).where(col(CollectionRow.name) == collection)).one()
        row = ErasureRow(id="ers_" + secrets.token_hex(10), tenant=tenant, collection=collection, document_id=document_id)
        session.add(row)
        session.flush()
    return row, _blank(session, document_id)


def restore(session: Session, collection: str, document_id: str) -> ErasureRow | None:
    """Lift the ban; None when there was none."""
    row = _standing_erasure(session, collection, document_id)
    if row is not None:
        _raise(session, collection, CollectionRow.erasure_epoch)
        row.restored_at = datetime.now(UTC)
        session.add(row)
        session.flush()
    return row


def receipt(session: Session, erasure_id: str, content: dict[str, Any]) -> None:
    """Keep what an erasure removed."""
    row = session.get(ErasureRow, erasure_id)
    if row is not None:
        row.receipt = content
        session.add(row)


def mark_removed(session: Session, collection: str, documents: frozenset[str]) -> None:
    """Say in the receipts of erased documents that they are in no file of the collection any more."""
    for row in erasures(session, collection):
        if row.document_id in documents and row.receipt.get("state") != "removed":
            row.receipt = {**row.receipt, "state": "removed", "removed_at": datetime.now(UTC).isoformat(timespec="seconds")}
            session.add(row)


def erasures(session: Session, collection: str) -> list[ErasureRow]:
    """Return the erasures that stand, oldest first."""
    query = select(ErasureRow).where(col(ErasureRow.collection) == collection, col(ErasureRow.restored_at).is_(None))
    return list(session.exec(query.order_by(col(ErasureRow.erased_at))))


def was_shown(session: Session, collection: str, document_id: str) -> bool:
    """Whether a stored answer's model was shown a document, and its text was not erased since."""
    query = (
        select(AnswerPassageRow.answer_id)
        .join(AnswerRow, col(AnswerRow.id) == col(AnswerPassageRow.answer_id))
        .join(AnswerContentRow, col(AnswerContentRow.answer_id) == col(AnswerPassageRow.answer_id))
        .where(
            col(AnswerPassageRow.document_id) == document_id,
            col(AnswerRow.collection) == collection,
            col(AnswerContentRow.erased_at).is_(None),
        )
    )
    return session.exec(query.limit(1)).first() is not None


def named_revisions(session: Session) -> frozenset[str]:
    """Return the revisions that stored answers name and that were not erased from them: their texts outlive the snapshots."""
    query = (
        select(AnswerPassageRow.revision)
        .join(AnswerContentRow, col(AnswerContentRow.answer_id) == col(AnswerPassageRow.answer_id))
        .where(col(AnswerContentRow.erased_at).is_(None))
        .distinct()
    )
    return frozenset(session.exec(query))


def _standing_erasure(session: Session, collection: str, document_id: str) -> ErasureRow | None:
    query = select(ErasureRow).where(
        col(ErasureRow.collection) == collection,
        col(ErasureRow.document_id) == document_id,
        col(ErasureRow.restored_at).is_(None),
    )
    return session.exec(query).first()


def blank(session: Session, answer_id: str) -> None:
    """Take what an answer was asked and said out of the books; its money stays."""
    session.connection().execute(
        update(AnswerContentRow)
        .where(col(AnswerContentRow.answer_id) == answer_id)
        .values(**_NOTHING, erased_at=datetime.now(UTC))
    )


def _blank(session: Session, document_id: str) -> Blanked:
    used = select(AnswerPassageRow.answer_id).where(col(AnswerPassageRow.document_id) == document_id)
    contents = session.connection().execute(
        update(AnswerContentRow)
        .where(col(AnswerContentRow.answer_id).in_(used), col(AnswerContentRow.erased_at).is_(None))
        .values(**_NOTHING, erased_at=datetime.now(UTC))
    )
    said = session.connection().execute(
        update(FeedbackRow).where(col(FeedbackRow.answer_id).in_(used)).values(comment=None, correct_answer=None, reason=None)
    )
    return Blanked(contents.rowcount, said.rowcount)


# ------------------------------------------------------------------------------------------ access lists


def readers(session: Session, collection: str, *, after: int = -1) -> dict[str, frozenset[str] | None]:
    """Return who may read each document whose list changed after an epoch; None: it has no list any more."""
    query = select(AclRow.document_id, AclRow.principals).where(col(AclRow.collection) == collection, col(AclRow.epoch) > after)
    return {document: None if found is None else frozenset(found) for document, found in session.exec(query)}


def set_readers(session: Session, collection: str, lists: Mapping[str, Sequence[str] | None]) -> int:
    """Set documents' lists (None takes one away); return how many are other than before. Nothing changes, no epoch rises."""
    known = readers(session, collection)
    new = {d: p for d, p in lists.items() if (None if p is None else frozenset(p)) != known.get(d)}
    if not new:
        return 0
    epoch = _raise(session, collection, CollectionRow.acl_epoch)
    tenant = session.exec(select(CollectionRow.tenant).where(col(CollectionRow.name) == collection)).one()
    for document, principals in new.items():
        row = session.get(AclRow, (collection, document)) or AclRow(
            tenant=tenant, collection=collection, document_id=document, epoch=epoch
        )
        row.principals = None if principals is None else sorted(set(principals))
        row.epoch, row.updated_at = epoch, datetime.now(UTC)
        session.add(row)
    session.flush()
    return len(new)


def require(session: Session, collection: str, required: bool) -> None:
    """Say whether access lists bind."""
    _raise(session, collection, CollectionRow.acl_epoch)
    session.connection().execute(update(CollectionRow).where(col(CollectionRow.name) == collection).values(acl_required=required))


def _raise(session: Session, collection: str, epoch: Any) -> int:
    """Raise an epoch; the row is ours until the commit."""
    session.connection().execute(update(CollectionRow).where(col(CollectionRow.name) == collection).values({epoch: epoch + 1}))
    return int(session.exec(select(func.coalesce(epoch, 0)).where(col(CollectionRow.name) == collection)).one())
