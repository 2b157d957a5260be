import multiprocessing
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text

from app.core.config import Settings
from app.core.db import engine as engines
from app.core.db.engine import HEAD, MIGRATIONS, migrate, open_engine, open_ledger, revision, transaction
from app.core.db.tables import METADATA
from app.core.errors import LedgerUnavailable, Misconfigured


def test_a_new_database_is_brought_to_the_newest_migration(database_url: str):
    engine = open_engine(database_url)

    assert revision(engine) is None
    assert migrate(engine) == (None, HEAD)
    assert migrate(engine) == (HEAD, HEAD)
    assert set(METADATA.tables) <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_the_migrations_make_exactly_the_tables_of_the_code(database_url: str):
    engine = open_engine(database_url)
    migrate(engine)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = engine

    command.check(config)
    engine.dispose()


def test_the_head_that_starting_compares_with_is_the_newest_file():
    assert sorted(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))[-1].startswith(HEAD + "_")


def _add(url: str, times: int) -> None:
    engine = open_engine(url)
    for _ in range(times):
        with transaction(engine) as session:
            value = session.execute(text("SELECT n FROM counter")).scalar_one()
            session.execute(text("UPDATE counter SET n = :n"), {"n": value + 1})


def test_no_update_is_lost_between_two_processes_on_sqlite(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'count.db'}"
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add, args=(url, 60)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    with engine.connect() as connection:
        assert connection.execute(text("SELECT n FROM counter")).scalar_one() == 120
    engine.dispose()


def test_reading_does_not_wait_for_a_writer(tmp_path: Path):
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    migrate(engine)

    with transaction(engine) as writing, transaction(engine, reads=True) as reading:
        writing.execute(text("UPDATE answers SET status = 'x'"))
        assert reading.execute(text("SELECT count(*) FROM answers")).scalar_one() == 0
    engine.dispose()


def test_postgresql_is_never_migrated_in_passing(postgres_server, settings: Settings):
    with postgres_server.database() as url:
        there = settings.model_copy(update={"database_url": url})
        with pytest.raises(Misconfigured, match="citewell migrate"):
            open_ledger(there)
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()
        open_ledger(there).dispose()


def test_a_migration_that_fails_leaves_the_sqlite_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "x.db"
    engine = open_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0000')"))

    def half_way(engine: sqlalchemy.Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE half (n INTEGER)"))
        raise RuntimeError("the second step failed")

    monkeypatch.setattr(engines, "_upgrade", half_way)
    with pytest.raises(RuntimeError):
        migrate(engine)

    fresh = open_engine(f"sqlite:///{path}")
    assert inspect(fresh).get_table_names() == ["alembic_version"]
    fresh.dispose()


def test_a_database_that_is_not_there_is_an_unavailable_ledger():
    with pytest.raises(LedgerUnavailable):
        revision(open_engine("postgresql+psycopg://nobody@127.0.0.1:9/none"))


def test_a_url_that_is_none_is_named():
    with pytest.raises(Misconfigured, match="CITEWELL_DATABASE_URL"):
        open_engine("not a url")


def test_money_that_is_not_whole_is_refused_by_sqlite(tmp_path: Path):
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    migrate(engine)
    with transaction(engine) as session:
        session.execute(
            text(
                "INSERT INTO answers (tenant, id, collection, status, cost_nano, prompt_tokens, completion_tokens, estimated, timings, created_at) VALUES ('t', 'a', 'c', 'running', 0, 0, 0, 0, '{}', '2026-01-01')"
            )
        )
    row = "INSERT INTO model_calls (tenant, id, answer_id, purpose, model, attempt, state, reserved_nano, cost_nano, prompt_tokens, completion_tokens, cached_tokens, estimated, price, created_at) VALUES ('t', :id, 'a', 'p', 'm', 1, 'pending', 0, :cost, 0, 0, 0, 0, 'p', '2026-01-01')"

    for wrong in (1.5, -1):
        with pytest.raises(sqlalchemy.exc.IntegrityError), engine.begin() as connection:
            connection.execute(text(row), {"id": f"c{wrong}", "cost": wrong})
    engine.dispose()
