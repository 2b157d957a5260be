"""Two machines and an S3: one ingests, the other serves. They share the database; what is indexed reaches the second by S3 alone."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from app.cli import cli
from app.core import snapshot
from app.core.config import CHECKOUT, Settings
from app.follow import Follow
from ingest.build import build
from ingest.index_cli import rolled_back
from tests.conftest import QUESTION, make_settings, write_documents
from tests.s3 import Bucket
from tests.serving import in_thread

ANSWER = "365 days"


@pytest.fixture
def writer(tmp_path: Path, cache_dir: Path, bucket_of_s3: Bucket) -> Settings:
    write_documents(tmp_path / "corpus")
    return make_settings(tmp_path / "home", cache_dir, CITEWELL_INDEXES_URL=bucket_of_s3.url)


@pytest.fixture
def replica(writer: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setitem(Follow.__init__.__kwdefaults__, "poll_s", 0.2)
    return writer.model_copy(update={"indexes_dir": tmp_path / "replica"})


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def serves(client: httpx.Client, identity: str | None) -> bool:
    found = client.app.state.service.live.loaded().get("docs")  # type: ignore[attr-defined]
    return found is not None and found.release.snapshot == identity


class Asking(threading.Thread):
    """A client that never stops asking."""

    def __init__(self, url: httpx.URL) -> None:
        super().__init__()
        self._url, self.done = url, threading.Event()
        self.statuses: list[int] = []
        self.releases: set[str] = set()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self.done.is_set():
                asked = client.post("/v1/answers", json={"question": QUESTION})
                found = client.post("/v1/search", json={"query": "audit logs"})
                self.statuses += [asked.status_code, found.status_code]
                if asked.status_code == 200:
                    self.releases.add(json.dumps(asked.json()["release"]))


@pytest.fixture
def asking() -> Iterator[Callable[[httpx.Client], Asking]]:
    started: list[Asking] = []

    def start(client: httpx.Client) -> Asking:
        started.append(Asking(client.base_url))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.done.set()
        one.join()


@pytest.mark.slow
def test_a_replica_takes_up_what_another_machine_publishes_without_a_failed_request(
    writer: Settings, replica: Settings, bucket_of_s3: Bucket, tmp_path: Path, asking: Callable[[httpx.Client], Asking]
):
    with in_thread(replica) as client:
        until(lambda: client.app.state.service.follow.looked)  # type: ignore[attr-defined]
        assert client.get("/readyz").json()["index"]["state"] == "missing"
        first = build(tmp_path / "corpus", collection="docs", settings=writer).snapshot
        until(lambda: serves(client, first))
        assert ANSWER in client.post("/v1/answers", json={"question": QUESTION}).json()["answer"]
        assert client.get("/readyz").json()["index"] == {"state": "ok", "detail": None}

        busy = asking(client)
        for number in range(4):
            (tmp_path / f"corpus/new{number}.md").write_text(f"# New {number}\n\nA page about the year {number}.\n")
            now = build(tmp_path / "corpus", collection="docs", settings=writer).snapshot
            until(lambda now=now: serves(client, now))
        rolled_back(writer, "docs", first)
        until(lambda: serves(client, first))
        busy.done.set()
        busy.join()

        assert set(busy.statuses) == {200}
        assert len(busy.statuses) > 10
        assert len(busy.releases) >= 3

        # The storage goes away: what serves goes on, and says so.
        head = bucket_of_s3.objects()["docs/CURRENT"]
        bucket_of_s3.write("docs/CURRENT", b"{")
        until(lambda: "is damaged" in (client.get("/readyz").json()["index"]["detail"] or ""))
        assert client.get("/readyz").json()["ready"] is True
        assert ANSWER in client.post("/v1/answers", json={"question": QUESTION}).json()["answer"]
        bucket_of_s3.write("docs/CURRENT", head)
        until(lambda: client.get("/readyz").json()["index"]["detail"] is None)


@pytest.mark.slow
def test_what_is_deleted_is_gone_from_a_replica_at_once_and_from_the_storage_with_gc(
    writer: Settings, replica: Settings, bucket_of_s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(Follow.__init__.__kwdefaults__, "soak_s", 0.0)

    def run(settings: Settings, *args: str) -> dict:
        with monkeypatch.context() as env:
            env.setenv("CITEWELL_HOME", str(settings.home))
            env.setenv("CITEWELL_INDEXES_DIR", str(settings.indexes_dir))
            env.setenv("CITEWELL_INDEXES_URL", str(settings.indexes_url))
            done = CliRunner().invoke(cli, [*args, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def left() -> list[str]:
        objects = bucket_of_s3.objects()
        return [key for key, data in objects.items() if b"Other plans keep them" in data or b"corpus/retention.md" in data]

    first = run(writer, "ingest", str(tmp_path / "corpus"))["snapshot"]
    with in_thread(replica) as client:
        until(lambda: serves(client, first))
        before = client.post("/v1/answers", json={"question": QUESTION}).json()
        receipt = run(replica, "docs", "delete", "corpus/retention.md")
        after = client.post("/v1/answers", json={"question": QUESTION}).json()

        assert before["citations"][0]["uri"] == "corpus/retention.md"
        assert "corpus/retention.md" not in json.dumps(after)
        assert receipt["state"] == "masked"
        assert left()
        assert run(writer, "index", "gc")["erased"] == [receipt["document_id"]]
        assert left() == []
        (row,) = run(writer, "docs", "list", "--erased")["documents"]
        assert row["state"] == "removed"

        until(lambda: client.app.state.service.live.loaded()["docs"].retriever.snapshot.size == 4)  # type: ignore[attr-defined]
        assert serves(client, first)  # the same snapshot, in a layout without the document
        run(writer, "docs", "restore", receipt["document_id"])
        restored = client.post("/v1/answers", json={"question": QUESTION}).json()
        assert "corpus/retention.md" not in json.dumps(restored)  # its text is gone until it is ingested again
        run(writer, "ingest", str(tmp_path / "corpus"))
        until(lambda: client.app.state.service.live.loaded()["docs"].retriever.snapshot.size == 5)  # type: ignore[attr-defined]
        again = client.post("/v1/answers", json={"question": QUESTION}).json()
        assert again["citations"][0]["uri"] == "corpus/retention.md"


def test_the_commands_say_where_the_machines_are(
    writer: Settings, replica: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def run(settings: Settings, *args: str):
        with monkeypatch.context() as env:
            env.setenv("CITEWELL_HOME", str(settings.home))
            env.setenv("CITEWELL_INDEXES_DIR", str(settings.indexes_dir))
            if settings.indexes_url:
                env.setenv("CITEWELL_INDEXES_URL", settings.indexes_url)
            return CliRunner().invoke(cli, list(args))

    bare = writer.model_copy(update={"indexes_url": None})
    first = build(tmp_path / "corpus", collection="docs", settings=bare).snapshot
    assert "Set CITEWELL_INDEXES_URL" in run(bare, "index", "push").output
    assert "Set CITEWELL_INDEXES_URL" in run(bare, "index", "pull").output
    assert "nothing was pushed there yet" in run(writer, "doctor").output
    assert "There is no collection `docs` at s3://" in run(replica, "index", "pull").output

    assert f"docs: {first} is published at s3://" in run(writer, "index", "push").output
    assert f"docs at {first}, not fetched yet" in run(replica, "doctor").output
    assert f"docs: {first} is here" in run(replica, "index", "pull").output
    assert snapshot.current_id(replica.indexes_dir, "docs") == first
    (tmp_path / "corpus/new.md").write_text("# New\n\nA new page.\n")
    second = build(tmp_path / "corpus", collection="docs", settings=writer).snapshot
    behind = run(replica, "doctor")
    assert behind.exit_code == 1
    assert f"`docs` is at {second} there, and at {first} here" in behind.output
    run(replica, "index", "pull")

    fine = run(replica, "doctor")
    assert fine.exit_code == 0, fine.output
    assert f"docs at {second}" in fine.output
    assert "citewell-test-secret" not in fine.output


@pytest.mark.slow
def test_nothing_of_it_is_imported_unless_it_is_asked_for(tmp_path: Path, cache_dir: Path, bucket_of_s3: Bucket):
    code = (
        "import sys; from app.cli import main; sys.argv = ['citewell', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('LOADED', sorted({name.partition('.')[0] for name in sys.modules} & {'fsspec', 's3fs', 'aiobotocore', 'botocore'}))\n"
        "print('OURS', sorted({'app.follow', 'app.core.snapshot.store', 'app.core.snapshot.pull', 'ingest.push'} & {*sys.modules}))"
    )
    home = make_settings(tmp_path / "home", cache_dir)
    corpus = write_documents(tmp_path / "corpus")
    env = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "CITEWELL_HOME": str(home.home),
        "CITEWELL_INDEXES_DIR": str(home.indexes_dir),
    }

    def loaded(*args: str, **more: str) -> tuple[str, str]:
        command = [sys.executable, "-c", code, *args]
        done = subprocess.run(command, env={**env, **more}, cwd=tmp_path, capture_output=True, text=True, check=True)
        said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.startswith(("LOADED", "OURS")))
        return said["LOADED"], said["OURS"]

    assert loaded("ingest", str(corpus)) == ("[]", "[]")
    assert loaded("ask", QUESTION) == ("[]", "[]")
    assert loaded("index", "gc") == ("[]", "[]")
    assert loaded("doctor") == ("[]", "[]")
    packages, ours = loaded("index", "push", CITEWELL_INDEXES_URL=bucket_of_s3.url)
    assert "s3fs" in packages
    assert "ingest.push" in ours
