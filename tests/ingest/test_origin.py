from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from app.core.config import IngestSettings
from app.core.errors import Misconfigured
from ingest.load import Item
from ingest.origin import origin_of


@pytest.fixture
def wiki(tmp_path: Path) -> Path:
    (tmp_path / "wiki/sub").mkdir(parents=True)
    (tmp_path / "wiki/a.md").write_text("x")
    (tmp_path / "wiki/sub/b.md").write_text("x")
    (tmp_path / "wiki/d.jsonl").write_text('{"_id": 1, "text": "x"}\n')
    return tmp_path / "wiki"


@pytest.mark.parametrize(("named", "target"), [("wiki", ""), ("wiki/", ""), ("wiki/**/*.md", "/**/*.md"), ("wiki/a.md", "/a.md")])
def test_a_folder_is_known_by_its_name_from_anywhere(wiki: Path, named: str, target: str):
    origin = origin_of(named)  # the tests stand in tmp_path

    assert (origin.name, origin.root, origin.target) == ("wiki", str(wiki), f"{wiki}{target}")
    assert origin_of(origin.target) == origin_of(str(wiki.parent / named))


def test_remote_storage_is_known_as_a_folder_is(bucket: MemoryFileSystem):
    bucket.pipe("/bucket/docs/a.md", b"x")

    folder, lone, part = (origin_of(f"memory://bucket/docs{more}") for more in ("/", "/a.md", "/*.md"))

    assert [origin.name for origin in (folder, lone, part)] == ["docs"] * 3
    assert [origin.root for origin in (folder, lone, part)] == ["memory://bucket/docs"] * 3
    assert [origin.target for origin in (folder, lone, part)] == [
        f"memory://bucket/docs{more}" for more in ("", "/a.md", "/*.md")
    ]
    assert [origin.holds_all for origin in (folder, lone, part)] == [True, False, False]


@pytest.mark.parametrize("url", ["https://www.a.example/docs/x", "http://A.example", "https://a.example/sitemap.xml?x=*"])
def test_pages_are_known_by_their_site(url: str):
    origin = origin_of(url)

    assert (origin.name, origin.root, origin.holds_all) == ("a.example", "https://a.example/", False)
    assert all(origin.owns(uri) for uri in ("https://a.example/x", "http://www.a.example/"))
    assert not any(origin.owns(uri) for uri in ("https://b.example/x", "https://a.example.evil/", "a.example/x.md"))


def test_a_lone_file_owns_itself_and_its_rows_alone(wiki: Path):
    (wiki / "a.mdx").write_text("x")

    page, rows, folder = (origin_of(str(wiki / name)) for name in ("a.md", "d.jsonl", ""))

    assert page.owns("wiki/a.md")
    assert not page.owns("wiki/a.mdx")
    assert rows.owns("d.jsonl#1")
    assert not rows.owns("wiki/d.jsonl#1")  # the folder's: read below another root
    assert folder.owns("wiki/d.jsonl#1")


def test_names_are_compared_as_uris_are_written(tmp_path: Path):
    (tmp_path / "cafe\u0301").mkdir()  # as macOS writes it

    assert origin_of("cafe\u0301").owns("caf\u00e9/a.md")


@pytest.mark.parametrize(
    ("known", "explicit", "fits"), [({}, False, True), ({"wiki": "/old/wiki"}, False, False), ({"wiki": "/old/wiki"}, True, True)]
)
def test_one_name_stands_for_one_place(wiki: Path, known: dict[str, str], explicit: bool, fits: bool):
    origin = origin_of(str(wiki))

    origin.check({"wiki": origin.root}, explicit=False)
    if fits:
        origin.check(known, explicit=explicit)
    else:
        with pytest.raises(Misconfigured, match="--source"):
            origin.check(known, explicit=explicit)


def test_what_is_not_there_or_not_meant_so_is_said(wiki: Path, bucket: MemoryFileSystem):
    for named, more, says in [
        (f"{wiki}/*.md", {"whole": True}, "--exclude"),
        ("memory://bucket/*.md", {"whole": True}, "--exclude"),
        ("memory://nothing", {}, "nothing at"),
        (f"{wiki}/none.md", {}, "no file or folder"),
        ("https://a.example/x", {"source": "s"}, "--source"),
        ("https://:secret@a.example/x", {}, "a.example/x: .*password"),
    ]:
        with pytest.raises(Misconfigured, match=says) as caught:
            origin_of(named, **more)
        assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("only", "read"),
    [
        ({"a.md"}, ["a.md"]), ({"sub"}, ["sub/b.md"]), ({"d.jsonl"}, ["d.jsonl:1"]), ({"d.jsonl:1"}, ["d.jsonl:1"]), ({"su", "b.md"}, []),
        ({"."}, ["a.md", "d.jsonl:1", "sub/b.md"]),
    ],
)  # fmt: skip
def test_a_place_that_could_not_be_looked_into_is_read_with_all_below_it(wiki: Path, only: set[str], read: list[str]):
    found = origin_of(str(wiki)).read(IngestSettings(), exclude=(), only=only)

    assert [item.source for item in found if isinstance(item, Item)] == read


def test_what_there_is_to_read_is_weighed_where_looking_is_cheap(wiki: Path, bucket: MemoryFileSystem):
    bucket.pipe("/b/a.md", b"x")

    weights = [origin_of(named).weigh(["d.*"]) for named in (str(wiki), f"{wiki}/*.md", "memory://b", "https://a.example")]

    assert weights == [2, 1, 0, 0]
