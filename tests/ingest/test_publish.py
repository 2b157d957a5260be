"""Law 7: killed at any instant, CURRENT is absent or names a complete, verified snapshot."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.core import snapshot
from app.core.errors import IndexUnusable, Misconfigured
from ingest.publish import exclusive, publish
from tests.indexes import BUILT_WITH, NOTES, new, part, parts

WRITER = """
import sys
from pathlib import Path
from tests.ingest.test_publish import publish_documents
root = Path(sys.argv[1])
print("ready", flush=True)
number = int(sys.argv[2])
while True:
    number += 1
    publish_documents(root, [f"Text {number} of document {i}. " * 40 for i in range(30)])
    print("published", flush=True)
"""


def publish_documents(root: Path, texts: list[str]) -> str:
    with exclusive(root, "docs"):
        held = parts(root, {f"s/{number}.md": text for number, text in enumerate(texts)})
        return publish(root, "docs", held, built_with=BUILT_WITH, notes=NOTES)[0].snapshot_id


@pytest.mark.slow
def test_law_7_a_kill_at_a_random_instant_tears_nothing(tmp_path: Path):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    seen: set[str] = set()
    for round_ in range(30):
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(round_ * 1000)],
            stdout=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        began = time.perf_counter()
        assert writer.stdout.readline() == b"published\n"
        # Somewhere within the next one or two publishings, however fast this machine is.
        time.sleep(chance.uniform(0, 2 * (time.perf_counter() - began)))
        os.killpg(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        opened = snapshot.open_current(tmp_path, "docs")
        assert list(snapshot.verify(opened)) == [], f"seed {seed}, round {round_}"
        assert opened.size == 30
        seen.add(opened.snapshot_id)
    assert len(seen) > 15
    publish_documents(tmp_path, ["It still works."])
    assert snapshot.open_current(tmp_path, "docs").size == 1


def test_a_second_writer_is_turned_away_and_loses_nothing(tmp_path: Path):
    with exclusive(tmp_path, "docs"), pytest.raises(Misconfigured, match="Another ingest"), exclusive(tmp_path, "docs"):
        pass
    with exclusive(tmp_path, "docs"):
        pass


def test_a_run_that_published_nothing_leaves_no_empty_collection(tmp_path: Path):
    with exclusive(tmp_path, "docs"):
        pass

    assert list(tmp_path.iterdir()) == []


def test_the_same_content_is_published_once(tmp_path: Path):
    first = publish_documents(tmp_path, ["One.", "Two."])

    assert publish_documents(tmp_path, ["One.", "Two."]) == first
    assert [identity for identity, _ in snapshot.published(tmp_path, "docs")] == [first]


def test_content_taken_back_serves_its_old_snapshot_again(tmp_path: Path):
    first = publish_documents(tmp_path, ["One."])
    publish_documents(tmp_path, ["Two."])

    assert publish_documents(tmp_path, ["One."]) == first
    assert snapshot.current_id(tmp_path, "docs") == first


def test_a_full_disk_leaves_what_was_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = publish_documents(tmp_path, ["One."])
    real = os.fsync
    left = [5]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        publish_documents(tmp_path, ["Two.", "Three."])
    monkeypatch.undo()

    assert snapshot.open_current(tmp_path, "docs").snapshot_id == first
    assert not list(tmp_path.rglob("*.tmp"))
    assert publish_documents(tmp_path, ["Two.", "Three."]) != first


def test_what_does_not_verify_is_never_published(tmp_path: Path):
    first = publish_documents(tmp_path, ["One."])
    text = "Two."
    item = new("x", text)
    wrong = item._replace(vectors=item.vectors * 3)  # not of unit length

    with pytest.raises(IndexUnusable, match="unit length"):
        publish(tmp_path, "docs", [part(tmp_path, [wrong], {"x": text})], built_with=BUILT_WITH, notes=NOTES)
    assert snapshot.current_id(tmp_path, "docs") == first
