import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from app.core.errors import DocumentRefused, Misconfigured
from ingest.files import File, Found, LeftOut, Unreadable
from ingest.remote import Root, files, open_root


def nothing(below: str, folder: bool) -> str | None:
    return None


class Broken(MemoryFileSystem):
    """A memory whose parts fail as a store's do, with errors of its own kind."""

    protocol = "broken"
    cachable = False

    class StoreError(Exception):
        pass

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("broken://")))

    def ls(self, path: str, detail: bool = True, **more: Any) -> Any:
        if path.endswith("closed"):
            raise self.StoreError("AccessDenied: no right to list it")
        found = super().ls(path, detail=detail, **more)
        return [{**entry, "size": None} for entry in found] if detail else found

    def open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        if path.endswith("denied.md"):
            raise self.StoreError("AccessDenied")
        return Breaking(super().open(path, mode, **more)) if path.endswith("breaks.md") else super().open(path, mode, **more)


@dataclass
class Breaking:
    file: Any

    def read(self, size: int) -> bytes:
        if self.file.tell():
            raise TimeoutError("the connection broke")
        return bytes(self.file.read(min(size, 3)))

    def close(self) -> None:
        self.file.close()


@pytest.fixture
def broken(bucket: MemoryFileSystem) -> MemoryFileSystem:
    fsspec.register_implementation("broken", Broken, clobber=True)
    return bucket


def found_at(url: str) -> list[Found]:
    return list(files(open_root(url), nothing))


def test_files_come_in_the_order_of_a_folder_on_disk(bucket: MemoryFileSystem):
    for name in ("b.md", "a/z.md", "a/b/c.md", "A.md", "a.md"):
        bucket.pipe(f"/bucket/docs/{name}", name.encode())
    bucket.pipe("/bucket/other.md", b"x")

    found = found_at("memory://bucket/docs")

    assert [(file.below, file.size) for file in found if isinstance(file, File)] == [
        ("A.md", 4), ("a/b/c.md", 8), ("a/z.md", 6), ("a.md", 4), ("b.md", 4),
    ]  # fmt: skip
    assert [file.open().read() for file in found if isinstance(file, File)] == [b"A.md", b"a/b/c.md", b"a/z.md", b"a.md", b"b.md"]


@pytest.mark.parametrize(
    ("url", "known_as", "name", "count"),
    [("memory://bucket/docs", "memory://bucket/docs", "docs", 1), ("memory://bucket/docs/", "memory://bucket/docs", "docs", 1), ("memory://bucket", "memory://bucket", "bucket", 2),
     ("memory://bucket/docs/a.md", "memory://bucket/docs/a.md", "docs", 1), ("memory://", "memory://", "memory", 2)],
)  # fmt: skip
def test_a_root_has_a_name(bucket: MemoryFileSystem, url: str, known_as: str, name: str, count: int):
    bucket.pipe("/bucket/docs/a.md", b"x")
    bucket.pipe("/bucket/b.md", b"x")

    root = open_root(url)

    assert (root.url, root.name) == (known_as, name)
    assert len(list(files(root, nothing))) == count


def test_a_lone_file_is_read_below_its_folder(bucket: MemoryFileSystem):
    bucket.pipe("/bucket/docs/a.md", b"text")
    bucket.pipe("/bucket/docs/b.md", b"x")

    (file,) = found_at("memory://bucket/docs/a.md")

    assert isinstance(file, File)
    assert (file.below, file.open().read()) == ("a.md", b"text")


def test_a_rule_keeps_files_out_and_folders_unlisted(broken: MemoryFileSystem):
    broken.pipe("/b/a.md", b"x")
    broken.pipe("/b/.git/config", b"x")
    broken.pipe("/b/closed/x.md", b"x")
    broken.pipe("/b/d/.env", b"x")

    def rule(below: str, folder: bool) -> str | None:
        return "closed" if folder and below == "closed" else "hidden" if below.rpartition("/")[2].startswith(".") else None

    found = list(files(open_root("broken://b"), rule))

    assert [file.below for file in found if isinstance(file, File)] == ["a.md"]
    assert [out for out in found if isinstance(out, LeftOut)] == [
        LeftOut(".git", "hidden"), LeftOut("closed", "closed"), LeftOut("d/.env", "hidden"),
    ]  # fmt: skip


