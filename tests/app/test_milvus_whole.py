"""The whole path with Milvus: ingest, ask, delete, clean up, restore; a writer that is killed; a server that lost everything."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import cli
from app.core import snapshot
from app.core.config import CHECKOUT, Settings
from app.core.errors import IndexUnusable
from app.core.milvus import within
from app.core.types import LOCAL, Ask, Caller, document_id
from app.retrieve.milvus import MilvusDense
from app.wiring import open_service, search
from ingest import elsewhere
from ingest.build import build
from tests import milvus
from tests.app.test_answer import body_of
from tests.conftest import DOCUMENTS, QUESTION, make_settings, write_documents
from tests.milvus import Lite

pytestmark = pytest.mark.slow

GHOST = "corpus/retention.md"
Run = Callable[..., Result]


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Lite]:
    with milvus.running(tmp_path) as running:
        yield running


@pytest.fixture
def home(lite: Lite, tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a home whose vectors are searched in Milvus; also what commands in this process see."""
    monkeypatch.setenv("CITEWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CITEWELL_INDEXES_DIR", str(tmp_path / "home/indexes"))
    monkeypatch.setenv("CITEWELL_MILVUS__URI", lite.uri)
    monkeypatch.setenv("CITEWELL_MILVUS__SECONDS", "20")
    write_documents(tmp_path / "corpus")
    return make_settings(tmp_path / "home", cache_dir, CITEWELL_MILVUS__URI=lite.uri, CITEWELL_MILVUS__SECONDS="20")


def run(*args: str, code: int = 0) -> Any:
    done = CliRunner().invoke(cli, [*args, "--json"] if code == 0 else list(args))
    assert done.exit_code == code, (done.output, done.exception)
    return json.loads(done.stdout) if code == 0 else done.stderr


def held(home: Settings, lite: Lite) -> int:
    """Return how many rows of the published snapshot are in Milvus; at most its chunks are looked for."""
    opened = snapshot.open_current(home.indexes_dir, "docs")
    return lite.vectors(opened).count(within("segment", [segment.segment_id for segment in opened.segments]))


def found(home: Settings, question: str = QUESTION, caller: Caller = LOCAL) -> set[str]:
    return {hit.chunk.document.uri for hit in search(home, Ask(question), caller, k=100)}


