import os
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
import unicodedata
from pathlib import Path

import pytest

from ingest.load import Item, Refused, Skipped, read


def found_in(path: Path, **more) -> list[Item | Refused | Skipped]:
    options = {"source": None, "exclude": (), "max_bytes": 1000, **more}
    return list(read(path, **options))


def test_every_file_is_read_refused_or_skipped_by_a_rule(tmp_path: Path):
    root = tmp_path / "wiki"
    (root / "sub/.git").mkdir(parents=True)
    (root / "a.md").write_text("a")
    (root / "sub/b.txt").write_text("b")
    (root / ".hidden").write_text("x")
    (root / "sub/draft.md").write_text("x")
    (root / "big.txt").write_text("x" * 2000)
    (root / "sub/.git/config").write_text("x")

    found = found_in(root, exclude=["draft*"])

    assert [(f.source, f.uri) for f in found if isinstance(f, Item)] == [("a.md", "wiki/a.md"), ("sub/b.txt", "wiki/sub/b.txt")]
    assert {(f.source, f.rule) for f in found if isinstance(f, Skipped)} == {
        (".hidden", "hidden"), ("sub/.git", "hidden"), ("sub/draft.md", "--exclude draft*"),
    }  # fmt: skip
    assert [(f.source, f.code) for f in found if isinstance(f, Refused)] == [("big.txt", "too_large")]


def test_an_excluded_path_matches_below_the_root(tmp_path: Path):
    (tmp_path / "w/drafts").mkdir(parents=True)
    (tmp_path / "w/drafts/x.md").write_text("x")

    assert [type(f) for f in found_in(tmp_path / "w", exclude=["drafts/*"])] == [Skipped]


def test_links_out_of_the_root_are_not_followed(tmp_path: Path):
    (tmp_path / "secret.md").write_text("secret")
    root = tmp_path / "w"
    root.mkdir()
    (root / "in.md").write_text("in")
    (root / "out.md").symlink_to(tmp_path / "secret.md")
    (root / "dir").symlink_to(tmp_path)
    (root / "same.md").symlink_to(root / "in.md")
    (root / "loop").symlink_to(root)

    found = found_in(root)

    assert [f.source for f in found if isinstance(f, Item)] == ["in.md", "same.md"]
    assert len([f for f in found if isinstance(f, Skipped)]) == 3


def test_names_are_nfc_in_uris_whatever_the_disk_has(tmp_path: Path):
    root = tmp_path / "w"
    root.mkdir()
    (root / unicodedata.normalize("NFD", "café.md")).write_text("x")

    (item,) = found_in(root)

    assert isinstance(item, Item)
    assert item.uri == "w/café.md"


def test_an_unreadable_file_is_refused():
    folder = Path(tempfile.mkdtemp(prefix="citewell-unreadable-"))  # pytest's own folders are closed to another user
    folder.chmod(0o755)
    (folder / "x.md").write_text("x")
    (folder / "x.md").chmod(0)
    was = os.geteuid()
    if was == 0:  # root can read everything
        os.seteuid(65534)
    try:
        found = found_in(folder)
    finally:
        os.seteuid(was)
        shutil.rmtree(folder)

    assert [f.code for f in found if isinstance(f, Refused)] == ["unreadable"]


def test_rows_are_documents_of_their_own(tmp_path: Path):
    root = tmp_path / "w"
    root.mkdir()
    (root / "d.jsonl").write_text(
        '{"_id": "a", "text": "x"}\n\n{"_id": 7, "text": "y"}\n{"uri": "https://e.example/p", "text": "z"}\n'
    )

    assert [(f.source, f.uri) for f in found_in(root) if isinstance(f, Item)] == [
        ("d.jsonl:1", "w/d.jsonl#a"), ("d.jsonl:3", "w/d.jsonl#7"), ("d.jsonl:4", "https://e.example/p"),
    ]  # fmt: skip
    assert next(f.uri for f in found_in(root / "d.jsonl") if isinstance(f, Item)) == "d.jsonl#a"
    assert next(f.uri for f in found_in(root, source="named") if isinstance(f, Item)) == "named/d.jsonl#a"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "corrupt"), ("[]", "metadata_invalid"), ("3", "metadata_invalid"), ('{"_id": "a"}', "metadata_invalid"),
        ('{"text": "x"}', "metadata_invalid"), ('{"_id": "a", "text": 3}', "metadata_invalid"), ('{"_id": [1], "text": "x"}', "metadata_invalid"),
        ('{"_id": "a", "text": "x", "acl": "staff"}', "metadata_invalid"), ('{"_id": "a", "text": "x", "acl": [""]}', "metadata_invalid"),
        ('{"_id": "a", "text": "x", "n": NaN}', "corrupt"),
        ("[" * 100_000, "corrupt"), ('{"_id": "a", "text": null}', "metadata_invalid"), ('{"_id": " ", "text": "x"}', "metadata_invalid"),
        (r'{"_id": "\ud800", "text": "x"}', "metadata_invalid"), (r'{"uri": "a\nb", "text": "x"}', "metadata_invalid"),
        ('{"uri": "' + "u" * 3000 + '", "text": "x"}', "metadata_invalid"),
    ],
)  # fmt: skip
def test_a_bad_row_refuses_itself_alone(tmp_path: Path, line: str, code: str):
    (tmp_path / "d.jsonl").write_text(line + '\n{"_id": "good", "text": "x"}\n')

    found = found_in(tmp_path, max_bytes=10**6)

    assert [f.code for f in found if isinstance(f, Refused)] == [code]
    assert len([f for f in found if isinstance(f, Item)]) == 1


