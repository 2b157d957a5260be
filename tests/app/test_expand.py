from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core import snapshot
from app.core.snapshot import NewDocument, Snapshot
from app.core.types import Chunk, Document, Heading, Passage, document_id, revision_of
from app.core.words import words
from app.expand import expand
from tests import indexes


def count_words(text: str) -> int:
    return len(text.split())


def indexed(root: Path, paragraphs: list[str], *, heads: tuple[int, ...] = ()) -> tuple[Snapshot, list[Chunk]]:
    """Index one document whose paragraphs are its chunks; those that ``heads`` counts begin with a heading."""
    text = "\n\n".join(paragraphs)
    starts = [sum(len(one) + 2 for one in paragraphs[:n]) for n in range(len(paragraphs))]
    headings = tuple(Heading(starts[n], 2, f"H{n}") for n in heads)
    item = Document(document_id("docs", "a"), "a", "A", revision_of(text), "f", len(text), headings)
    ranges = [(start, start + len(one)) for start, one in zip(starts, paragraphs, strict=True)]
    new = NewDocument(item, ranges, indexes.embed(paragraphs), [words(one) for one in paragraphs])
    part = indexes.part(root, [new], {"a": text})
    made = snapshot.compose(root, "docs", [part], built_with=indexes.BUILT_WITH, notes=indexes.NOTES)
    return made, [Chunk(item, start, end, text[start:end]) for start, end in ranges]


def passages(*chunks: Chunk) -> list[Passage]:
    return [Passage(n, chunk, 1.0) for n, chunk in enumerate(chunks, start=1)]


FIVE = ["a one", "b two", "c three", "d four", "e five"]


@pytest.mark.parametrize(
    ("reach", "budget", "found"),
    [(0, 99, "c three"), (1, 99, "b two\n\nc three\n\nd four"), (2, 99, "\n\n".join(FIVE)), (2, 4, "c three\n\nd four")],
)
def test_what_follows_and_precedes_is_added_as_far_as_the_budget_goes(tmp_path: Path, reach: int, budget: int, found: str):
    made, chunks = indexed(tmp_path, FIVE)

    (wide,) = expand(passages(chunks[2]), made, budget=budget, reach=reach, count=count_words)

    assert wide.chunk.text == found
    assert (wide.n, wide.score, wide.chunk.document) == (1, 1.0, chunks[2].document)


@pytest.mark.parametrize(("heads", "found"), [((2,), "c three\n\nd four"), ((3,), "b two\n\nc three"), ((2, 3), "c three")])
def test_another_section_is_left_alone(tmp_path: Path, heads: tuple[int, ...], found: str):
    made, chunks = indexed(tmp_path, FIVE, heads=heads)

    (wide,) = expand(passages(chunks[2]), made, budget=99, reach=1, count=count_words)

    assert wide.chunk.text == found


def test_the_best_passage_comes_first_and_none_takes_anothers_text(tmp_path: Path):
    made, chunks = indexed(tmp_path, FIVE)

    wide = expand(passages(chunks[3], chunks[1]), made, budget=6, reach=1, count=count_words)

    assert [passage.chunk.text for passage in wide] == ["d four\n\ne five", "b two"]


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    heads=st.sets(st.integers(0, 7)),
    chosen=st.sets(st.integers(0, 7), min_size=1, max_size=3),
    budget=st.integers(0, 40),
    reach=st.integers(0, 4),
)
def test_passages_grow_within_the_budget_their_text_is_the_documents_and_they_never_meet(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], heads: set[int], chosen: set[int], budget: int, reach: int
):
    texts = [" ".join(f"w{n}x{i}" for i in range(size)) for n, size in enumerate(sizes)]
    made, chunks = indexed(tmp_path_factory.mktemp("e"), texts, heads=tuple(sorted(h for h in heads if h < len(texts))))
    some = passages(*(chunks[n] for n in sorted(chosen) if n < len(chunks)))

    wide = expand(some, made, budget=budget, reach=reach, count=count_words)

    before, after = (sum(count_words(p.chunk.text) for p in ps) for ps in (some, wide))
    assert after <= max(budget, before)
    whole = "\n\n".join(texts)
    for old, new in zip(some, wide, strict=True):
        assert new.chunk.start <= old.chunk.start < old.chunk.end <= new.chunk.end
        assert new.chunk.text == whole[new.chunk.start : new.chunk.end]
        assert new.chunk.heading == old.chunk.heading
    assert not any(a.chunk.overlaps(b.chunk) for a in wide for b in wide if a.n != b.n)