async def test_a_search_that_waits_does_not_hold_up_the_thread_that_embeds(
    home: Settings, lite: Lite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    build(tmp_path / "corpus", collection="docs", settings=home)
    threads, nearest = [], MilvusDense.nearest

    def noted(self: MilvusDense, *args: Any, **kwargs: Any) -> Any:
        threads.append(threading.current_thread().name)
        return nearest(self, *args, **kwargs)

    monkeypatch.setattr(MilvusDense, "nearest", noted)
    async with open_service(home) as using:
        assert (await body_of(using))["status"] == "answered"
        embeds = await asyncio.wrap_future(using.answering.questions.submit("x", lambda _: threading.current_thread().name))

    assert len(threads) == 1
    assert threads[0] not in (embeds, threading.main_thread().name)


async def test_from_ingest_to_restore_under_a_running_service(home: Settings, lite: Lite, tmp_path: Path):
    assert run("ingest", str(tmp_path / "corpus"))["chunks"] == held(home, lite) > 0
    everything = {f"corpus/{name}" for name in DOCUMENTS}
    opened = snapshot.open_current(home.indexes_dir, "docs")
    ghost = within("document", [document_id("docs", GHOST)])

    async with open_service(home) as using:
        body = await body_of(using)
        assert (body["status"], body["citations"][0]["uri"]) == ("answered", GHOST)
        serving = await using.live.serving(Ask("x"), LOCAL)
        assert json.loads(serving.release.body)["retrieve"]["dense"] == {"name": "milvus/1"}

        (tmp_path / "corpus/moon.md").write_text("# Moon\n\nThe moon base opens on Thursdays.\n")
        run("ingest", str(tmp_path / "corpus"))
        await using.live.refresh("docs")
        assert (await body_of(using, "When does the moon base open?"))["citations"][0]["uri"] == "corpus/moon.md"

        assert run("docs", "delete", GHOST)["probe"]["hits"] == 0
        after = await body_of(using)
        assert GHOST not in {citation["uri"] for citation in after["citations"]}
        assert lite.vectors(opened).count(ghost) > 0  # masked, as in the files

        run("index", "gc")
        assert lite.vectors(opened).count(ghost) == 0
        assert run("docs", "list", "--erased")["documents"][0]["state"] == "removed"
        await using.live.refresh("docs")
        assert (await body_of(using, "How long are nightly backups kept?"))["citations"][0]["uri"] == "corpus/backups.md"

        run("docs", "restore", GHOST)
        run("ingest", str(tmp_path / "corpus"))
        await using.live.refresh("docs")
        assert (await body_of(using))["citations"][0]["uri"] == GHOST

    assert found(home) == everything | {"corpus/moon.md"}
    run("index", "acl", "required")
    ann = Caller("default", "key_1", ("ann",), frozenset({"search"}))
    assert found(home, caller=ann) == set()
    run("docs", "acl", GHOST, "--allow", "ann")
    assert found(home, caller=ann) == {GHOST}
    run("index", "rollback")
    assert found(home, "moon", caller=ann) == set()
    assert found(home) >= everything - {GHOST}


def test_an_index_from_before_milvus_and_a_server_that_lost_everything(home: Settings, lite: Lite, tmp_path: Path):
    before = home.model_copy(update={"milvus": home.milvus.model_copy(update={"uri": None})})
    build(tmp_path / "corpus", collection="docs", settings=before)

    said = run("search", "audit logs", code=1)
    assert "citewell index gc --collection docs" in said
    assert "Traceback" not in said
    run("index", "gc")
    assert found(home) == {f"corpus/{name}" for name in DOCUMENTS}

    lite.empty()
    with pytest.raises(IndexUnusable, match="index gc"):
        found(home)
    assert run("ingest", str(tmp_path / "corpus"))["documents"]["unchanged"] == len(DOCUMENTS)  # an ingest mends it too
    assert found(home) == {f"corpus/{name}" for name in DOCUMENTS}


def test_nothing_is_published_that_milvus_lacks(home: Settings, lite: Lite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    build(tmp_path / "corpus", collection="docs", settings=home)
    was = snapshot.current_id(home.indexes_dir, "docs")
    (tmp_path / "corpus/moon.md").write_text("# Moon\n\nThe moon base opens on Thursdays.\n")
    gone = home.milvus.model_copy(update={"uri": "http://127.0.0.1:9", "seconds": 2.0})

    with pytest.raises(IndexUnusable, match=r"milvus\.uri"):
        build(tmp_path / "corpus", collection="docs", settings=home.model_copy(update={"milvus": gone}))

    assert snapshot.current_id(home.indexes_dir, "docs") == was
    assert found(home) == {f"corpus/{name}" for name in DOCUMENTS}


def test_a_writer_killed_between_milvus_and_current_is_mended_by_the_next(
    home: Settings, lite: Lite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code = f"""
import os, signal
from app.core import snapshot
from app.core.config import load_settings
from ingest.build import build
snapshot.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
build({str(tmp_path / "corpus")!r}, collection="docs", settings=load_settings())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert snapshot.current_id(home.indexes_dir, "docs") is None
    assert lite.server.names()  # it came that far

    report = build(tmp_path / "corpus", collection="docs", settings=home)
    assert report.chunks == held(home, lite)
    assert found(home) == {f"corpus/{name}" for name in DOCUMENTS}

    monkeypatch.setattr(elsewhere, "GRACE_S", -1.0)
    run("index", "gc")
    opened = snapshot.open_current(home.indexes_dir, "docs")
    assert set(lite.vectors(opened).marks()) == {segment.segment_id for segment in opened.segments}
    assert lite.vectors(opened).count("row >= 0") == report.chunks + len(opened.segments)
