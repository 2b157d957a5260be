"""Queries on collections and their releases."""

from typing import NamedTuple

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from app.core.db.tables import CollectionRow, ReleaseRow


class Owner(NamedTuple):
    """Who may use a collection."""

    tenant: str
    visible_to_all: bool


_OWNER = select(CollectionRow.tenant, CollectionRow.visible_to_all).where(col(CollectionRow.name) == bindparam("name"))
"""Asked with each request."""


def owner(session: Session, name: str) -> Owner | None:
    """Return who may use a collection; None when it was never entered."""
    found = session.connection().execute(_OWNER, {"name": name}).first()
    return Owner(*found) if found else None


def add(session: Session, name: str, *, tenant: str) -> CollectionRow:
    """Enter a collection that was found among the indexes; another process may have been first."""
    row = session.get(CollectionRow, name)
    if row is None:
        row = CollectionRow(name=name, tenant=tenant)
        session.add(row)
        session.flush()
    return row


def visible(session: Session, tenant: str) -> list[CollectionRow]:
    """Return the collections a tenant may use, by name."""
    query = select(CollectionRow).where((col(CollectionRow.tenant) == tenant) | col(CollectionRow.visible_to_all))
    return list(session.exec(query.order_by(col(CollectionRow.name))))


def enter_release(session: Session, release: ReleaseRow) -> None:
    """Write a release's row once; it never changes."""
    if session.get(ReleaseRow, release.id) is None:
        session.add(release)
        session.flush()
