"""What an operator asks of documents: a language, and metadata of a form."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.core.config import IngestSettings, Settings, load_settings
from app.core.errors import DocumentRefused, Misconfigured
from ingest.build import build
from ingest.parse import Parsed
from ingest.rules import Rules

ENGLISH = "The harbour master opens the gate at six in the morning, and closes it when the last boat has come home. " * 2
GERMAN = "Der Hafenmeister öffnet das Tor um sechs Uhr morgens und schließt es, wenn das letzte Boot heimgekehrt ist. " * 2
JAPANESE = "港長は朝六時に門を開け、最後の船が帰ってくると門を閉めます。" * 6
SCHEMA = {
    "type": "object",
    "required": ["team"],
    "properties": {"team": {"enum": ["ops", "sales"]}, "year": {"type": "integer", "minimum": 2000}},
}


def document(text: str = ENGLISH, **metadata: Any) -> Parsed:
    return Parsed("T", text, (), (), metadata)


def schema(folder: Path, content: Any = SCHEMA) -> Path:
    path = folder / "schema.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("text", [GERMAN, JAPANESE])
def test_a_text_in_another_language_is_refused_and_named(text: str):
    rules = Rules(IngestSettings(languages=("en", "fr")))

    rules.check(document(ENGLISH))
    with pytest.raises(DocumentRefused, match=r"language is `(de|ja)`; `ingest.languages` takes en, fr") as refused:
        rules.check(document(text))
    assert refused.value.reason == "language_unexpected"


@pytest.mark.parametrize("text", ["Hafen zu.", "12,5 | 13 | 14\n" * 50, "retries=3 host=db1 port=5432\n" * 10])
def test_what_is_too_short_or_no_language_at_all_passes(text: str):
    Rules(IngestSettings(languages=("en",))).check(document(text))


@pytest.mark.parametrize(
    ("metadata", "said"),
    [({}, "'team' is a required"), ({"team": "hr"}, "`team`: 'hr' is not one of"), ({"team": "ops", "year": "1"}, "`year`: '1'")],
)
def test_metadata_of_another_form_is_refused_and_the_field_named(metadata: dict[str, Any], said: str, tmp_path: Path):
    rules = Rules(IngestSettings(metadata_schema=schema(tmp_path)))

    rules.check(document(team="ops", year=2020, more=[1]))
    with pytest.raises(DocumentRefused, match=said) as refused:
        rules.check(document(**metadata))
    assert refused.value.reason == "metadata_invalid"


@pytest.mark.parametrize("content", ["{", '{"type": 5}', "[]", "\udcff"])
def test_a_file_that_is_no_schema_stops_before_anything_is_read(content: str, tmp_path: Path):
    (tmp_path / "schema.json").write_text(content, errors="surrogateescape")

    with pytest.raises(Misconfigured, match=r"schema\.json"):
        Rules(IngestSettings(metadata_schema=tmp_path / "schema.json"))
    with pytest.raises(Misconfigured, match=r"none\.json"):
        Rules(IngestSettings(metadata_schema=tmp_path / "none.json"))


def test_a_schema_that_refers_elsewhere_is_an_error_and_nothing_is_fetched(tmp_path: Path):
    rules = Rules(IngestSettings(metadata_schema=schema(tmp_path, {"$ref": "http://127.0.0.1:9/other.json"})))

    with pytest.raises(Misconfigured, match="only what stands in itself"):
        rules.check(document())


def test_a_language_that_nobody_can_tell_is_an_error():
    with pytest.raises(Misconfigured, match="english"):
        Rules(IngestSettings(languages=("english",)))


def test_other_rules_look_at_unchanged_documents_again_and_keep_what_was_indexed(tmp_path: Path, settings: Settings):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.md").write_text("# A\n\n" + ENGLISH)
    (tmp_path / "corpus" / "b.md").write_text("# B\n\n" + GERMAN)
    first = build(tmp_path / "corpus", collection="docs", settings=settings)
    strict = settings.model_copy(update={"ingest": IngestSettings(languages=("en",))})

    second = build(tmp_path / "corpus", collection="docs", settings=strict)
    third = build(tmp_path / "corpus", collection="docs", settings=settings)

    assert [(one.uri, one.code) for one in second.refused] == [("corpus/b.md", "language_unexpected")]
    assert (second.unchanged, second.embedded, third.refused) == (1, 0, [])
    assert third.snapshot == second.snapshot == first.snapshot


def test_they_are_set_in_the_environment(tmp_path: Path):
    made = load_settings(
        {
            "CITEWELL_HOME": str(tmp_path),
            "CITEWELL_INGEST__LANGUAGES": "en, de",
            "CITEWELL_INGEST__METADATA_SCHEMA": str(schema(tmp_path)),
        }
    )

    assert made.ingest.languages == ("en", "de")
    assert Rules(made.ingest).identity != Rules(IngestSettings()).identity == ""
