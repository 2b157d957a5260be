import os
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


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_an_unreadable_file_is_refused(tmp_path: Path):
    (tmp_path / "x.md").write_text("x")
    (tmp_path / "x.md").chmod(0)

    assert [f.code for f in found_in(tmp_path) if isinstance(f, Refused)] == ["unreadable"]


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
        ('{"_id": "a", "text": "x", "acl": []}', "acl_unsupported"), ('{"_id": "a", "text": "x", "n": NaN}', "corrupt"),
        ("[" * 100_000, "corrupt"),
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
