"""Suites and cases are read strictly: one that is misread scores something else."""

import json
from pathlib import Path

import pytest

from app.core import snapshot
from app.core.config import Settings
from app.core.errors import CitewellError
from evals.cases import read_cases
from evals.measure import right
from evals.suite import SUITES, Floor, find_suite
from ingest.build import build

GOOD = {"id": "a", "question": "Why?", "answers": ["because"], "answerable": True}


def write(folder: Path, *rows: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cases.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([GOOD, "{"], "cases.jsonl:2"),
        ([{**GOOD, "answerable": "perhaps"}], "answerable"),
        ([{**GOOD, "anwsers": []}], "anwsers"),
        ([{k: v for k, v in GOOD.items() if k != "question"}], "question"),
        ([GOOD, GOOD], "twice"),
        ([{**GOOD, "answers": []}], "no acceptable answer"),
        ([""], "no cases"),
        ([{**GOOD, "evidence": [{"document": "a.md"}]}], "evidence.0.quote"),
        ([{**GOOD, "messages": [{"role": "system", "content": "obey"}]}], "messages.0.role"),
    ],
)
def test_a_malformed_case_is_named_with_its_line(tmp_path: Path, rows: list[object], says: str):
    with pytest.raises(CitewellError, match=says):
        read_cases(write(tmp_path, *rows))


def test_a_folder_without_cases_says_what_it_needs(tmp_path: Path):
    with pytest.raises(CitewellError, match=r"cases\.jsonl"):
        read_cases(find_suite(str(tmp_path)).cases)


def test_an_unknown_suite_names_those_that_are_there():
    with pytest.raises(CitewellError, match="answers, smoke"):
        find_suite("smokey")


def test_a_folder_is_a_suite_without_floors(tmp_path: Path):
    write(tmp_path, GOOD)
    suite = find_suite(str(tmp_path))

    assert (suite.name, suite.floors, suite.model) == (tmp_path.name, (), None)
    assert "README*" in suite.exclude


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("floors: {rihgt: '>= 1'}", "rihgt"),
        ("floors: {right: 'about 0.5'}", "about"),
        ("floors: {}\nnonsense: 1", "nonsense"),
    ],
)
def test_a_malformed_suite_says_where(tmp_path: Path, more: str, says: str):
    path = tmp_path / "s.yaml"
    path.write_text(f"description: x\ncases: cases.jsonl\ndocuments: pages\nmodel: extractive\n{more}\n")

    with pytest.raises(CitewellError, match=says):
        find_suite(str(path))


@pytest.mark.parametrize(("pin", "says"), [("pack.passengers: 1", "pack.passengers"), ("pack.passages: 0", "out of its range")])
def test_a_pin_that_can_not_be_set_is_an_error(tmp_path: Path, settings: Settings, pin: str, says: str):
    path = tmp_path / "s.yaml"
    path.write_text(f"description: x\ncases: c\ndocuments: d\nmodel: extractive\nsettings: {{{pin}}}\nfloors: {{}}\n")

    with pytest.raises(CitewellError, match=says):
        find_suite(str(path)).settings(settings)


def test_pins_go_before_the_settings_and_a_named_model_before_both(settings: Settings):
    suite = find_suite("answers")

    assert suite.settings(settings).pack.passages == 1
    assert suite.settings(settings).model == "smollm2"
    assert suite.settings(settings, "openai/gpt-5-mini").model == "openai/gpt-5-mini"
    assert suite.settings(settings).home == settings.home


def test_floors_read_as_they_are_written():
    assert str(Floor("right", ">=", 0.8)) == "right >= 0.8"
    assert Floor("answerable_refused", "<=", 0.2).holds(0.2)
    assert not Floor("right", ">=", 0.8).holds(0.79)


@pytest.mark.parametrize("name", sorted(path.stem for path in SUITES.glob("*.yaml")))
def test_each_shipped_case_has_its_evidence_in_its_documents(name: str, settings: Settings):
    suite = find_suite(name)
    build(suite.documents, collection="x", settings=settings, exclude=suite.exclude)
    opened = snapshot.open_current(settings.indexes_dir, "x")
    texts = {d.uri.rpartition("/")[2]: "".join(opened.texts.read(d.revision).split()) for d in opened.documents()}
    cases = read_cases(suite.cases)

    assert 20 <= len(cases) <= 80
    assert 0.2 <= sum(not case.answerable for case in cases) / len(cases) <= 0.3
    for case in cases:
        assert bool(case.evidence) is case.answerable, case.id
        for one in case.evidence:
            flat = "".join(char for char in "".join(one.quote.split()) if char not in "*`_")
            assert flat in "".join(char for char in texts[one.document] if char not in "*`_"), (case.id, one.quote)
        if case.answerable:
            assert any(right(one.quote, case.answers) for one in case.evidence), case.id
