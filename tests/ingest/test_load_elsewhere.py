"""Remote storage and the web are read as a folder is: the same items, refusals and skips."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from ingest import fetch, remote
from ingest.globs import Glob
from ingest.load import Found, Item, Refused, Skipped, read, read_remote, read_web
from tests.ingest.fake_web import Web, answer

SITE = "https://a.example"


def told(found: Found) -> tuple[str, str | None]:
    match found:
        case Item():
            return found.source, found.uri
        case Refused():
            return found.source, found.code
        case Skipped():
            return found.source, found.rule


def sitemap_of(*pages: str) -> bytes:
    return answer(f"<urlset>{''.join(f'<url><loc>{page}</loc></url>' for page in pages)}</urlset>")


def from_web(web: Web, url: str = f"{SITE}/s.xml", **more) -> list[Found]:
    return list(read_web(url, fetch.Limits(), reach=web.reach, **more))


def write(make: Callable[[str, bytes], object]) -> None:
    make("docs/a.md", b"# a")
    make("docs/.git/x.md", b"x")
    make("docs/sub/b.md", b"# b")
    make("docs/sub/big.md", b"x" * 2000)
    make("docs/d.jsonl", b'{"_id": "1", "text": "x"}\n{"_id": 2, "text": "y"}\n{"_id": 3}\n')
    make("docs/z.bin", b"\x00\x01")


@pytest.mark.parametrize("below", ["docs", "docs/a.md", "docs/d.jsonl"])
@pytest.mark.parametrize("glob", [None, Glob("**/*.md"), Glob("*.md")])
@pytest.mark.parametrize("exclude", [(), ("sub/*",), ("*.jsonl",)])
def test_remote_storage_is_read_as_a_folder_is(
    tmp_path: Path, bucket: MemoryFileSystem, below: str, glob: Glob | None, exclude: tuple[str, ...]
):
    def on_disk(name: str, raw: bytes) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(raw)

    write(on_disk)
    write(lambda name, raw: bucket.pipe(f"/bucket/{name}", raw))
    options = {"source": None, "exclude": exclude, "max_bytes": 1000, "glob": glob}

    here = list(read(tmp_path / below, **options))

    assert here
    assert here == list(read_remote(remote.open_root(f"memory://bucket/{below}"), **options))


def test_a_glob_leaves_out_what_it_does_not_mean(tmp_path: Path):
    for name in ("a.md", "a.txt", "sub/b.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    found = list(read(tmp_path, source="w", exclude=(), max_bytes=1000, glob=Glob("*.md")))

    assert [told(one) for one in found] == [
        ("a.md", "w/a.md"), ("a.txt", "not meant by *.md"), ("sub", "not meant by *.md"),
    ]  # fmt: skip


def test_a_root_that_can_not_be_listed_has_a_name(bucket: MemoryFileSystem):
    bucket.pipe("/b/a.md", b"x")
    root = remote.open_root("memory://b")
    bucket.store.clear()
    bucket.pseudo_dirs[:] = [""]

    (found,) = read_remote(root, source=None, exclude=(), max_bytes=1000)

    assert told(found) == (".", "unreadable")


def test_pages_of_a_sitemap_are_items_under_their_addresses():
    web = Web(
        {
            f"{SITE}/s.xml": sitemap_of("/1", "/2.jsonl", "/3"),
            f"{SITE}/1": answer("<html><p>x</p></html>"),
            f"{SITE}/2.jsonl": answer('{"_id": 1, "text": "x"}\n', kind=None),
        }
    )

    found = from_web(web)

    assert [told(one) for one in found] == [
        (f"{SITE}/1", f"{SITE}/1"), (f"{SITE}/2.jsonl:1", f"{SITE}/2.jsonl#1"), (f"{SITE}/3", "fetch_failed"),
    ]  # fmt: skip
    assert all(one.listed for one in found if isinstance(one, Item))
    (page,) = from_web(web, f"{SITE}/1")
    assert isinstance(page, Item)
    assert not page.listed


@pytest.mark.parametrize("uri", ["wiki/a.md", "https://a.example/2.jsonl/other", "https://a.example/2.jsonly"])
def test_a_row_from_the_web_can_not_take_another_documents_place(uri: str):
    web = Web({f"{SITE}/2.jsonl": answer(f'{{"uri": "{uri}", "text": "y"}}\n', kind="application/jsonl")})

    (found,) = from_web(web, f"{SITE}/2.jsonl")

    assert told(found) == (f"{SITE}/2.jsonl:1", "metadata_invalid")


def test_pages_are_left_out_by_their_path_and_not_fetched():
    web = Web({f"{SITE}/s.xml": sitemap_of("/blog/1", "/blog/2?page=3", "/docs/1"), f"{SITE}/docs/1": answer("x")})

    found = from_web(web, exclude=["blog/*"])

    assert [told(one) for one in found] == [
        (f"{SITE}/blog/1", "--exclude blog/*"), (f"{SITE}/blog/2?page=3", "--exclude blog/*"), (f"{SITE}/docs/1", f"{SITE}/docs/1"),
    ]  # fmt: skip
    assert not [request for request in web.requests if b"/blog/" in request]
    assert [told(one) for one in from_web(web, f"{SITE}/docs/1", exclude=["docs/*"])] == [(f"{SITE}/docs/1", "--exclude docs/*")]


@pytest.mark.parametrize(
    ("only", "fetched"),
    [
        ({f"{SITE}/2"}, ["2"]),
        ({f"{SITE}/2:7"}, ["2"]),  # a row of that page
        ({f"{SITE}/2", f"{SITE}/other.xml"}, ["1", "2", "3"]),  # a sitemap, maybe: nobody knows what it named
    ],
)
def test_what_was_refused_is_fetched_again_and_nothing_else_where_that_can_be_told(only: set[str], fetched: list[str]):
    pages = {f"{SITE}/{number}": answer(f"page {number}") for number in "123"}
    web = Web({f"{SITE}/s.xml": sitemap_of("/1", "/2", "/3"), **pages})

    assert [one.source for one in from_web(web, only=only)] == [f"{SITE}/{number}" for number in fetched]


def test_which_rows_an_unreadable_file_would_have_held_is_not_known(tmp_path: Path):
    (tmp_path / "d.jsonl").symlink_to("nowhere")

    (found,) = read(tmp_path, source=None, exclude=(), max_bytes=1000)

    assert isinstance(found, Refused)
    assert found.uri is None
