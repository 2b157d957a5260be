"""Question + passages -> the sentences that answer it, word for word; none when nothing does.

    passages ─ read ─▶ units ─ embed, count words ─▶ scored units ─ answerable? ─▶ choose ─▶ picks in reading order

It sees what any model sees, the rendered prompt: no index, no retrieval scores.
"""

import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import snowballstemmer

from app.core.sentences import spans
from app.core.types import Vectors

Embed = Callable[[Sequence[str]], Vectors]

WORDS = 75
"""An answer grows until the next sentence would take it past this many words."""


IDENTITY = "extract/1"
"""Part of the release: change it when the same passages would give another answer."""


@dataclass(frozen=True, slots=True)
class Source:
    """A passage as the rendered prompt shows it."""

    n: int
    title: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Pick:
    """A verbatim part of passage ``n``."""

    n: int
    text: str


@dataclass(frozen=True, slots=True)
class _Unit:
    passage: int
    place: int
    text: str
    stems: frozenset[str]
    candidate: bool


def extract(question: str, passages: Sequence[Source], *, embed: Embed) -> list[Pick]:
    """Return the sentences that answer ``question``: best passage first, in reading order within one; empty to abstain.

    Args:
        question: As the caller asked it.
        passages: Best first.
        embed: Texts -> unit rows; called once.
    """
    units = [unit for i, passage in enumerate(passages) for unit in _read(i, passage)]
    if not any(unit.candidate for unit in units):
        return []
    vectors = embed([question, *(f"{p.title}\n{p.text}" for p in passages), *(unit.text for unit in units)])
    cosines = vectors[1:] @ vectors[0]
    of_passage, of_unit = cosines[: len(passages)], cosines[len(passages) :]
    asked = _stems(question)
    weight = _weights(asked, units)
    about = [_stems(f"{p.title} {p.heading}") for p in passages]
    scores: dict[int, float] = {}
    for i, unit in enumerate(units):
        if unit.candidate:
            near = frozenset().union(*(u.stems for u in units[max(0, i - 1) : i + 2] if u.passage == unit.passage))
            own = _covered(weight, unit.stems | about[unit.passage])
            wide = _covered(weight, near | about[unit.passage])
            scores[i] = float(0.5 * of_unit[i] + 0.3 * own + 0.3 * wide + of_passage[unit.passage])
    if max(of_passage) < 0.35:
        return []
    chosen: list[int] = []
    length = 0
    for i in sorted(scores, key=lambda i: -scores[i]):
        count = len(units[i].text.split())
        if chosen and length + count > WORDS:
            break
        chosen.append(i)
        length += count
    order = sorted(chosen, key=lambda i: (-max(scores[j] for j in chosen if units[j].passage == units[i].passage), i))
    return [Pick(passages[units[i].passage].n, units[i].text) for i in order]


def _read(i: int, passage: Source) -> list[_Unit]:
    texts = [passage.text[start:end] for start, end in spans(passage.text)]
    return [_Unit(i, place, text, _stems(text), _says(text)) for place, text in enumerate(texts)]


def _says(text: str) -> bool:
    """Whether a unit can be an answer: a heading, a question or a table's rule says nothing."""
    count = len(re.findall(r"\w+", text))
    stops = text.rstrip("\"'”’)] ")[-1:] in ".!。！:"
    return (
        count >= 3
        and not text.endswith("?")
        and (stops or count > 8 or bool(re.match(r"[-*•]\s|\d+[.)]\s", text)) or " | " in text)
    )


def _weights(asked: frozenset[str], units: Sequence[_Unit]) -> dict[str, float]:
    """Return how much each content word of the question tells: the rarer in the passages, the more."""
    seen = Counter(stem for unit in units for stem in unit.stems)
    return {stem: math.log(1 + (len(units) + 1) / (seen[stem] + 0.5)) for stem in asked - _STOP}


def _covered(weight: dict[str, float], stems: frozenset[str]) -> float:
    whole = sum(weight.values())
    return sum(value for stem, value in weight.items() if stem in stems) / whole if whole else 0.0


class _Stemmers(threading.local):
    def __init__(self) -> None:
        self.english = snowballstemmer.stemmer("english")  # keeps the word it works on: not to be shared by threads


_stemmers = _Stemmers()


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    return str(_stemmers.english.stemWord(word))


def _stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in re.findall(r"\w+", text.lower()))


_STOP = frozenset(
    _stem(word)
    for word in [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "and",
        "or",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "by",
        "with",
        "as",
        "that",
        "this",
        "it",
        "its",
        "from",
        "which",
        "who",
        "whom",
        "whose",
        "what",
        "when",
        "where",
        "how",
        "why",
        "do",
        "does",
        "did",
        "not",
        "no",
        "he",
        "she",
        "they",
        "we",
        "you",
        "i",
        "his",
        "her",
        "their",
        "our",
        "your",
        "has",
        "have",
        "had",
        "will",
        "would",
        "can",
        "could",
        "s",
        "t",
        "many",
        "much",
    ]
)
