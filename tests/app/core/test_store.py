import hashlib
import sys
from pathlib import Path

import pytest
from fsspec.registry import _registry

from app.core.errors import IndexUnusable, Misconfigured, StorageUnavailable
from app.core.snapshot.store import Store
from tests.s3 import Bucket


def test_what_was_put_is_listed_and_comes_back(store_url: str, tmp_path: Path):
    store, big = Store(store_url), tmp_path / "big"
    big.write_bytes(bytes(range(256)) * 5_000)

    assert (store.folders(), store.sizes("docs"), store.get("docs/CURRENT")) == ([], {}, None)
    store.put({f"docs/texts/{n}": str(n).encode() for n in range(210)})
    store.put({"docs/CURRENT": b"x", "other/CURRENT": b"y"})
    store.send("docs/segments/a/big", big)

    assert store.folders() == ["docs", "other"]
    assert store.get("docs/CURRENT") == b"x"
    sizes = store.sizes("docs")
    assert len(sizes) == 212
    assert (sizes["docs/CURRENT"], sizes["docs/segments/a/big"], sizes["docs/texts/209"]) == (1, 1_280_000, 3)
    asked = [f"docs/texts/{n}" for n in range(210)]
    assert dict(store.get_all([*asked, "docs/texts/nothing"])) == {key: key.rpartition("/")[2].encode() for key in asked}
    store.fetch("docs/segments/a/big", tmp_path / "here/back", hashlib.sha256(big.read_bytes()).hexdigest())
    assert (tmp_path / "here/back").read_bytes() == big.read_bytes()

    store.put({"docs/CURRENT": b"another"})
    store.remove(["docs/segments/a/big", *asked])

    assert store.get("docs/CURRENT") == b"another"
    assert store.sizes("docs") == {"docs/CURRENT": 7}


def test_what_another_wrote_since_is_listed(store_url: str):
    store = Store(store_url)
    store.put({"docs/a": b"1"})
    assert store.sizes("docs") == {"docs/a": 1}

    Store(store_url).put({"docs/b": b"22"})

    assert store.sizes("docs") == {"docs/a": 1, "docs/b": 2}


def test_a_short_or_changed_object_leaves_no_file(store_url: str, tmp_path: Path):
    store = Store(store_url)
    store.put({"docs/a": b"whole"})
    wanted = hashlib.sha256(b"whole and sound").hexdigest()
    (tmp_path / "old").write_bytes(b"what was there")

    with pytest.raises(IndexUnusable, match="docs/a does not match its hash"):
        store.fetch("docs/a", tmp_path / "old", wanted)
    with pytest.raises(IndexUnusable, match="docs/nothing is missing"):
        store.fetch("docs/nothing", tmp_path / "old", wanted)

    assert (tmp_path / "old").read_bytes() == b"what was there"
    assert not list(tmp_path.rglob(".*.tmp"))


@pytest.mark.parametrize("call", ["put", "send", "get", "folders", "sizes"])
def test_who_may_not_is_told_so(bucket_of_s3: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str):
    (tmp_path / "file").write_bytes(b"x")
    Store(bucket_of_s3.url).put({"docs/a": b"1"})
    with bucket_of_s3.allowing(monkeypatch, "s3:DeleteObject"):
        store = Store(bucket_of_s3.url)
        store._fs = type(store._fs)(skip_instance_cache=True)  # as in a process that never had other keys
        calls = {
            "put": lambda: store.put({"docs/b": b"2"}), "send": lambda: store.send("docs/b", tmp_path / "file"),
            "get": lambda: store.get("docs/a"), "folders": store.folders, "sizes": lambda: store.sizes("docs"),
        }  # fmt: skip
        with pytest.raises(StorageUnavailable, match="these credentials may not") as caught:
            calls[call]()

    assert bucket_of_s3.url in caught.value.message
    assert "secret" not in f"{caught.value.message} {caught.value.detail}".lower()


def test_a_bucket_that_is_not_there_can_not_be_written(bucket_of_s3: Bucket):
    store = Store("s3://no-such-bucket-here/indexes")

    assert store.get("docs/CURRENT") is None
    with pytest.raises(StorageUnavailable, match="no-such-bucket-here/indexes can't be written"):
        store.put({"docs/CURRENT": b"x"})


def test_a_server_that_is_down_is_named(bucket_of_s3: Bucket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store = Store(bucket_of_s3.url)
    store._fs = type(store._fs)(skip_instance_cache=True)
    store._fs.retries = 1

    with pytest.raises(StorageUnavailable, match="can't be read"):
        store.get("docs/CURRENT")


@pytest.mark.parametrize(
    ("url", "says"),
    [("indexes", "must be a URL"), ("https://a.example/x", "must be a URL"), ("simplecache::s3://b/x", "must be a URL"),
     ("s3://key:hunter2@bucket/x", "holds a password"), ("nosuchstore://b/x", "can't be used")],
)  # fmt: skip
def test_what_is_no_place_to_write_is_refused(url: str, says: str):
    with pytest.raises(Misconfigured, match=says) as caught:
        Store(url)

    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(("package", "url", "extra"), [("fsspec", "memory://x/y", "remote"), ("s3fs", "s3://bucket/x", "s3")])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, package: str, url: str, extra: str):
    monkeypatch.delitem(_registry, "s3", raising=False)  # what was found once, it remembers
    for name in {package, *(name for name in sys.modules if name.split(".")[0] == package)}:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(Misconfigured, match=rf"pip install 'citewell\[{extra}\]'"):
        Store(url)
