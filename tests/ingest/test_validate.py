"""What may be indexed: visible text, sound characters, metadata that JSON can hold, a title that fits a line."""

from typing import Any

import pytest

from app.core.errors import DocumentRefused
from ingest.parse import Parsed
from ingest.validate import validate


def document(text: str = "Text.", *, title: str = "T", metadata: dict[str, Any] | None = None) -> Parsed:
    return Parsed(title, text, (), (), metadata or {})


@pytest.mark.parametrize(
    ("parsed", "code"),
    [
        (document(""), "empty"),
        (document(" \n\t"), "empty"),
        (document("\u200b\u2060\u3164"), "empty"),
        (document("ab\ufffd" * 30), "undecodable"),
        (document(metadata={"a": float("nan")}), "metadata_invalid"),
        (document(metadata={"a": {1, 2}}), "metadata_invalid"),
        (document(metadata={"a": "\ud800"}), "metadata_invalid"),
        (document(metadata={"a": "é" * 60_000}), "metadata_invalid"),
    ],
)
def test_what_may_not_be_indexed_is_refused_by_its_code(parsed: Parsed, code: str):
    with pytest.raises(DocumentRefused) as refused:
        validate(parsed)
    assert refused.value.reason == code


def test_a_sound_document_passes_unchanged():
    sound = document("Größe " * 100 + "\ufffd", metadata={"a": [1, None, {"b": "😀"}]})

    assert validate(sound) == sound


def test_a_long_title_is_cut_and_says_so():
    assert validate(document(title="x" * 300)).title == "x" * 300
    assert validate(document(title="x" * 301)).title == "x" * 299 + "…"
