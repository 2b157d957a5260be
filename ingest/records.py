"""What an ingest reads from and writes to the database: erasures, access lists, quarantine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Engine

from app.core.config import Settings
from app.core.db import access, collections, quarantine
from app.core.db.engine import open_ledger, transaction
from ingest.origin import Origin
from ingest.reading import Reading


class Records:
    """One collection's rows."""

    def __init__(self, engine: Engine, collection: str) -> None:
        self._engine, self._collection = engine, collection

    def erased(self) -> frozenset[str]:
        """Return the ids of the documents that must stay away."""
        with transaction(self._engine, reads=True) as session:
            return access.erased(session, self._collection)

    def masked(self) -> frozenset[str]:
        """Return the ids of the erased documents that may still stand in files."""
        with transaction(self._engine, reads=True) as session:
            rows = access.erasures(session, self._collection)
        return frozenset(row.document_id for row in rows if row.receipt.get("state") != "removed")

    def named(self) -> frozenset[str]:
        """Return the revisions whose texts stored answers need."""
        with transaction(self._engine, reads=True) as session:
            return access.named_revisions(session)

    def lists(self) -> tuple[int, Mapping[str, frozenset[str] | None]]:
        """Return an epoch of the access lists, and lists that are at least as new."""
        with transaction(self._engine, reads=True) as session:
            standing = access.standing(session, self._collection)
            return standing.acl_epoch if standing else 0, access.readers(session, self._collection)

    def changed(self, epoch: int) -> frozenset[str]:
        """Return the documents whose access list changed after an epoch."""
        with transaction(self._engine, reads=True) as session:
            return frozenset(access.readers(session, self._collection, after=epoch))

    def refused(self, source: str) -> frozenset[str]:
        """Return the places of a source that were refused and not read since."""
        with transaction(self._engine, reads=True) as session:
            return frozenset(row.place for row in quarantine.listing(session, self._collection) if row.source == source)

    def note(self, origin: Origin, reading: Reading) -> None:
        """Enter the collection, who may read its documents, and what was refused of the source that was read last.

        Access lists bind before the documents are published: a new document is never readable without its list. What was refused
        before leaves the quarantine when the same place was read again, by whatever name, or the whole of what it came with.
        """
        target = origin.target
        with transaction(self._engine) as session:
            tenant = collections.add(session, self._collection, tenant="default").tenant
            access.set_readers(session, self._collection, reading.readers)
            rows = [
                quarantine.Entry(refusal.source, refusal.uri, refusal.code, refusal.message)
                for refusal in reading.refused
                if refusal.code != "erased"  # it was deleted on purpose: nothing to mend
            ]
            known = [row for row in quarantine.listing(session, self._collection) if row.source == origin.name]
            done = {row.place for row in known if origin.holds_all or row.target == target or row.place in reading.places}
            quarantine.enter(session, quarantine.Source(tenant, self._collection, origin.name, target), rows, only=done)

    def require(self, required: bool) -> None:
        """Say whether access lists bind."""
        with transaction(self._engine) as session:
            collections.add(session, self._collection, tenant="default")
            access.require(session, self._collection, required)

    def removed(self, documents: frozenset[str]) -> None:
        """Note in the receipts of erased documents that nothing of them is left in the collection's files."""
        with transaction(self._engine) as session:
            access.mark_removed(session, self._collection, documents)


@contextmanager
def opened(settings: Settings, collection: str) -> Iterator[Records]:
    """Open the database for an ingest.

    Raises:
        LedgerUnavailable: It can't be reached; what was erased is not known, so nothing may be indexed.
    """
    engine = open_ledger(settings)
    try:
        yield Records(engine, collection)
    finally:
        engine.dispose()
