import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.measure import cited, ndcg, recall, right, same_document, words


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


def test_ndcg_by_hand():
    gains = {"a": 2.0, "b": 1.0}

    assert ndcg(["a", "b", "c"], gains) == pytest.approx(1.0)
    assert ndcg(["c", "a"], gains) == pytest.approx((2 / math.log2(3)) / (2 + 1 / math.log2(3)))
    assert ndcg(["c"] * 10 + ["a"], gains) == 0.0
    assert ndcg(["a"], {}) == 0.0


def test_recall_is_of_what_fits_in_the_depth():
    assert recall(["a", "x"], {"a": 1, "b": 1, "c": 0}, 10) == 0.5
    assert recall(["a"], dict.fromkeys("abc", 1.0), 1) == 1.0
    assert recall(["a"], {"c": 0.0}, 10) == 0.0


@given(
    st.permutations([f"d{n}" for n in range(12)]), st.dictionaries(st.sampled_from([f"d{n}" for n in range(12)]), st.floats(0, 3))
)
def test_no_ranking_beats_the_ideal_one(ranked: list[str], gains: dict[str, float]):
    best = sorted(gains, key=lambda name: -gains[name])

    assert 0 <= ndcg(ranked, gains) <= ndcg(best, gains) + 1e-9
    assert ndcg(best, gains) == pytest.approx(1.0 if any(gains.values()) else 0.0)
