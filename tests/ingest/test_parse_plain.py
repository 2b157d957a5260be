"""Plain text and rows: nothing is lost but white space between paragraphs."""

import pytest

from ingest.load import Item
from ingest.parse import parse, sniff


def test_lines_and_indentation_are_the_author_s():
    raw = b"Run:\n \n\t\n    make setup\n      make demo\n\n\n\nDone\fNext page"

    assert parse(Item("a.txt", "s/a.txt", raw, ".txt")).text == "Run:\n\n    make setup\n      make demo\n\nDone\n\nNext page"


@pytest.mark.parametrize("suffix", [".txt", ".text", ".log", ".rst", ""])
def test_text_is_read_under_many_names(suffix: str):
    assert sniff(b"plain words", suffix) == ".txt"


@pytest.mark.parametrize(
    ("row", "uri", "title"),
    [
        ({"_id": "v1.2", "text": "x"}, "w/d.jsonl#v1.2", "v1.2"),
        ({"uri": "https://e.example/guide/", "text": "x"}, "https://e.example/guide/", "guide"),
        ({"_id": "a", "title": " A\n b ", "text": "x"}, "w/d.jsonl#a", "A b"),
        ({"_id": "a", "title": "", "text": "x"}, "w/d.jsonl#a", "a"),
    ],
)
def test_a_row_always_has_a_title(row: dict, uri: str, title: str):
    assert parse(Item("d.jsonl:1", uri, b"", ".jsonl", row)).title == title


def test_every_document_says_who_read_it():
    parsers = {parse(Item("a", "s/a", b"Text", kind)).parser for kind in (".md", ".html", ".txt")}
    parsers.add(parse(Item("a", "s/a", b"", ".jsonl", {"_id": "1", "text": "x"})).parser)

    assert parsers == {"markdown/2", "html/2", "plain/2", "jsonl/1"}
