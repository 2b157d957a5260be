from pathlib import Path

import pytest

from app.core import snapshot
from app.core.config import RetainSettings
from app.core.errors import IndexMissing, Misconfigured, StorageUnavailable
from app.core.snapshot.head import read_head
from app.core.snapshot.store import Store
from ingest.gc import collect
from ingest.publish import exclusive, publish
from ingest.push import Remote
from tests.indexes import BUILT_WITH, NOTES, parts
from tests.ingest.test_publish import publish_documents
from tests.s3 import Bucket
from tests.stores import KEEP, Books, clean, content, fetch, ingest, roll_back

ONE, TWO = {"a": "one gate", "b": "a door"}, {"a": "one gate", "b": "two doors\n\nand a gate", "c": "three"}
_MANY = RetainSettings(snapshots=10)


def everything(url: str) -> dict[str, bytes]:
    store = Store(url)
    return {key: store.get(key) or b"" for key in store.sizes("docs")}


def caught_up(url: str, root: Path) -> Remote:
    remote = Remote(Store(url), root, "docs")
    remote.catch_up()
    return remote


def test_an_ingest_that_finds_nothing_new_puts_nothing(store_url: str, tmp_path: Path):
    ingest(store_url, tmp_path, ONE)
    before = everything(store_url)

    ingest(store_url, tmp_path, ONE)

    assert everything(store_url) == before
    named = {key.split("/")[1] for key in before}
    assert named == {"CURRENT", "segments", "snapshots", "texts"}


def test_a_new_machine_goes_on_from_what_is_there_and_does_not_begin_anew(store_url: str, tmp_path: Path):
    first = ingest(store_url, tmp_path / "old", ONE, keep=_MANY)
    second = ingest(store_url, tmp_path / "old", TWO, keep=_MANY)

    third = ingest(store_url, tmp_path / "new", {**TWO, "d": "by the new machine"}, keep=_MANY)

    fetch(store_url, tmp_path / "replica")
    assert content(tmp_path / "replica") == {**TWO, "d": "by the new machine"}
    assert set(snapshot.stored(tmp_path / "new", "docs")) == {first, second, third}
    assert [identity for identity, _ in snapshot.published(tmp_path / "new", "docs")][:2] == [first, second]
    roll_back(store_url, tmp_path / "new", first)
    fetch(store_url, tmp_path / "replica")
    assert content(tmp_path / "replica") == ONE


def test_a_collection_that_was_there_before_is_pushed_whole(store_url: str, tmp_path: Path):
    first = publish_documents(tmp_path / "docs_there", ["One."])
    second = publish_documents(tmp_path / "docs_there", ["Two."])
    with exclusive(tmp_path / "docs_there", "docs"):
        assert caught_up(store_url, tmp_path / "docs_there").renew(again=False) == second

    head = read_head(Store(store_url), "docs")

    assert head is not None
    assert (head.snapshot, set(head.manifests)) == (second, {first, second})
    assert [identity for identity, _ in head.published] == [first, second]
    with exclusive(tmp_path / "nothing", "docs"), pytest.raises(IndexMissing):
        Remote(Store(f"file://{tmp_path}/other"), tmp_path / "nothing", "docs").renew(again=False)