def test_a_row_that_is_not_utf8_is_undecodable(tmp_path: Path):
    (tmp_path / "d.jsonl").write_bytes(b'{"_id": "a", "text": "caf\xe9"}\n')

    assert [f.code for f in found_in(tmp_path) if isinstance(f, Refused)] == ["undecodable"]


def test_null_fields_of_a_row_are_absent_ones(tmp_path: Path):
    (tmp_path / "d.jsonl").write_text('{"_id": "a", "uri": null, "title": null, "text": "x", "acl": null, "n": null}\n')

    (item,) = found_in(tmp_path)

    assert isinstance(item, Item)
    assert item.row == {"_id": "a", "text": "x", "n": None}


def test_the_second_of_one_uri_is_a_duplicate(tmp_path: Path):
    (tmp_path / "d.jsonl").write_text('{"_id": "a", "text": "first"}\n{"_id": "a", "text": "second"}\n')

    item, refused = found_in(tmp_path)

    assert isinstance(item, Item)
    assert b"first" in item.raw
    assert isinstance(refused, Refused)
    assert (refused.source, refused.code) == ("d.jsonl:2", "duplicate")


def test_a_row_over_the_limit_is_never_read_whole(tmp_path: Path):
    with (tmp_path / "d.jsonl").open("wb") as file:
        file.truncate(400_000_000)  # one line of zeros, on disk almost nothing
        file.seek(0, os.SEEK_END)
        file.write(b'\n{"_id": "good", "text": "x"}\n')
    tracemalloc.start()

    found = found_in(tmp_path)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(f.source, f.code) for f in found if isinstance(f, Refused)] == [("d.jsonl:1", "too_large")]
    assert [f.source for f in found if isinstance(f, Item)] == ["d.jsonl:2"]
    assert peak < 20_000_000


def test_a_row_of_just_the_limit_is_read(tmp_path: Path):
    row = '{"_id": "a", "text": "x"}'
    (tmp_path / "d.jsonl").write_text(f"{row}\n{row.replace('a', 'bb', 1)}\n")

    assert [type(f) for f in found_in(tmp_path, max_bytes=len(row))] == [Item, Refused]


@pytest.mark.skipif(sys.platform == "darwin", reason="its disks hold only UTF-8 names")
def test_a_name_that_is_not_utf8_is_refused_and_stops_nothing(tmp_path: Path):
    (tmp_path / "a.md").write_text("x")
    for name in (b"bad\xff.md", b"folder\xff/b.md"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")

    found = found_in(tmp_path)

    assert [f.source for f in found if isinstance(f, Item)] == ["a.md"]
    assert [(f.source, f.code) for f in found if isinstance(f, Refused)] == [
        ("bad\ufffd.md", "unreadable"),
        ("folder\ufffd", "unreadable"),
    ]
    for one in found:
        str(one).encode()  # can be printed


def test_links_that_lead_nowhere_are_refused_and_stop_nothing(tmp_path: Path):
    root = tmp_path / "w"
    root.mkdir()
    (root / "a.md").write_text("x")
    (root / "loop.md").symlink_to("loop.md")
    (root / "gone.md").symlink_to("nothing.md")

    found = found_in(root)

    assert [f.source for f in found if isinstance(f, Item)] == ["a.md"]
    # With their uri: a document that was indexed once is still in its source, only unreadable today.
    assert [(f.uri, f.code) for f in found if isinstance(f, Refused)] == [
        ("w/gone.md", "unreadable"),
        ("w/loop.md", "unreadable"),
    ]


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")

    assert [type(f) for f in found_in(tmp_path)] == [Skipped]
    assert [f.code for f in found_in(tmp_path / "pipe") if isinstance(f, Refused)] == ["unreadable"]


def test_folders_may_nest_deeper_than_the_stack(tmp_path: Path):
    deep = os.open(tmp_path, os.O_RDONLY)
    levels = 1200
    for _ in range(levels):
        os.mkdir("d", dir_fd=deep)
        deeper = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = deeper
    file = os.open("x.md", os.O_CREAT | os.O_WRONLY, dir_fd=deep)
    os.write(file, b"x")
    os.close(file)
    os.close(deep)

    found = found_in(tmp_path)

    subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)  # pytest's own cleaning is recursive
    assert [f.source.count("/") for f in found if isinstance(f, Item)] == [levels]


def test_the_order_is_the_same_each_time(tmp_path: Path):
    for name in ("b.md", "a/z.md", "a/b/c.md", "A.md", "a.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")

    assert [f.source for f in found_in(tmp_path)] == ["A.md", "a/b/c.md", "a/z.md", "a.md", "b.md"]
