"""Passages -> the same, with what stands before and after them in their section, as far as the token budget goes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from app.core.snapshot import Snapshot
from app.core.tokens import TokenCounter
from app.core.types import Chunk, Document, Passage

IDENTITY = "expand/1"
"""Part of the release."""


def expand(
    passages: Sequence[Passage], snapshot: Snapshot, *, budget: int, reach: int, count: TokenCounter
) -> tuple[Passage, ...]:
    """Widen passages by neighbouring chunks of their documents, the best passage first, what follows before what precedes.

    Never past a heading into another section, and never over another passage. Numbers, order and scores stay.

    Args:
        passages: Best first.
        snapshot: Where they were found.
        budget: Most tokens that all may cost together.
        reach: Most chunks on each side; 0 leaves all as it is.
        count: The token counter.
    """
    wide = list(passages)
    spent = sum(count(passage.chunk.text) for passage in passages)
    for at, passage in enumerate(passages):
        chunk = passage.chunk
        text = snapshot.texts.read(chunk.document.revision)
        for first, last in _steps(chunk, snapshot, reach):
            now = wide[at].chunk
            start, end = min(first, now.start), max(last, now.end)
            wider = Chunk(chunk.document, start, end, text[start:end])
            cost = count(wider.text) - count(now.text)
            if spent + cost <= budget and not any(wider.overlaps(other.chunk) for other in wide if other.n != passage.n):
                wide[at] = replace(passage, chunk=wider)
                spent += cost
    return tuple(wide)


def _steps(chunk: Chunk, snapshot: Snapshot, reach: int) -> list[tuple[int, int]]:
    """Return the ranges of the neighbours, nearest first, each cut at its section's edge."""
    place = snapshot.place(chunk.document.document_id)
    if place is None:
        return []
    segment = snapshot.segments[place.segment]
    first, last = segment.rows_of(place.line)
    rows = segment.chunks[first:last]
    at = int(np.searchsorted(rows["start"], chunk.start))
    floor, ceiling = _section(chunk.document, chunk.start, chunk.end)
    steps = []
    for step in range(1, reach + 1):
        if at + step < len(rows) and rows["start"][at + step] < ceiling:
            steps.append((chunk.start, min(int(rows["end"][at + step]), ceiling)))
        if at - step >= 0 and rows["end"][at - step] > floor:
            steps.append((max(int(rows["start"][at - step]), floor), chunk.end))
    return steps


def _section(document: Document, start: int, end: int) -> tuple[int, int]:
    """Return where the section of ``start`` begins, and where that of ``end`` ends."""
    heads = [heading.start for heading in document.headings]
    return max((head for head in heads if head <= start), default=0), min((h for h in heads if h >= end), default=document.chars)
