import json
import os
from pathlib import Path

import numpy as np
import pytest

from app.core import snapshot
from app.core.errors import CollectionUnknown, IndexMissing, IndexUnusable, NotFound
from app.core.types import revision_of
from tests.indexes import BUILT_WITH, NOTES, new, part, parts


def publish(root: Path, *texts: str) -> str:
    held = parts(root, {f"s/{number}.md": text for number, text in enumerate(texts)})
    made = snapshot.compose(root, "docs", held, built_with=BUILT_WITH, notes=NOTES)
    snapshot.write_manifest(root, made)
    snapshot.publish(root, "docs", made.snapshot_id)
    return made.snapshot_id


def test_what_was_published_is_read_back(tmp_path: Path):
    identity = publish(tmp_path, "Größe 😀.", "Second text.\n\nIts end.")

    opened = snapshot.open_current(tmp_path, "docs")

    assert (opened.snapshot_id, opened.chunks, opened.size) == (identity, 3, 2)
    assert list(snapshot.verify(opened)) == []
    chunk = opened.chunk(opened.segments[0], 0)
    assert (chunk.text, chunk.document) == ("Größe 😀.", opened.document(chunk.document.document_id))
    assert opened.chunk(opened.segments[0], 2).text == "Its end."
    assert sorted(document.document_id for document in opened.documents()) == opened.ids


def test_the_id_is_the_content_not_the_order_or_the_time(tmp_path: Path):
    rows = [("a", "1"), ("b", "2")]

    assert snapshot.snapshot_id(rows, BUILT_WITH) == snapshot.snapshot_id(rows[::-1], BUILT_WITH)
    assert snapshot.snapshot_id(rows[:1], BUILT_WITH) != snapshot.snapshot_id(rows, BUILT_WITH)
    assert snapshot.snapshot_id(rows, {**BUILT_WITH, "normaliser": "m"}) != snapshot.snapshot_id(rows, BUILT_WITH)


def test_the_id_does_not_depend_on_how_the_documents_lie_in_segments(tmp_path: Path):
    texts = {"a": "One.", "b": "Two.\n\nMore.", "c": "Three."}
    whole = parts(tmp_path, texts)
    halves = [part(tmp_path, [new(uri, texts[uri]) for uri in some], texts) for some in ("c", "ab")]
    again = {**texts, "b": "Two, changed."}
    (first, kept) = parts(tmp_path, again)[0]
    patched = [
        (first, kept & (first.documents["id"] != new("b", "").document.document_id.encode())),
        part(tmp_path, [new("b", texts["b"])], texts),
    ]
    merged = snapshot.open_segment(tmp_path / "docs", snapshot.merge(tmp_path / "docs", 16, patched))

    made = [
        snapshot.compose(tmp_path, "docs", some, built_with=BUILT_WITH, notes=NOTES)
        for some in (whole, halves, patched, [(merged, np.ones(3, dtype=bool))])
    ]

    assert len({one.snapshot_id for one in made}) == 1
    assert [list(snapshot.verify(one)) for one in made] == [[]] * 4
    assert len({(one.size, one.chunks) for one in made}) == 1


def test_nothing_published_is_missing_not_broken(tmp_path: Path):
    with pytest.raises(IndexMissing, match="citewell ingest"):
        snapshot.open_current(tmp_path, "docs")
    assert snapshot.collections(tmp_path / "absent") == []


@pytest.mark.parametrize("name", ["../etc", "a/b", "", "A", ".hidden", "x" * 65, "docs\0", "docs\n"])
def test_a_collection_name_never_names_a_path(tmp_path: Path, name: str):
    with pytest.raises(CollectionUnknown):
        snapshot.open_current(tmp_path, name)


def files_of(root: Path) -> list[Path]:
    return sorted(path for path in (root / "docs").rglob("*") if path.is_file() and path.name not in ("CURRENT", "PUBLISHED"))


@pytest.mark.parametrize("damage", ["flip", "remove", "truncate"])
@pytest.mark.parametrize("which", range(11))
def test_any_damaged_file_is_noticed(tmp_path: Path, which: int, damage: str):
    publish(tmp_path, "Some text here.")
    path = files_of(tmp_path)[which]
    data = path.read_bytes()
    if damage == "flip":
        at = data.index(b'"sha256"') if b'"sha256"' in data else len(data) // 2
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    elif damage == "truncate":
        path.write_bytes(data[:-3])
    else:
        path.unlink()

    try:
        faults = list(snapshot.verify(snapshot.open_current(tmp_path, "docs")))
    except IndexUnusable as error:
        faults = [error.message]
    assert any("damaged" in fault for fault in faults)


def test_a_current_that_names_no_snapshot_is_unusable(tmp_path: Path):
    publish(tmp_path, "Text.")
    for wrong in ("snap_0000000000000000", "../../x", "snap_"):
        (tmp_path / "docs" / "CURRENT").write_text(wrong)
        with pytest.raises(IndexUnusable, match="index verify"):
            snapshot.open_current(tmp_path, "docs")


def test_a_newer_format_is_refused(tmp_path: Path):
    identity = publish(tmp_path, "Text.")
    path = tmp_path / "docs" / "snapshots" / identity / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))

    with pytest.raises(IndexUnusable):
        snapshot.open_current(tmp_path, "docs")


def test_texts_are_read_by_their_hash_and_by_nothing_else(tmp_path: Path):
    publish(tmp_path, "Text.")
    texts = snapshot.open_current(tmp_path, "docs").texts

    assert texts.read(revision_of("Text.")) == "Text."
    for wrong in ("../CURRENT", "0" * 64, ""):
        with pytest.raises(NotFound):
            texts.read(wrong)


def test_files_and_folders_are_flushed_before_the_rename_that_makes_them_visible(tmp_path: Path, monkeypatch):
    calls: list[tuple[str, str]] = []
    names: dict[int, str] = {}
    real_open, real_fsync, real_replace = os.open, os.fsync, os.replace

    def spy_open(path, *rest, **more):
        handle = real_open(path, *rest, **more)
        names[handle] = str(path)
        return handle

    def spy_fsync(handle):
        calls.append(("fsync", os.readlink(f"/proc/self/fd/{handle}")))
        real_fsync(handle)

    def spy_replace(source, target):
        calls.append(("rename", str(target)))
        real_replace(source, target)

    monkeypatch.setattr(os, "open", spy_open)
    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    identity = publish(tmp_path, "Text.")

    base = str(tmp_path / "docs")
    at = {call: number for number, call in enumerate(calls)}
    current = at["rename", f"{base}/CURRENT"]
    manifest = at["rename", f"{base}/snapshots/{identity}/manifest.json"]
    assert calls[-2:] == [("rename", f"{base}/CURRENT"), ("fsync", base)]
    for number, (kind, name) in enumerate(calls):
        if kind == "rename":  # each file is flushed before its rename, its folder after it, before anything else is written
            draft = f"{os.path.dirname(name)}/.{os.path.basename(name)}.{os.getpid()}.tmp"
            assert ("fsync", draft) in calls[:number]
            after = next(call for call in calls[number + 1 :] if call[0] == "fsync")
            assert not after[1].endswith(".tmp")
            assert ("fsync", os.path.dirname(name)) in calls[number + 1 :]
    segments = [number for (kind, name), number in at.items() if kind == "rename" and "/segments/" in name]
    assert segments
    assert max(segments) < manifest < current
    assert any(kind == "fsync" and name == f"{base}/snapshots" for kind, name in calls[manifest:current])
    assert any(kind == "fsync" and name == f"{base}/segments" for kind, name in calls[:manifest])
