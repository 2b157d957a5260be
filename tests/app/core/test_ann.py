"""Approximate search: tuned on held-back questions, exact where a filter leaves little, and without what was erased."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core import snapshot
from app.core.embed import unit
from app.core.snapshot import ann
from app.core.snapshot.ann import Asked
from app.core.types import LOCAL, document_id
from app.retrieve import Access, Retriever
from ingest.gc import collect
from ingest.publish import publish
from tests.indexes import BUILT_WITH, DIM, EMBEDDER, NOTES, embed, new, part

WORDS = "audit backup canary delta export filter gateway index ledger model query release".split()
DOCUMENTS = 600


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few hundred chunks count as many, and be worth the while whatever the clock says."""
    monkeypatch.setattr(ann, "FROM", DOCUMENTS // 2)
    monkeypatch.setattr(ann, "_WORTH", 1e9)
    monkeypatch.setattr("ingest.publish._WASTE", -1.0)  # writes the segment again, and with it the approximate index


def texts() -> dict[str, str]:
    chance = np.random.default_rng(3)
    return {f"s/{n}": " ".join(chance.choice(WORDS, size=6)) + f" page {n}." for n in range(DOCUMENTS)}


def published(root: Path) -> snapshot.Snapshot:
    held = texts()
    metadata = [{"part": "few" if n % 50 == 0 else "many"} for n in range(DOCUMENTS)]
    documents = [new(uri, text, metadata=some) for (uri, text), some in zip(held.items(), metadata, strict=True)]
    return publish(root, "docs", [part(root, documents, held)], built_with=BUILT_WITH, notes=NOTES, embed=embed)[0]


@pytest.mark.usefixtures("large")
def test_a_large_segment_is_searched_approximately_as_well_as_its_manifest_says(tmp_path: Path):
    made = published(tmp_path)
    (segment,) = made.segments
    opened = snapshot.open_current(tmp_path, "docs")

    tuned = opened.manifest["segments"][0]["ann"]
    assert tuned["recall@10"] >= ann.RECALL
    assert tuned["questions"] == 200
    assert list(snapshot.verify(opened)) == []
    approximate, exact = Retriever(opened, embed, EMBEDDER), _exact(made)
    for text in list(texts().values())[::6]:
        worst = exact(text, {})[-1].cosine
        assert sum(hit.cosine >= worst - 1e-5 for hit in approximate.search(text, k=10, way="dense")) >= 9
    assert segment.asked is not None


@pytest.mark.usefixtures("large")
def test_a_filter_that_leaves_little_is_searched_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = published(tmp_path)
    monkeypatch.setattr(ann, "_WORTH", 0.5)
    retriever, exact = Retriever(made, embed, EMBEDDER), _exact(made)

    for text in list(texts().values())[:20]:
        within = retriever.readable(Access(), LOCAL, {"part": "few"})
        found = [hit.cosine for hit in retriever.search(text, k=10, within=within, way="dense")]
        assert found == pytest.approx([hit.cosine for hit in exact(text, {"part": "few"})], abs=1e-5)
        assert len(retriever.search(text, k=100, within=within)) == DOCUMENTS // 50


@pytest.mark.usefixtures("large")
def test_an_erasure_takes_its_sentences_out_of_what_the_search_was_tuned_by(tmp_path: Path):
    made = published(tmp_path)
    asked = made.segments[0].asked
    assert asked is not None
    victim = asked.documents[0].decode()
    retain = type("Retain", (), {"snapshots": 1, "hours": 0.0})()

    collect(tmp_path, "docs", retain, _Books(frozenset({victim})))

    after = snapshot.open_current(tmp_path, "docs")
    left = after.segments[0].asked
    assert after.snapshot_id == made.snapshot_id
    assert left is not None
    assert victim.encode() not in left.documents
    assert 0 < len(left.documents) < len(asked.documents)
    assert after.segments[0].approximate is not None
    assert after.document(victim) is None


def test_too_few_questions_say_nothing_of_a_recall():
    import faiss

    index = faiss.IndexFlatIP(DIM)
    index.add(unit(np.random.default_rng(0).normal(size=(100, DIM)).astype(np.float32)))
    few = ann.LEAST - 1

    assert ann.build(index, Asked(np.zeros(few, "S24"), unit(np.ones((few, DIM), np.float32)))) is None


def test_questions_are_drawn_from_what_the_snapshot_holds(tmp_path: Path):
    from ingest.publish import questions

    held = {f"s/{n}": f"word{n} stands here." for n in range(20)}
    segment, _ = part(tmp_path, [new(uri, text) for uri, text in held.items()], held)
    kept = np.array([n < 5 for n in range(20)])
    for uri in list(held)[5:]:
        (tmp_path / "docs/texts" / new(uri, held[uri]).document.revision).unlink()  # gone with its document

    names, sentences = questions(tmp_path, "docs", [(segment, kept)])

    assert {name.decode() for name in names} == {document_id("docs", f"s/{n}") for n in range(5)}
    assert set(sentences) == {held[f"s/{n}"] for n in range(5)}


class _Books:
    def __init__(self, masked: frozenset[str]) -> None:
        self._masked = masked

    def masked(self) -> frozenset[str]:
        return self._masked

    def named(self) -> frozenset[str]:
        return frozenset()

    def removed(self, documents: frozenset[str]) -> None:
        assert documents == self._masked


def _exact(made: snapshot.Snapshot) -> Any:
    from dataclasses import replace

    plain = replace(made, segments=tuple(replace(segment, approximate=None) for segment in made.segments))
    retriever = Retriever(plain, embed, EMBEDDER)

    def search(text: str, filters: dict[str, str]) -> Any:
        return retriever.search(text, k=10, within=retriever.readable(Access(), LOCAL, filters), way="dense")

    return search
