"""A lock that every machine sees: PostgreSQL's own, held as long as a connection lives."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import LedgerUnavailable


@contextmanager
def held(engine: Engine, name: str) -> Iterator[bool]:
    """Take the lock of a name if nobody holds it; yields whether. It ends with its holder, however that ends.

    SQLite is on one machine, where a file's lock does the same: there it is always taken.

    Raises:
        LedgerUnavailable: The database can't be reached.
    """
    if engine.url.get_backend_name() != "postgresql":
        yield True
        return
    key = int.from_bytes(hashlib.sha256(f"citewell {name}".encode()).digest()[:8], signed=True)
    try:
        # Outside of a transaction: an ingest takes hours, and servers end sessions that idle in one.
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        taken = bool(connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar())
    except SQLAlchemyError as error:
        raise LedgerUnavailable("The database can't be reached, so nobody knows who else writes.", detail=str(error)) from error
    try:
        yield taken
    finally:
        with suppress(SQLAlchemyError):  # the session may have been lost meanwhile, and the lock with it
            if taken:  # by name: the server notices a closed session only a moment later
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
        connection.invalidate()  # whatever happened, no lock goes back into the pool
        connection.close()