def test_what_can_not_be_pushed_is_not_published_here(bucket_of_s3: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    ingest(bucket_of_s3.url, tmp_path, ONE)
    before = bucket_of_s3.objects()
    with bucket_of_s3.allowing(monkeypatch, "s3:GetObject", "s3:ListBucket"):
        _forget_keys()
        with pytest.raises(StorageUnavailable, match="can't be written: these credentials may not"):
            ingest(bucket_of_s3.url, tmp_path, TWO)
    _forget_keys()

    assert content(tmp_path) == ONE
    assert bucket_of_s3.objects() == before
    ingest(bucket_of_s3.url, tmp_path, TWO)
    assert content(tmp_path) == TWO


def test_what_was_erased_is_in_no_object_before_a_receipt_says_so(store_url: str, tmp_path: Path):
    ingest(store_url, tmp_path / "a", ONE)
    ingest(store_url, tmp_path / "a", TWO)
    assert any(b"two doors" in data for data in everything(store_url).values())

    seen: list[bool] = []

    class Looking(Books):
        def removed(self, documents: frozenset[str]) -> None:
            seen.append(any(b"two doors" in data or b'"uri": "b"' in data for data in everything(store_url).values()))

    with exclusive(tmp_path / "a", "docs"):
        remote = caught_up(store_url, tmp_path / "a")
        collect(tmp_path / "a", "docs", KEEP, Looking(frozenset("b")), copies=[remote])

    assert seen == [False]
    fetch(store_url, tmp_path / "replica")
    assert content(tmp_path / "replica") == {"a": "one gate", "c": "three"}


def test_without_the_right_to_delete_no_receipt_says_that_it_is_removed(
    bucket_of_s3: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The library swallows what S3 says of each object when many are deleted at once."""
    ingest(bucket_of_s3.url, tmp_path, TWO)
    with bucket_of_s3.allowing(monkeypatch, "s3:GetObject", "s3:ListBucket", "s3:PutObject"):
        _forget_keys()
        books = Books(frozenset("b"))
        with exclusive(tmp_path, "docs"), pytest.raises(StorageUnavailable, match="could not be removed"):
            collect(tmp_path, "docs", KEEP, books, copies=[caught_up(bucket_of_s3.url, tmp_path)])
        assert books.told == []
    _forget_keys()

    assert len(clean(bucket_of_s3.url, tmp_path, frozenset("b")).told) == 1
    assert not any(b"two doors" in data for data in everything(bucket_of_s3.url).values())


def test_a_machine_that_stayed_behind_brings_nothing_back(store_url: str, tmp_path: Path):
    ingest(store_url, tmp_path / "behind", TWO)
    clean(store_url, tmp_path / "other", frozenset("b"))
    assert content(tmp_path / "behind") == TWO

    ingest(store_url, tmp_path / "behind", {"a": "one gate", "c": "three", "d": "new"})

    for data in everything(store_url).values():
        assert b"two doors" not in data
        assert b'"uri": "b"' not in data


def test_another_machine_that_published_meanwhile_is_not_overwritten(store_url: str, tmp_path: Path):
    ingest(store_url, tmp_path / "a", ONE)
    with exclusive(tmp_path / "a", "docs"):
        late = caught_up(store_url, tmp_path / "a")
        theirs = ingest(store_url, tmp_path / "b", TWO)
        ours = parts(tmp_path / "a", {"q": "another"})
        with pytest.raises(Misconfigured, match="Another machine published"):
            publish(tmp_path / "a", "docs", ours, built_with=BUILT_WITH, notes=NOTES, copies=[late])

    head = read_head(Store(store_url), "docs")
    assert head is not None
    assert head.snapshot == theirs


def test_two_first_pushes_do_not_overwrite_each_other(store_url: str, tmp_path: Path):
    with exclusive(tmp_path / "a", "docs"):
        late = caught_up(store_url, tmp_path / "a")
        theirs = ingest(store_url, tmp_path / "b", TWO)
        ours = parts(tmp_path / "a", {"q": "another"})
        with pytest.raises(Misconfigured, match="Another machine published"):
            publish(tmp_path / "a", "docs", ours, built_with=BUILT_WITH, notes=NOTES, copies=[late])

    assert snapshot.current_id(tmp_path / "a", "docs") is None
    assert (head := read_head(Store(store_url), "docs")) is not None
    assert head.snapshot == theirs


def test_a_damaged_object_is_put_anew_when_asked(store_url: str, tmp_path: Path):
    ingest(store_url, tmp_path, TWO)
    whole = everything(store_url)
    store = Store(store_url)
    store.put({key: data[:-1] + bytes([data[-1] ^ 1]) for key, data in whole.items()})

    with exclusive(tmp_path, "docs"):
        remote = Remote(store, tmp_path, "docs")
        remote.catch_up(mend=True)
        remote.renew(again=True)

    after = everything(store_url)
    assert {key: after[key] for key in whole if "CURRENT" not in key} == {k: v for k, v in whole.items() if "CURRENT" not in k}
    fetch(store_url, tmp_path / "replica")
    assert content(tmp_path / "replica") == TWO


def test_an_earlier_snapshot_that_is_damaged_does_not_stop_a_new_machine(store_url: str, tmp_path: Path):
    first = ingest(store_url, tmp_path / "a", {"x": "of the first alone"}, keep=_MANY)
    ingest(store_url, tmp_path / "a", ONE, keep=_MANY)
    store = Store(store_url)
    store.remove([key for key in store.sizes("docs") if first in key])

    ingest(store_url, tmp_path / "b", TWO, keep=_MANY)

    head = read_head(store, "docs")
    assert head is not None
    assert first not in head.manifests
    fetch(store_url, tmp_path / "replica")
    assert content(tmp_path / "replica") == TWO


def _forget_keys() -> None:
    """Let the next store read its keys from the environment, as a new process does."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
