import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy

from app.core.config import CHECKOUT
from app.core.db.engine import open_engine
from app.core.db.lock import held
from app.core.errors import LedgerUnavailable
from tests.postgres import Server

HOLDER = """
import sys, time
from app.core.db.engine import open_engine
from app.core.db.lock import held
with held(open_engine(sys.argv[1]), "write docs") as taken:
    print(taken, flush=True)
    time.sleep(600)
"""


def test_one_at_a_time_holds_a_name(postgres_server: Server):
    with postgres_server.database() as url:
        one, other = open_engine(url), open_engine(url)
        with held(one, "write docs") as first, held(other, "write docs") as second, held(other, "write hr") as third:
            assert (first, second, third) == (True, False, True)
        for _ in range(20):  # who ends frees it at once
            with held(other, "write docs") as again:
                assert again
        one.dispose()
        other.dispose()


def test_it_ends_with_a_killed_holder(postgres_server: Server):
    with postgres_server.database() as url:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, url],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": f"{CHECKOUT}:{':'.join(sys.path)}"},
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        engine = open_engine(url)
        with held(engine, "write docs") as taken:
            assert not taken
        holder.kill()
        holder.wait()
        holder.stdout.close()
        for _ in range(100):  # the server notices a moment later
            with held(engine, "write docs") as taken:
                if taken:
                    break
            time.sleep(0.05)
        assert taken
        engine.dispose()


def test_a_session_that_was_lost_meanwhile_is_no_error(postgres_server: Server):
    with postgres_server.database() as url:
        engine = open_engine(url)
        with held(engine, "write docs") as taken:
            assert taken
            with engine.connect() as connection:
                own = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
                connection.execute(sqlalchemy.text(own))
        engine.dispose()


def test_on_sqlite_a_files_lock_does_it(tmp_path: Path):
    engine = open_engine(f"sqlite:///{tmp_path}/x.db")
    with held(engine, "write docs") as one, held(engine, "write docs") as other:
        assert (one, other) == (True, True)
    engine.dispose()


def test_a_database_that_is_away_is_named():
    engine = open_engine("postgresql+psycopg://nobody@127.0.0.1:9/x")
    with pytest.raises(LedgerUnavailable, match="nobody knows who else writes"), held(engine, "write docs"):
        pass
    engine.dispose()