def test_folders_are_listed_when_it_is_their_turn(bucket: MemoryFileSystem):
    bucket.pipe("/b/1/a.md", b"x")
    bucket.pipe("/b/2/b.md", b"x")

    found = files(open_root("memory://b"), nothing)
    first = next(found)
    bucket.pipe("/b/2/late.md", b"x")

    assert isinstance(first, File)
    assert [file.below for file in found if isinstance(file, File)] == ["2/b.md", "2/late.md"]


def test_what_can_not_be_listed_or_read_stops_nothing(broken: MemoryFileSystem):
    for name in ("a.md", "closed/x.md", "denied.md", "breaks.md", "z.md"):
        broken.pipe(f"/b/{name}", b"a text\n" * 3)

    found = found_at("broken://b")

    assert [one for one in found if isinstance(one, Unreadable)] == [
        Unreadable("closed", "The folder can't be listed: StoreError: AccessDenied: no right to list it.")
    ]
    by_name = {file.below: file for file in found if isinstance(file, File)}
    assert list(by_name) == ["a.md", "breaks.md", "denied.md", "z.md"]
    assert by_name["a.md"].size is None
    for name in ("breaks.md", "denied.md"):
        with pytest.raises(DocumentRefused) as caught, by_name[name].open() as file:
            file.read()
        assert caught.value.reason == "unreadable"
    with by_name["z.md"].open() as file:
        assert file.readline(100) == b"a text\n"


def test_a_placeholder_of_a_folder_is_no_file_and_no_endless_loop(bucket: MemoryFileSystem):
    class Store(MemoryFileSystem):
        def ls(self, path: str, detail: bool = True, **more: Any) -> Any:
            return [
                {"name": path + "/", "size": 0, "type": "directory"},
                {"name": path, "size": 0, "type": "file"},
                *super().ls(path, detail, **more),
            ]

    bucket.pipe("/b/d/a.md", b"x")

    assert [found.below for found in files(Root("x://b", "b", Store(), "/b"), nothing)] == ["d/a.md"]


def test_a_folder_that_holds_itself_comes_to_an_end():
    class Circle:
        def ls(self, path: str, detail: bool) -> Any:
            return [{"name": f"{path}/a.md", "size": 1, "type": "file"}, {"name": f"{path}/self", "size": 0, "type": "directory"}]

    found = list(files(Root("x://b", "b", Circle(), "b"), nothing))

    assert len(found) < 250
    assert isinstance(found[-1], Unreadable)


def test_links_are_left_out():
    class Linked:
        def ls(self, path: str, detail: bool) -> Any:
            return [
                {"name": f"{path}/f", "size": 1, "type": "file", "islink": True}, {"name": f"{path}/d", "size": 1, "type": "directory", "islink": True},
                {"name": f"{path}/l", "size": 1, "type": "link"}, {"name": f"{path}/p", "size": 1, "type": "other"},
            ]  # fmt: skip

    assert [type(found) for found in files(Root("x://b", "b", Linked(), "b"), nothing)] == [LeftOut] * 4


@pytest.mark.parametrize(
    ("url", "says"),
    [("memory://nowhere/at/all", "nothing at memory://nowhere/at/all"), ("nosuchstore://b/x", "Protocol not known"), ("s3://key:secret@bucket/x", "password"), ("zip://x.md::https://10.0.0.1/a.zip", "chained"),
     ("https://a.example/", "not read as remote"), ("file:///etc", "not read as remote"), ("simplecache::memory://b", "chained")],
)  # fmt: skip
def test_what_can_not_be_opened_says_why(bucket: MemoryFileSystem, url: str, says: str):
    with pytest.raises(Misconfigured, match=says) as caught:
        open_root(url)

    assert "secret" not in caught.value.message


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "fsspec"]:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(Misconfigured, match=r"pip install 'citewell\[remote\]'"):
        open_root("s3://bucket/x")


def test_a_missing_package_of_a_file_system_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(_registry, "s3", raising=False)  # what was found once, it remembers
    monkeypatch.setitem(sys.modules, "s3fs", None)

    with pytest.raises(Misconfigured, match="s3fs"):
        open_root("s3://bucket/x")


def test_nothing_of_it_is_imported_until_it_is_asked_for():
    source = Path(importlib.import_module("ingest.remote").__file__ or "").read_text()

    assert "import fsspec" not in source
    assert "from fsspec" not in source
