from pathlib import Path

import pytest

from app.core import snapshot
from app.core.errors import IndexUnusable, Misconfigured
from app.core.snapshot.head import manifest_key, read_head, sha256_of
from app.core.snapshot.pull import pull, undisturbed
from app.core.snapshot.soak import Soak
from app.core.snapshot.store import Store
from ingest.publish import exclusive
from tests.stores import clean, content, fetch, ingest

ONE, TWO = {"a": "one gate", "b": "a door"}, {"a": "one gate", "b": "two doors\n\nand a gate", "c": "three"}


def test_a_replica_finds_what_was_published_and_then_what_is_new_alone(store_url: str, tmp_path: Path):
    ingest(store_url, tmp_path / "writer", ONE)
    first = fetch(store_url, tmp_path / "replica")
    assert content(tmp_path / "replica") == ONE

    ingest(store_url, tmp_path / "writer", TWO)
    second = fetch(store_url, tmp_path / "replica")
    third = fetch(store_url, tmp_path / "replica")

    assert content(tmp_path / "replica") == TWO
    assert first.published
    assert second.published
    assert (third.published, third.bytes) == (False, 0)
    kept = snapshot.open_current(tmp_path / "replica", "docs").segments[0].segment_id
    assert kept == snapshot.open_current(tmp_path / "writer", "docs").segments[0].segment_id  # the first one: fetched once


@pytest.mark.parametrize("kind", ["vectors.faiss", "documents.jsonl", "/texts/", "/snapshots/"])
@pytest.mark.parametrize("how", ["short", "flipped", "gone"])
def test_a_damaged_object_is_refused_by_name_and_what_was_there_stays(tmp_path: Path, kind: str, how: str):
    url = f"file://{tmp_path}/store"
    ingest(url, tmp_path / "writer", ONE)
    fetch(url, tmp_path / "replica")
    ingest(url, tmp_path / "writer", {"d": "a new one"})
    store = Store(url)
    new = {key for key in store.sizes("docs") if kind in key and not (tmp_path / "replica" / key).exists()}
    if kind == "/snapshots/":
        head = read_head(store, "docs")
        assert head is not None
        new = {key for key in new if head.snapshot in key}
    key = max(new)
    data = store.get(key)
    assert data
    if how == "gone":
        store.remove([key])
    else:
        store.put({key: data[: len(data) // 2] if how == "short" else data[:-1] + bytes([data[-1] ^ 1])})

    for root in (tmp_path / "replica", tmp_path / "new"):
        with pytest.raises(IndexUnusable, match=r"is missing|does not match") as caught:
            fetch(url, root)
        assert "index push --again" in caught.value.message

    assert content(tmp_path / "replica") == ONE
    assert content(tmp_path / "new") == {}
    store.put({key: data})
    fetch(url, tmp_path / "replica")
    assert content(tmp_path / "replica") == {"d": "a new one"}


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1, "snapshot": "x", "manifests": {}, "published": []}']
)
def test_a_head_that_can_not_be_read_is_no_empty_store(tmp_path: Path, damage: bytes):
    url = f"file://{tmp_path}/store"
    ingest(url, tmp_path / "writer", ONE)
    Store(url).put({"docs/CURRENT": damage})

    with pytest.raises(IndexUnusable, match="docs/CURRENT is damaged"):
        fetch(url, tmp_path / "replica")
    with pytest.raises(IndexUnusable, match="docs/CURRENT is damaged"):
        ingest(url, tmp_path / "writer", TWO)
    assert content(tmp_path / "writer") == ONE


def test_a_damaged_copy_is_mended(tmp_path: Path):
    url, replica = f"file://{tmp_path}/store", tmp_path / "replica"
    ingest(url, tmp_path / "writer", ONE)
    fetch(url, replica)
    file = next(replica.glob("docs/segments/*/vectors.faiss"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-4] + b"oops")

    done = fetch(url, replica)

    assert done.bytes == len(whole)
    assert content(replica) == ONE


def test_a_manifest_that_leads_out_of_the_folder_is_refused(tmp_path: Path):
    url = f"file://{tmp_path}/store"
    identity = ingest(url, tmp_path / "writer", ONE)
    store = Store(url)
    head = read_head(store, "docs")
    assert head is not None
    key = manifest_key("docs", identity, head.manifests[identity])
    data = (store.get(key) or b"").replace(b'"id": "seg_', b'"id": "../seg_')
    head.manifests[identity] = sha256_of(data)
    store.put({manifest_key("docs", identity, sha256_of(data)): data, "docs/CURRENT": head.as_bytes()})

    with pytest.raises(IndexUnusable, match="none of an index"):
        fetch(url, tmp_path / "replica")


def test_another_collection_of_the_name_is_not_replaced(tmp_path: Path):
    ingest(f"file://{tmp_path}/ours", tmp_path / "here", ONE)
    ingest(f"file://{tmp_path}/theirs", tmp_path / "there", {"x": "of others"})

    for work in (fetch, lambda url, root: ingest(url, root, TWO)):
        with pytest.raises(Misconfigured, match="Two collections are called `docs`"):
            work(f"file://{tmp_path}/theirs", tmp_path / "here")

    assert content(tmp_path / "here") == ONE


def test_who_writes_here_is_not_disturbed(tmp_path: Path):
    with exclusive(tmp_path, "docs"), undisturbed(tmp_path, "docs") as alone:
        assert not alone
    with undisturbed(tmp_path, "docs") as alone:
        assert alone


def test_what_is_named_no_more_goes_after_its_readers_had_time(tmp_path: Path):
    url, replica = f"file://{tmp_path}/store", tmp_path / "replica"
    store = Store(url)
    ingest(url, tmp_path / "writer", ONE)
    patient, hasty = (Soak(replica, "docs", seconds=seconds) for seconds in (3600.0, 0.0))
    fetch(url, replica)
    reader = snapshot.open_current(replica, "docs")
    clean(url, tmp_path / "writer", frozenset("b"))
    for text in ("two", "three", "four"):  # more than are kept
        ingest(url, tmp_path / "writer", {"z": text})
    head = read_head(store, "docs")
    assert head is not None
    done = pull(store, replica, "docs", head)

    patient.note(head, done.texts)
    assert not patient.due()
    assert patient.sweep() == 0
    assert reader.texts.read(reader.document(reader.ids[0]).revision)  # type: ignore[union-attr]

    (replica / "docs/texts/.x.1.tmp").write_bytes(b"of a pull that was killed")
    hasty.note(head, done.texts)
    assert hasty.due()
    assert hasty.sweep() > 3

    assert content(replica) == {"z": "four"}
    assert snapshot.stored(replica, "docs") == [head.snapshot]
    assert len(list((replica / "docs/segments").iterdir())) == 1
    assert {path.name for path in (replica / "docs/texts").iterdir()} == done.texts
    assert not hasty.due()
