"""Hits -> the passages that fit a token budget."""

from collections.abc import Sequence

from app.core.tokens import TokenCounter
from app.core.types import Chunk, Hit, Passage
from app.core.words import words

IDENTITY = "pack/2"
"""Part of the release."""


def pack(hits: Sequence[Hit], *, budget: int, most: int, count: TokenCounter) -> tuple[Passage, ...]:
    """Keep the best hits that fit, without repeating text.

    Walks the hits best first. A hit is left out when it repeats one already kept (an overlapping range, or the same words in
    another document, however they are dressed: one other number or name is another fact) or would break the budget; a later, shorter one may still fit. Numbers start at 1 and follow rank.

    Args:
        hits: Best first.
        budget: Most tokens the passages may cost together.
        most: Most passages.
        count: The token counter.

    Returns:
        The passages; empty when there were no hits, or none fits.
    """
    kept: list[Passage] = []
    said: set[tuple[str, ...]] = set()
    spent = 0
    for hit in hits:
        if len(kept) == most:
            break
        cost = count(hit.chunk.text)
        if spent + cost > budget or any(_overlap(hit.chunk, passage.chunk) for passage in kept):
            continue
        again = tuple(words(hit.chunk.text))  # cut into words once, and only if it may be kept
        if again in said:
            continue
        kept.append(Passage(len(kept) + 1, hit.chunk, hit.score))
        said.add(again)
        spent += cost
    return tuple(kept)


def _overlap(a: Chunk, b: Chunk) -> bool:
    return a.document.document_id == b.document.document_id and a.start < b.end and b.start < a.end
