"""Queries on what ingests refused."""

from collections.abc import Sequence, Set
from datetime import UTC, datetime
from typing import NamedTuple

from sqlmodel import Session, col, select

from app.core.db.tables import QuarantineRow


class Entry(NamedTuple):
    """Something that was refused."""

    place: str
    uri: str | None
    code: str
    message: str


class Source(NamedTuple):
    """Whence it came: the source's name, and what was ingested, to try it again."""

    tenant: str
    collection: str
    name: str
    target: str


def enter(session: Session, source: Source, refused: Sequence[Entry], *, only: Set[str] | None) -> None:
    """Enter what was refused of a source; what was looked at (all, or the places ``only``) and is not among it goes."""
    now = datetime.now(UTC)
    known = {row.place: row for row in listing(session, source.collection) if row.source == source.name}
    for entry in refused:
        row = known.pop(entry.place, None) or QuarantineRow(
            tenant=source.tenant,
            collection=source.collection,
            source=source.name,
            target=source.target,
            place=entry.place,
            first_seen=now,
            code="",
            message="",
        )
        row.target, row.uri, row.code, row.message, row.last_seen = source.target, entry.uri, entry.code, entry.message, now
        session.merge(row)
    for row in known.values():
        if only is None or row.place in only:
            session.delete(row)


def listing(session: Session, collection: str) -> list[QuarantineRow]:
    """Return what stands refused, by source and place."""
    query = select(QuarantineRow).where(col(QuarantineRow.collection) == collection)
    return list(session.exec(query.order_by(col(QuarantineRow.source), col(QuarantineRow.place))))
