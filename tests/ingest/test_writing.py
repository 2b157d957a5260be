from pathlib import Path

import pytest

from app.core import snapshot
from app.core.config import Settings
from app.core.db.engine import migrate, open_engine
from app.core.db.lock import held
from app.core.errors import Misconfigured
from ingest import writing as module
from ingest.build import build
from ingest.publish import exclusive
from ingest.writing import writing
from tests.conftest import make_settings, write_documents
from tests.postgres import Server


@pytest.fixture
def machines(postgres_server: Server, tmp_path: Path, cache_dir: Path):
    """Two machines that share a database and a store, and nothing else."""
    with postgres_server.database() as url:
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()
        shared = {"CITEWELL_DATABASE_URL": url, "CITEWELL_INDEXES_URL": f"file://{tmp_path}/store"}
        yield [make_settings(tmp_path / name, cache_dir, **shared) for name in ("one", "two")]


def test_two_machines_do_not_write_one_collection_at_once(machines: list[Settings], tmp_path: Path):
    one, two = machines
    corpus = write_documents(tmp_path / "corpus")
    with writing(one, "docs"):
        with pytest.raises(Misconfigured, match="Another machine is writing `docs`"):
            build(corpus, collection="docs", settings=two)
        with writing(two, "others"):
            pass

    first = build(corpus, collection="docs", settings=one)
    (tmp_path / "more").mkdir()
    (tmp_path / "more/new.md").write_text("# New\n\nA page of the second machine.\n")
    second = build(tmp_path / "more", collection="docs", settings=two)

    assert second.added == 1
    assert snapshot.open_current(two.indexes_dir, "docs").size == first.added + 1
    assert not (tmp_path / "two/indexes/others").exists()


def test_a_server_that_holds_the_folder_for_a_moment_is_waited_for(
    machines: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_WAIT_S", 0.5)
    with (
        exclusive(machines[0].indexes_dir, "docs"),
        pytest.raises(Misconfigured, match="Another ingest into `docs`"),
        writing(machines[0], "docs"),
    ):
        pass

    naps: list[float] = []
    monkeypatch.setattr(module, "_WAIT_S", 30.0)
    holding = exclusive(machines[0].indexes_dir, "docs")
    holding.__enter__()

    def nap(seconds: float) -> None:
        naps.append(seconds)
        holding.__exit__(None, None, None)

    monkeypatch.setattr(module.time, "sleep", nap)
    with writing(machines[0], "docs") as remote:
        assert remote is not None
    assert len(naps) == 1


def test_without_object_storage_there_is_none_and_nobody_waits(settings: Settings):
    with writing(settings, "docs") as remote:
        assert remote is None
        with pytest.raises(Misconfigured, match="Another ingest"), writing(settings, "docs"):
            pass


def test_the_lock_of_a_database_holds_while_the_work_goes_on(machines: list[Settings]):
    engine = open_engine(machines[0].database_url)
    with writing(machines[0], "docs"), held(engine, "write docs") as taken:
        assert not taken
    with held(engine, "write docs") as taken:
        assert taken
    engine.dispose()
