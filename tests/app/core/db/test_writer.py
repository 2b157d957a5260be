"""One commit for what waits together: each write is there or its caller is told, whatever its neighbours do."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import Session

from app.core.db.collections import add
from app.core.db.engine import migrate, open_engine, transaction
from app.core.db.tables import CollectionRow
from app.core.db.writer import Writer
from app.core.errors import LedgerUnavailable


def test_a_write_is_committed_when_its_future_is_done(database_url: str):
    engine = open_engine(database_url)
    migrate(engine)
    writer = Writer(engine)

    futures = [writer.submit(lambda session, n=n: add(session, f"c{n}", tenant="t")) for n in range(20)]  # type: ignore[misc]
    for future in futures:
        future.result(30)

    with transaction(engine, reads=True) as session:
        assert all(session.get(CollectionRow, f"c{n}") for n in range(20))
    writer.close()
    engine.dispose()


def test_a_refused_row_is_its_own_callers_and_its_neighbours_are_written(database_url: str):
    engine = open_engine(database_url)
    migrate(engine)
    writer = Writer(engine)

    def wrong(session: Session) -> None:
        session.connection().execute(text("INSERT INTO collections (name) VALUES ('x')"))  # its tenant is missing

    before, refused, after = (
        writer.submit(write) for write in (lambda s: add(s, "a", tenant="t"), wrong, lambda s: add(s, "b", tenant="t"))
    )
    writer.close()

    assert isinstance(refused.exception(0), LedgerUnavailable)
    assert before.exception(0) is after.exception(0) is None
    with transaction(engine, reads=True) as session:
        assert session.get(CollectionRow, "a")
        assert session.get(CollectionRow, "b")
    engine.dispose()


def test_a_locked_database_is_waited_for_once_and_told_to_all(tmp_path: Path):
    path = tmp_path / "x.db"
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    tries: list[int] = []
    writer = Writer(engine)
    holding = sqlite3.connect(path, isolation_level=None)
    holding.execute("BEGIN IMMEDIATE")

    def write(session: Session) -> None:
        tries.append(1)
        session.connection()

    futures = [writer.submit(write) for _ in range(3)]
    told = [future.exception(30) for future in futures]
    holding.execute("ROLLBACK")
    holding.close()
    writer.close()
    engine.dispose()

    assert all(isinstance(error, LedgerUnavailable) for error in told)
    assert len(tries) <= 2, "the first alone or all together, then the rest together"


def test_a_closed_writer_says_so_instead_of_waiting(tmp_path: Path):
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    writer = Writer(engine)
    writer.close()

    with pytest.raises(LedgerUnavailable, match="stopping"):
        writer.submit(lambda session: None)
    engine.dispose()
