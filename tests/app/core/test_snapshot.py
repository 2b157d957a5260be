import json
import os
from pathlib import Path

import numpy as np
import pytest

from app.core import snapshot
from app.core.errors import CollectionUnknown, IndexMissing, IndexUnusable, NotFound
from app.core.snapshot import NewDocument
from app.core.types import Document, Heading, document_id, revision_of

BUILT_WITH = {"embedder": {"name": "e", "dim": 4}, "chunker": {"name": "c", "pieces": 8}, "normaliser": "n"}


def document(uri: str, text: str) -> Document:
    return Document(
        document_id=document_id("docs", uri),
        uri=uri,
        title=uri,
        revision=revision_of(text),
        fingerprint="f",
        chars=len(text),
        headings=(Heading(0, 1, text[:3]),),
        metadata={"lang": "en", "n": [1, 2]},
    )


def publish(root: Path, *texts: str) -> str:
    new = []
    for number, text in enumerate(texts):
        item = document(f"s/{number}.md", text)
        snapshot.write_text(root, "docs", item.revision, text)
        vector = np.eye(4, dtype=np.float32)[[number % 4]]
        new.append(NewDocument(item, [(0, len(text))], vector))
    identity = snapshot.write_snapshot(root, "docs", new, built_with=BUILT_WITH, notes={"created": "now"})
    snapshot.publish(root, "docs", identity)
    return identity


def test_what_was_published_is_read_back(tmp_path: Path):
    identity = publish(tmp_path, "Größe 😀.", "Second text.")

    opened = snapshot.open_current(tmp_path, "docs")

    assert (opened.snapshot_id, opened.chunks, len(opened.documents)) == (identity, 2, 2)
    assert list(snapshot.verify(opened)) == []
    chunk = opened.chunk(opened.segments[0], 0)
    assert (chunk.text, chunk.document.metadata, chunk.heading) == ("Größe 😀.", {"lang": "en", "n": [1, 2]}, ("Grö",))


def test_the_id_is_the_content_not_the_order_or_the_time(tmp_path: Path):
    documents = [document("a", "one"), document("b", "two")]

    assert snapshot.snapshot_id(documents, BUILT_WITH) == snapshot.snapshot_id(documents[::-1], BUILT_WITH)
    assert snapshot.snapshot_id(documents[:1], BUILT_WITH) != snapshot.snapshot_id(documents, BUILT_WITH)
    assert snapshot.snapshot_id(documents, {**BUILT_WITH, "normaliser": "m"}) != snapshot.snapshot_id(documents, BUILT_WITH)


def test_nothing_published_is_missing_not_broken(tmp_path: Path):
    with pytest.raises(IndexMissing, match="citewell ingest"):
        snapshot.open_current(tmp_path, "docs")
    assert snapshot.collections(tmp_path / "absent") == []


@pytest.mark.parametrize("name", ["../etc", "a/b", "", "A", ".hidden", "x" * 65, "docs\0", "docs\n"])
def test_a_collection_name_never_names_a_path(tmp_path: Path, name: str):
    with pytest.raises(CollectionUnknown):
        snapshot.open_current(tmp_path, name)


def files_of(root: Path) -> list[Path]:
    return sorted(path for path in (root / "docs").rglob("*") if path.is_file() and path.name != "CURRENT")


@pytest.mark.parametrize("damage", ["flip", "remove", "truncate"])
@pytest.mark.parametrize("which", range(5))
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
        if kind == "rename":  # each file is flushed before its rename, its folder after it
            assert calls[number - 1][0] == "fsync"
            assert calls[number - 1][1].endswith(".tmp")
            assert calls[number + 1] == ("fsync", os.path.dirname(name))
    segments = [number for (kind, name), number in at.items() if kind == "rename" and "/segments/" in name]
    assert segments
    assert max(segments) < manifest < current
    assert any(kind == "fsync" and name == f"{base}/snapshots" for kind, name in calls[manifest:current])
    assert any(kind == "fsync" and name == f"{base}/segments" for kind, name in calls[:manifest])
