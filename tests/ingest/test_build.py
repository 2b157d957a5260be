"""The document path, whole: what a run says, what it publishes, what a second run costs."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from app.core import snapshot, vectors
from app.core.config import CHECKOUT, Settings
from app.core.embed import Embedder
from app.core.errors import CollectionUnknown, Misconfigured
from ingest.build import build
from ingest.chunk import embedded_text
from ingest.engine import Local
from ingest.load import Item
from ingest.sandbox import Sandbox
from tests.conftest import DOCUMENTS, make_settings, write_documents


def test_a_folder_becomes_a_published_snapshot(tmp_path: Path, settings: Settings, embedder: Embedder):
    told: list[tuple[str, int, int | None]] = []

    report = build(write_documents(tmp_path / "corpus"), collection="docs", settings=settings, progress=lambda *a: told.append(a))

    opened = snapshot.open_current(settings.indexes_dir, "docs")
    assert (report.added, report.refused, report.snapshot) == (len(DOCUMENTS), [], opened.snapshot_id)
    assert list(snapshot.verify(opened)) == []
    assert sum(amount for step, amount, _ in told if step == "embedding") == report.embedded
    (segment,) = opened.segments
    for row in range(len(segment.chunks)):
        chunk = opened.chunk(segment, row)
        text = embedded_text(chunk.document.title, chunk.text, embedder.pieces.offsets)
        np.testing.assert_allclose(segment.index.reconstruct(row), embedder([text])[0], atol=1e-6)
    ports = next(d for d in opened.documents() if d.uri == "corpus/ports.md")
    text = opened.texts.read(ports.revision)
    assert ports.heading_at(text.index("9100")) == ("Ports", "Metrics")


def test_a_second_run_embeds_nothing_and_publishes_nothing(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    docs = write_documents(tmp_path / "corpus")
    first = build(docs, collection="docs", settings=settings)
    monkeypatch.setattr(Embedder, "__call__", lambda *_, **__: pytest.fail("nothing is to be embedded"))
    monkeypatch.setattr(Sandbox, "__call__", lambda *_: pytest.fail("nothing is to be parsed"))

    second = build(docs, collection="docs", settings=settings)

    assert (second.unchanged, second.added, second.changed) == (len(DOCUMENTS), 0, 0)
    assert (second.snapshot, second.published) == (first.snapshot, False)


def test_a_change_embeds_the_changed_document_alone(tmp_path: Path, settings: Settings):
    docs = write_documents(tmp_path / "corpus")
    build(docs, collection="docs", settings=settings)
    (docs / "oncall.txt").write_text("Page nobody. Sleep well.\n")
    (docs / "new.md").write_text("# New\n\nA new page.\n")

    report = build(docs, collection="docs", settings=settings)

    assert (report.added, report.changed, report.unchanged, report.embedded) == (1, 1, len(DOCUMENTS) - 1, 2)
    opened = snapshot.open_current(settings.indexes_dir, "docs")
    assert list(snapshot.verify(opened)) == []
    texts = {d.uri: opened.texts.read(d.revision) for d in opened.documents()}
    assert "Sleep well" in texts["corpus/oncall.txt"]
    assert len(texts) == len(DOCUMENTS) + 1


def test_the_snapshot_is_the_same_however_it_came_about(tmp_path: Path, settings: Settings):
    docs = write_documents(tmp_path / "corpus")
    step = build(docs, collection="a", settings=settings)
    (docs / "oncall.txt").write_text("Changed.\n")
    build(docs, collection="a", settings=settings)
    (docs / "oncall.txt").write_text(DOCUMENTS["oncall.txt"])
    back = build(docs, collection="a", settings=settings)

    assert back.snapshot == step.snapshot


def test_what_left_its_source_stays_until_sync_and_other_sources_are_untouched(tmp_path: Path, settings: Settings):
    docs = write_documents(tmp_path / "corpus")
    build(docs, collection="docs", settings=settings)
    (tmp_path / "more").mkdir()
    (tmp_path / "more/x.md").write_text("Another source.\n")
    build(tmp_path / "more", collection="docs", settings=settings)
    (docs / "oncall.txt").unlink()

    kept = build(docs, collection="docs", settings=settings)
    synced = build(docs, collection="docs", settings=settings, sync=True)

    assert (kept.deleted, synced.deleted) == (0, 1)
    uris = {d.uri for d in snapshot.open_current(settings.indexes_dir, "docs").documents()}
    assert uris == {f"corpus/{name}" for name in DOCUMENTS if name != "oncall.txt"} | {"more/x.md"}


def test_a_document_that_can_not_be_read_any_more_stays_as_it_was(tmp_path: Path, settings: Settings):
    docs = write_documents(tmp_path / "corpus")
    build(docs, collection="docs", settings=settings)
    (docs / "ports.md").write_bytes(b"\x00\x01\x02" * 100)

    report = build(docs, collection="docs", settings=settings, sync=True)

    assert [(r.source, r.code) for r in report.refused] == [("ports.md", "binary")]
    assert report.deleted == 0
    assert any(d.uri == "corpus/ports.md" for d in snapshot.open_current(settings.indexes_dir, "docs").documents())


def test_another_folder_of_the_same_name_needs_a_name_of_its_own(tmp_path: Path, settings: Settings):
    build(write_documents(tmp_path / "a/docs"), collection="docs", settings=settings)
    other = tmp_path / "b/docs"
    other.mkdir(parents=True)
    (other / "x.md").write_text("Other.\n")

    with pytest.raises(Misconfigured, match="--source"):
        build(other, collection="docs", settings=settings)
    report = build(other, collection="docs", settings=settings, source="b")
    assert report.added == 1


def test_bad_files_are_refused_by_name_and_stop_nothing(tmp_path: Path, settings: Settings):
    docs = write_documents(tmp_path / "corpus")
    (docs / "empty.md").write_text("")
    (docs / "noise.txt").write_bytes(os.urandom(4000))
    (docs / "rows.jsonl").write_text(
        '{"_id": "1", "text": "A row."}\n{broken\n{"_id": "2"}\n{"_id": "3", "text": "x", "acl": "a"}\n{"_id": "1", "text": "twice"}\n'
    )

    report = build(docs, collection="docs", settings=settings)

    assert {(r.source, r.code) for r in report.refused} == {
        ("empty.md", "empty"),
        ("noise.txt", "binary"),
        ("rows.jsonl:2", "corrupt"),
        ("rows.jsonl:3", "metadata_invalid"),
        ("rows.jsonl:4", "metadata_invalid"),
        ("rows.jsonl:5", "duplicate"),
    }
    assert report.added == len(DOCUMENTS) + 1
    assert report.as_json()["documents"]["refused"] == 6
    json.dumps(report.as_json())


def test_nothing_readable_publishes_nothing(tmp_path: Path, settings: Settings):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text(" \n")

    report = build(tmp_path / "docs", collection="docs", settings=settings)

    assert report.snapshot is None
    assert snapshot.collections(settings.indexes_dir) == []
    with pytest.raises(CollectionUnknown):
        build(tmp_path / "docs", collection="../x", settings=settings)


def test_a_damaged_index_is_mended_by_ingesting_again(tmp_path: Path, settings: Settings):
    docs = write_documents(tmp_path / "corpus")
    first = build(docs, collection="docs", settings=settings)
    (path,) = settings.indexes_dir.glob("docs/segments/*/chunks.npy")
    path.write_bytes(path.read_bytes()[:-4])

    again = build(docs, collection="docs", settings=settings)

    assert again.snapshot == first.snapshot
    assert list(snapshot.verify(snapshot.open_current(settings.indexes_dir, "docs"))) == []


def test_another_chunker_cuts_every_document_again_though_its_source_is_not_at_hand(tmp_path: Path, settings: Settings):
    build(write_documents(tmp_path / "corpus"), collection="docs", settings=settings)
    changed = settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"chunk_pieces": 64})})
    before = snapshot.open_current(settings.indexes_dir, "docs")
    (tmp_path / "more").mkdir()
    (tmp_path / "more/x.md").write_text("Another source.\n")

    report = build(tmp_path / "more", collection="docs", settings=changed)

    opened = snapshot.open_current(settings.indexes_dir, "docs")
    assert (report.added, opened.size) == (1, len(DOCUMENTS) + 1)
    assert opened.manifest["chunker"]["pieces"] == 64
    assert {d.document_id: d.revision for d in before.documents()}.items() <= {
        d.document_id: d.revision for d in opened.documents()
    }.items()
    assert list(snapshot.verify(opened)) == []
    assert snapshot.open_snapshot(settings.indexes_dir, "docs", before.snapshot_id).size == len(DOCUMENTS)


def test_an_unchanged_ingest_imports_neither_torch_nor_a_web_framework_nor_a_client_and_starts_no_process(
    tmp_path: Path, settings: Settings
):
    docs = write_documents(tmp_path / "corpus")
    build(docs, collection="docs", settings=settings)
    code = (
        "import sys; from pathlib import Path; from app.core.config import load_settings; from ingest.build import build; import ingest.cli\n"
        "from ingest import sandbox; sandbox.subprocess = None\n"
        "report = build(Path(sys.argv[1]), collection='docs', settings=load_settings()); assert report.unchanged == 5\n"
        "print({'torch', 'transformers', 'sentence_transformers', 'fastapi', 'litellm', 'app.answer', 'onnxruntime', 'httpcore', 'httpx', 'fsspec'} & set(sys.modules))"
    )
    env = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "CITEWELL_HOME": str(settings.home),
        "CITEWELL_INDEXES_DIR": str(settings.indexes_dir),
    }

    done = subprocess.run([sys.executable, "-c", code, str(docs)], capture_output=True, text=True, check=False, env=env)

    assert (done.returncode, done.stdout.strip()) == (0, "set()"), done.stderr


def test_chunks_that_are_embedded_in_several_threads_get_the_same_vectors(
    tmp_path: Path, settings: Settings, embedder: Embedder, monkeypatch
):
    from ingest import embed

    monkeypatch.setattr(embed, "_BLOCK", 1)
    report = build(write_documents(tmp_path / "corpus"), collection="docs", settings=settings)

    opened = snapshot.open_current(settings.indexes_dir, "docs")
    (segment,) = opened.segments
    assert report.embedded > 1
    for row in range(len(segment.chunks)):
        chunk = opened.chunk(segment, row)
        text = embedded_text(chunk.document.title, chunk.text, embedder.pieces.offsets)
        np.testing.assert_allclose(segment.index.reconstruct(row), embedder([text])[0], atol=1e-6)


@pytest.mark.parametrize(("first", "block"), [(1, 1), (1, 3), (2, 100)])
def test_a_snapshot_does_not_depend_on_how_many_chunks_are_embedded_together(
    tmp_path: Path, settings: Settings, cache_dir: Path, monkeypatch: pytest.MonkeyPatch, first: int, block: int
):
    docs = write_documents(tmp_path / "corpus")
    for number in range(5):  # the same text in many blocks
        (docs / f"copy-{number}.md").write_text("# Licence\n\nNo warranty of any kind.\n")
    at_once = build(docs, collection="docs", settings=settings)
    other = make_settings(tmp_path / "other", cache_dir)
    monkeypatch.setattr(Local, "first", first)
    monkeypatch.setattr(Local, "block", block)

    in_parts = build(docs, collection="docs", settings=other)

    assert (in_parts.snapshot, in_parts.embedded) == (at_once.snapshot, at_once.embedded)
    assert in_parts.chunks == in_parts.embedded + 4


def test_a_block_is_embedded_while_the_next_is_read(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Local, "first", 1)
    read, embeds = Event(), Embedder.__call__
    waited: list[bool] = []

    def parse(sandbox: Sandbox, item: Item, parses: Any = Sandbox.__call__) -> Any:
        if item.source == "oncall.txt":  # the second
            read.set()
        return parses(sandbox, item)

    def embed(embedder: Embedder, *args: Any, **more: Any) -> Any:
        waited.append(read.wait(30))
        return embeds(embedder, *args, **more)

    monkeypatch.setattr(Sandbox, "__call__", parse)
    monkeypatch.setattr(Embedder, "__call__", embed)

    build(write_documents(tmp_path / "corpus"), collection="docs", settings=settings)

    assert set(waited) == {True}


@pytest.mark.parametrize("first", [1, 128])
def test_a_full_disk_under_the_vectors_stops_the_run_and_is_named(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, first: int
):
    def small(path: Path, opens: Any = vectors._open) -> Any:
        db = opens(path)
        db.execute("PRAGMA max_page_count = 6")  # SQLite itself says that it is full
        return db

    monkeypatch.setattr(Local, "first", first)
    monkeypatch.setattr(vectors, "_open", small)

    with pytest.raises(OSError, match=r"full: '.*vectors-.*\.db'") as caught:
        build(write_documents(tmp_path / "corpus"), collection="docs", settings=settings)

    assert caught.value.errno == errno.ENOSPC
    assert snapshot.current_id(settings.indexes_dir, "docs") is None
    monkeypatch.undo()
    assert build(tmp_path / "corpus", collection="docs", settings=settings).added == len(DOCUMENTS)


def test_sync_drops_nothing_while_something_unnamed_can_not_be_read(tmp_path: Path, settings: Settings):
    docs = tmp_path / "corpus"
    docs.mkdir()
    (docs / "rows.jsonl").write_text('{"_id": "a", "text": "First row."}\n{"_id": "b", "text": "Second row."}\n')
    build(docs, collection="docs", settings=settings)
    (docs / "rows.jsonl").write_text('{"_id": "a", "text": "First row."}\n{"_id": "b", "text": broken\n')

    held = build(docs, collection="docs", settings=settings, sync=True)
    (docs / "rows.jsonl").write_text('{"_id": "a", "text": "First row."}\n')
    mended = build(docs, collection="docs", settings=settings, sync=True)

    assert (held.deleted, held.sync_held) == (0, True)
    assert (mended.deleted, mended.sync_held) == (1, False)
