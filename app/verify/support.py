"""A sentence and the passages it stands on -> how they carry it, and where. Pure: the same inputs, the same verdict.

Word for word is found by comparing characters. Else each window of one or two sentences of a passage is compared by its
content words, and three hard rules hold each on its own: numbers, negation and names. Overlap alone can't see a swapped
number, and a fitted score forgets rare kinds of error; rules don't.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise

import snowballstemmer

from app.core import markers, sentences
from app.core.types import Passage, Support

VERSION = "support/1"


@dataclass(frozen=True, slots=True)
class Constants:
    """What decides between the labels; part of the release."""

    entailed: float = 0.8
    """Share of a sentence's content words that its window must hold."""
    partial: float = 0.5
    names: float = 0.5
    """A sentence with a foreign name needs at least this to be partly supported."""


CONSTANTS = Constants()


@dataclass(frozen=True, slots=True)
class Evidence:
    """A range of the cited revision's text that carries a sentence, or comes closest."""

    passage: Passage
    start: int
    end: int
    support: Support
    score: float

    @property
    def quote(self) -> str:
        """The characters of the range."""
        first = self.passage.chunk.start
        return self.passage.chunk.text[self.start - first : self.end - first]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a sentence is carried, and the best evidence in each passage, strongest passage first."""

    support: Support
    score: float
    evidence: tuple[Evidence, ...]


def identity() -> dict[str, object]:
    """Return what decides a verdict beside sentence and passages."""
    return {"version": VERSION, **asdict(CONSTANTS)}


def judge(sentence: str, passages: Sequence[Passage]) -> Judgement:
    """Judge one sentence, its markers removed, against passages.

    Returns:
        ``unverified`` when there is nothing to judge: no word in it, or no passage.
    """
    claim = _features(sentence)
    if not claim.words or not passages:
        return Judgement("unverified", 0.0, ())
    found = sorted(
        (_in_passage(sentence, claim, passage) for passage in passages), key=lambda e: (-_RANK[e.support], -e.score, e.passage.n)
    )
    return Judgement(found[0].support, found[0].score, tuple(found))


_RANK: dict[str, int] = {"verbatim": 4, "entailed": 3, "partial": 2, "unsupported": 1, "unverified": 0}
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)?")
_STOP = frozenset(
    "a an the of in on at to for and or is are was were be been being by with as that this these those it its from which who whom what "
    "when where how why do does did he she they we you i his her their our your has have had will would can could should may might "
    "there here then than so such also into over after before between about only very more most some any each other s".split()
)
_NEGATIONS = frozenset("not no never none nobody nothing neither nor without cannot n't".split())
_NUMBERS = {
    word: str(value)
    for value, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())
    if word not in ("one",)  # "one" is a pronoun as often as a number
}


@dataclass(frozen=True, slots=True)
class _Features:
    words: frozenset[str]
    numbers: frozenset[str]
    names: frozenset[str]
    negated: bool


@dataclass(frozen=True, slots=True)
class _Window:
    start: int
    end: int
    features: _Features


def _in_passage(sentence: str, claim: _Features, passage: Passage) -> Evidence:
    first = passage.chunk.start
    verbatim = _verbatim(sentence, passage.chunk.text)
    if verbatim:
        return Evidence(passage, first + verbatim[0], first + verbatim[1], "verbatim", 1.0)
    best: tuple[int, float, _Window] | None = None
    for window in _windows(passage.chunk.text):
        support, score = _compare(claim, window.features)
        if best is None or (_RANK[support], score) > (best[0], best[1]):
            best = (_RANK[support], score, window)
    if best is None:
        return Evidence(passage, first, passage.chunk.end, "unsupported", 0.0)
    support, score = _compare(claim, best[2].features)
    return Evidence(passage, first + best[2].start, first + best[2].end, support, score)


def _compare(claim: _Features, window: _Features) -> tuple[Support, float]:
    coverage = len(claim.words & window.words) / len(claim.words)
    score = round(coverage, 4)
    if coverage < CONSTANTS.partial or not claim.numbers <= window.numbers:
        return "unsupported", score
    if claim.negated != window.negated:
        return ("partial" if coverage >= CONSTANTS.entailed else "unsupported"), score
    if coverage >= CONSTANTS.entailed and claim.names <= window.words:
        return "entailed", score
    return "partial", score


def _verbatim(sentence: str, text: str) -> tuple[int, int] | None:
    """Find a sentence in a text, white space, markers and a final stop aside; return the exact range."""
    flat, places = _flat(text)
    wanted = "".join(markers.strip(sentence).split())
    for form in (wanted, wanted.rstrip(".!?。")):
        at = flat.find(form) if form else -1
        if at >= 0:
            return places[at], places[at + len(form) - 1] + 1
    return None


@lru_cache(maxsize=4096)
def _flat(text: str) -> tuple[str, tuple[int, ...]]:
    hidden = {place for start, end in markers.spans(text) for place in range(start, end)}
    places = tuple(i for i, char in enumerate(text) if not char.isspace() and i not in hidden)
    return "".join(text[i] for i in places), places


@lru_cache(maxsize=4096)
def _windows(text: str) -> tuple[_Window, ...]:
    spans = sentences.spans(text)
    pairs = [(a[0], b[1]) for a, b in pairwise(spans)]
    return tuple(_Window(start, end, _features(text[start:end])) for start, end in [*spans, *pairs])


def _features(text: str) -> _Features:
    plain = unicodedata.normalize("NFKC", markers.strip(text)).replace("’", "'")
    raw = _WORD.findall(plain)
    lower = [word.lower() for word in raw]
    numbers = frozenset(
        word.replace(",", "").rstrip(".") if word[0].isdigit() else _NUMBERS[word]
        for word in lower
        if word[0].isdigit() or word in _NUMBERS
    )
    names = frozenset(
        _stem(low)
        for place, (word, low) in enumerate(zip(raw, lower, strict=True))
        if place and word[0].isupper() and low not in _STOP
    )
    content = frozenset(
        _stem(word) for word in lower if word not in _STOP and word not in _NEGATIONS and not word.endswith("n't")
    )
    negated = any(word in _NEGATIONS or word.endswith("n't") for word in lower)
    return _Features(content or frozenset(lower), numbers, names, negated)


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    stem: str = snowballstemmer.stemmer("english").stemWord(word)
    return stem
