"""Queries on collections and their releases."""

from sqlmodel import Session, col, select

from app.core.db.tables import CollectionRow, ReleaseRow


def add(session: Session, name: str, *, tenant: str) -> CollectionRow:
    """Enter a collection that was found among the indexes; another process may have been first."""
    row = session.get(CollectionRow, name)
    if row is None:
        row = CollectionRow(name=name, tenant=tenant)
        session.add(row)
        session.flush()
    return row


def every(session: Session) -> list[CollectionRow]:
    """Return all collections, by name."""
    return list(session.exec(select(CollectionRow).order_by(col(CollectionRow.name))))


def visible(session: Session, tenant: str) -> list[CollectionRow]:
    """Return the collections a tenant may use, by name."""
    query = select(CollectionRow).where((col(CollectionRow.tenant) == tenant) | col(CollectionRow.visible_to_all))
    return list(session.exec(query.order_by(col(CollectionRow.name))))


def enter_release(session: Session, release: ReleaseRow) -> None:
    """Write a release's row once; it never changes."""
    if session.get(ReleaseRow, release.id) is None:
        session.add(release)
        session.flush()
