import json
from pathlib import Path

import pytest

from evals.measure import Outcome, cited, right, same_document, shares, words


def test_the_public_vectors_hold(shared_data: Path):
    rows = [json.loads(line) for line in (shared_data.parent / "tools/measure_vectors.jsonl").read_text().splitlines()]

    assert len(rows) > 15
    for row in rows:
        if "words" in row:
            assert words(row["text"]) == row["words"]
        else:
            assert right(row["answer"], row["answers"]) is row["right"], row


@pytest.mark.parametrize(
    ("uri", "name", "same"),
    [("a/b.md", "b.md", True), ("f.jsonl#3", "3", True), ("a/b.md", "a/b.md", True), ("a/xb.md", "b.md", False)],
)
def test_a_document_is_known_by_the_end_of_its_uri(uri: str, name: str, same: bool):
    assert same_document(uri, name) is same


def test_a_citation_counts_where_it_overlaps_any_occurrence_of_the_evidence():
    text = "Kept 365 days. Other. Kept 365  days."
    texts = {"r": text}

    def citation(start: int, end: int) -> dict[str, object]:
        return {"revision": "r", "uri": "s/a.md", "start": start, "end": end}

    evidence = [{"document": "a.md", "quote": "Kept 365 days"}]
    assert cited([citation(0, 5)], texts, evidence)
    assert cited([citation(25, 30)], texts, evidence)
    assert not cited([citation(15, 20)], texts, evidence)
    assert not cited([citation(0, 5)], texts, [{"document": "b.md", "quote": "Kept 365 days"}])
    assert not cited([citation(0, 5)], texts, [{"document": "a.md", "quote": " "}])


def test_errors_are_a_column_and_count_as_not_right():
    outcomes = [
        Outcome(True, "answered", 10, True, True),
        Outcome(True, "answered", 20, True, False),
        Outcome(True, "answered", 30),
        Outcome(True, "abstained"),
        Outcome(True, None),
        Outcome(False, "abstained"),
        Outcome(False, "answered", 40),
    ]

    found = shares(outcomes)

    assert (found.cases, found.errors, found.answered, found.median_words) == (7, 1, 4, 25)
    assert (found.right, found.cited, found.right_overall) == (0.667, 0.333, 0.4)
    assert (found.abstention_precision, found.abstention_recall, found.answerable_refused) == (0.5, 0.5, 0.2)


def test_a_share_of_nothing_is_none_not_zero():
    assert shares([]).right is None
    assert shares([Outcome(True, None)]).right_overall == 0.0
