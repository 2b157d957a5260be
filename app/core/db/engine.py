"""Opening the database, and bringing its schema up to date."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError
from sqlmodel import Session, create_engine

from app.core.config import Settings
from app.core.errors import LedgerUnavailable, Misconfigured

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0002"
"""The newest migration; a test compares it with the folder, so that starting needs no Alembic."""


def open_engine(url: str) -> Engine:
    """Return an engine whose transactions lose no update.

    Raises:
        Misconfigured: The URL is none, or its driver is not installed.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            if parsed.database and parsed.database != ":memory:":
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            # As many as threads may ask: one that the pool does not keep is opened and prepared again each time, 2 ms of CPU.
            engine = create_engine(url, json_serializer=_json, pool_size=40)
            _harden_sqlite(engine)
            return engine
        return create_engine(url, json_serializer=_json, pool_pre_ping=True, pool_size=10, max_overflow=20)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise Misconfigured(
            "CITEWELL_DATABASE_URL is no database URL, or its driver is missing: `postgresql+psycopg://…` needs `citewell[postgres]`.",
            detail=str(error),
        ) from None


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _harden_sqlite(engine: Engine) -> None:
    """Begin each transaction with the write lock: sqlite3's defaults lost 388 of 800 concurrent updates, in silence."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # or sqlite3 decides by itself when a transaction starts
        # WAL with NORMAL survives a killed process; FULL also keeps the last commits over a power cut: money wants that.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            connection.execute("PRAGMA " + pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # A reader must not queue behind the writers, and needs no lock in WAL mode.
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def transaction(engine: Engine, *, reads: bool = False) -> Iterator[Session]:
    """One short unit of work: committed at the end, rolled back on any error.

    Args:
        engine: The database.
        reads: It will only read, so it takes no write lock.

    Raises:
        LedgerUnavailable: The database can't be reached or written.
    """
    bind = engine.execution_options(reads=True) if reads else engine
    try:
        with Session(bind, expire_on_commit=False) as session, session.begin():
            yield session
    except (OperationalError, DBAPIError) as error:
        raise LedgerUnavailable(
            "The ledger can't be written, so nothing was called. Try again shortly; `citewell doctor` says what is wrong.",
            detail=f"{type(error).__name__}: {error.orig}",
            retry_after_s=2,
        ) from error


def revision(engine: Engine) -> str | None:
    """Return the migration the database is at; None when it is empty.

    Raises:
        LedgerUnavailable: It can't be reached.
    """
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return None if found is None else str(found)
    except SQLAlchemyError as error:
        raise LedgerUnavailable(
            "The database can't be reached. Check CITEWELL_DATABASE_URL and that the server runs.", detail=str(error)
        ) from error


def migrate(engine: Engine) -> tuple[str | None, str]:
    """Bring the schema to the newest migration; return where it was and where it is.

    SQLite can't roll back a schema change that failed half-way, so its file is copied first and put back.
    """
    before = revision(engine)
    if before == HEAD:
        return before, HEAD
    path = engine.url.database if engine.url.get_backend_name() == "sqlite" else None
    copy = Path(f"{path}.before-{HEAD}") if path and before else None
    if copy and path:
        _copy(path, str(copy))
    try:
        _upgrade(engine)
    except Exception:  # whatever failed, the file goes back as it was, and the error goes on
        if copy and path:
            engine.dispose()
            _copy(str(copy), path)
        raise
    finally:
        if copy:
            copy.unlink(missing_ok=True)
    return before, HEAD


def _copy(source: str, target: str) -> None:
    """Copy a SQLite database whole, with what still stands in its write-ahead log."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def _upgrade(engine: Engine) -> None:
    from alembic import command  # slow to import, and needed once in a database's life
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = engine
    command.upgrade(config, "head")


def open_ledger(settings: Settings) -> Engine:
    """Open the database with its schema up to date: SQLite is migrated here, PostgreSQL only by ``citewell migrate``.

    Raises:
        Misconfigured: The schema is older, or newer, than this version knows.
        LedgerUnavailable: The database can't be reached.
    """
    engine = open_engine(settings.database_url)
    try:
        found = revision(engine)
        if found == HEAD:
            return engine
        if engine.url.get_backend_name() == "sqlite":
            settings.home.mkdir(parents=True, exist_ok=True)
            with (settings.home / "migrate.lock").open("w") as held:  # one process migrates, the others wait and find it done
                fcntl.flock(held, fcntl.LOCK_EX)
                migrate(engine)
            return engine
        raise Misconfigured(f"The database is at migration {found or 'none'}, this version needs {HEAD}: run `citewell migrate`.")
    except BaseException:
        engine.dispose()
        raise
