"""Hits -> the passages that fit a token budget."""

from collections.abc import Sequence

from app.core.sentences import spans
from app.core.tokens import TokenCounter
from app.core.types import Hit, Passage
from app.core.words import words

IDENTITY = "pack/3"
"""Part of the release."""


def pack(hits: Sequence[Hit], *, budget: int, most: int, count: TokenCounter) -> tuple[Passage, ...]:
    """Keep the best hits that fit, without repeating text.

    Walks the hits best first. A hit is left out when it repeats one already kept (an overlapping range, or another document
    of which each sentence has the words of one there, however they are dressed: one other number or name is another fact), or
    would break the budget; a later, shorter one may still fit. Numbers start at 1 and follow rank.

    Args:
        hits: Best first.
        budget: Most tokens the passages may cost together.
        most: Most passages.
        count: The token counter.

    Returns:
        The passages; empty when there were no hits, or none fits.
    """
    kept: list[Passage] = []
    said: list[set[tuple[str, ...]]] = []
    spent = 0
    for hit in hits:
        if len(kept) == most:
            break
        cost = count(hit.chunk.text)
        if spent + cost > budget or any(hit.chunk.overlaps(passage.chunk) for passage in kept):
            continue
        says = _sentences(hit.chunk.text)  # once, and only if it may be kept
        if says and any(says <= kept_says for kept_says in said):
            continue
        kept.append(Passage(len(kept) + 1, hit.chunk, hit.score))
        said.append(says)
        spent += cost
    return tuple(kept)


def _sentences(text: str) -> set[tuple[str, ...]]:
    return {said for start, end in spans(text) if (said := tuple(words(text[start:end])))}
