"""A replica's loop: what it takes up, and what it does when the storage fails it."""

import re
import shutil
import threading
import time
from pathlib import Path

import pytest

from app import follow
from app.core import snapshot
from app.core.snapshot.store import Store
from app.core.types import revision_of
from app.follow import STORAGE, Follow
from ingest.publish import exclusive
from tests.stores import clean, content, ingest, roll_back

ONE, TWO = {"a": "one gate", "b": "a door"}, {"a": "one gate", "b": "two doors\n\nand a gate", "c": "three"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/store"


def test_it_takes_up_what_is_published_rolled_back_and_cleaned(url: str, tmp_path: Path):
    replica = Follow(url, tmp_path / "replica", soak_s=0.0)
    first = ingest(url, tmp_path / "writer", ONE)
    replica.look()
    assert content(tmp_path / "replica") == ONE

    second = ingest(url, tmp_path / "writer", TWO)
    replica.look()
    assert content(tmp_path / "replica") == TWO
    roll_back(url, tmp_path / "writer", first)
    replica.look()
    assert content(tmp_path / "replica") == ONE
    clean(url, tmp_path / "writer", frozenset("b"))
    replica.look()

    assert content(tmp_path / "replica") == {"a": "one gate"}
    assert snapshot.current_id(tmp_path / "replica", "docs") == first
    assert replica.faults == {}
    files = [path for path in (tmp_path / "replica").rglob("*") if path.is_file()]
    held = [path for path in files if re.search(rb'a door|two doors|"uri": "b"', path.read_bytes())]
    assert held == []  # what was taken out of the store leaves the copies too, in earlier snapshots as well

    roll_back(url, tmp_path / "writer", second)
    replica.look()
    assert content(tmp_path / "replica") == {"a": "one gate", "c": "three"}
    assert replica.faults == {}


def test_nothing_new_is_not_looked_into(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replica = Follow(url, tmp_path / "replica")
    ingest(url, tmp_path / "writer", ONE)
    replica.look()
    monkeypatch.setattr(follow, "pull", lambda *_, **__: pytest.fail("nothing is to be pulled"))

    replica.look()
    assert replica.faults == {}
    (tmp_path / "replica/docs/CURRENT").unlink()  # somebody meddled
    monkeypatch.undo()
    replica.look()
    assert content(tmp_path / "replica") == ONE


def test_a_store_that_fails_is_a_fault_and_what_was_there_stays(url: str, tmp_path: Path):
    replica = Follow(url, tmp_path / "replica")
    ingest(url, tmp_path / "writer", ONE)
    replica.look()
    store = Store(url)
    ingest(url, tmp_path / "writer", TWO)
    head = store.get("docs/CURRENT")
    store.put({"docs/CURRENT": b"{"})

    replica.look()
    assert "docs/CURRENT is damaged" in replica.faults["docs"]
    store.put({"docs/CURRENT": head or b""})
    broken = [key for key in store.sizes("docs") if key.endswith("vectors.faiss") and not (tmp_path / "replica" / key).exists()]
    whole = store.get(broken[0])
    store.put({broken[0]: b"short"})
    replica.look()
    assert "does not match its hash" in replica.faults["docs"]
    assert content(tmp_path / "replica") == ONE

    store.put({broken[0]: whole or b""})
    replica.look()
    assert replica.faults == {}
    assert content(tmp_path / "replica") == TWO
    shutil.move(tmp_path / "store/docs", tmp_path / "elsewhere")
    replica.look()
    assert "not at file://" in replica.faults["docs"]
    assert content(tmp_path / "replica") == TWO


def test_a_store_that_is_away_is_a_fault_of_its_own(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replica = Follow(url, tmp_path / "replica")
    ingest(url, tmp_path / "writer", ONE)
    replica.look()
    real = replica._store._fs.ls
    monkeypatch.setattr(replica._store._fs, "ls", lambda *_, **__: (_ for _ in ()).throw(TimeoutError("it did not answer")))

    replica.look()
    assert "can't be listed: TimeoutError: it did not answer" in replica.faults[STORAGE]
    monkeypatch.setattr(replica._store._fs, "ls", real)
    replica.look()
    assert replica.faults == {}


def test_a_store_that_keeps_silent_is_said(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replica = Follow(url, tmp_path / "replica")
    ingest(url, tmp_path / "writer", ONE)
    real, meanwhile = follow.pull, []

    def slow(*args, **kwargs):
        meanwhile.append(replica.faults)
        monkeypatch.setattr(follow, "SLOW_S", 0.0)
        meanwhile.append(replica.faults)
        return real(*args, **kwargs)

    monkeypatch.setattr(follow, "pull", slow)
    replica.look()

    assert meanwhile[0] == {}
    assert "has not ended" in meanwhile[1][STORAGE]
    assert replica.faults == {}


def test_what_goes_while_it_is_being_fetched_is_looked_up_anew(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replica = Follow(url, tmp_path / "replica")
    ingest(url, tmp_path / "writer", ONE)
    real, calls = follow.pull, 0

    def late(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == 1:  # two publications and a cleaning come between the head and what it names
            for texts in (TWO, {"a": "more"}, {"a": "and more"}):
                ingest(url, tmp_path / "writer", texts)
        return real(*args, **kwargs)

    monkeypatch.setattr(follow, "pull", late)
    replica.look()

    assert replica.faults == {}
    assert content(tmp_path / "replica") == {"a": "and more"}


def test_who_writes_on_the_same_machine_is_left_alone(url: str, tmp_path: Path):
    replica = Follow(url, tmp_path / "writer", soak_s=0.0)
    ingest(url, tmp_path / "writer", ONE)
    before = sorted(path for path in (tmp_path / "writer").rglob("*"))
    ingest(url, tmp_path / "another", TWO)
    with exclusive(tmp_path / "writer", "docs"):
        replica.look()
        assert sorted(path for path in (tmp_path / "writer").rglob("*")) == before
    assert replica.faults == {}

    replica.look()
    assert content(tmp_path / "writer") == TWO
    ingest(url, tmp_path / "writer", {"z": "and on"})
    assert content(tmp_path / "writer") == {"z": "and on"}


def test_what_ended_just_before_is_seen_before_anything_is_swept(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replica = Follow(url, tmp_path / "writer", soak_s=0.0)
    ingest(url, tmp_path / "writer", ONE)
    replica.look()
    # A text lies about to go; then a writer of this machine takes it up again, between the look at the store and the lock.
    text = tmp_path / "writer/docs/texts" / revision_of("three")
    text.write_text("three")
    replica._soaking["docs"]._since = {text: 0.0}
    real = follow.undisturbed

    def late(root: Path, collection: str):
        ingest(url, tmp_path / "writer", TWO)
        monkeypatch.setattr(follow, "undisturbed", real)
        return real(root, collection)

    monkeypatch.setattr(follow, "undisturbed", late)
    replica.look()

    assert replica.faults == {}
    assert content(tmp_path / "writer") == TWO


def test_a_bug_does_not_end_the_loop(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replica = Follow(url, tmp_path / "replica", poll_s=0.01)
    ingest(url, tmp_path / "writer", ONE)
    monkeypatch.setattr(follow, "pull", lambda *_, **__: 1 / 0)
    replica.start()
    deadline = time.monotonic() + 20
    while "docs" not in replica.faults:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert replica.faults["docs"] == "It could not be fetched; the log says why."

    monkeypatch.undo()
    while replica.faults or not replica.looked:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    replica.stop()
    assert content(tmp_path / "replica") == ONE
    while any(thread.name == "follow" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_full_disk_is_said(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replica = Follow(url, tmp_path / "replica")
    ingest(url, tmp_path / "writer", ONE)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.core.snapshot.pull.write_together", full)
    replica.look()

    assert replica.faults == {"docs": "It could not be fetched: No space left on device."}
    assert content(tmp_path / "replica") == {}
