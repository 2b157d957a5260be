"""Question + passages -> the sentences that answer it, word for word; none when nothing does.

    passages ─ read ─▶ units ─ embed, count words ─▶ scored units ─ evidence ─▶ enough? ─▶ choose ─▶ picks in reading order

It sees what any model sees, the rendered prompt: no index, no retrieval scores.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache

import numpy as np

from app.core.sentences import spans
from app.core.stems import stem
from app.core.types import Vectors
from app.model.english import CAUSE, KINDS, NAME, NUMBER, POINTER, PRONOUN, STOP, WHEN, negated, opposites, stems_of

Embed = Callable[[Sequence[str]], Vectors]

IDENTITY = "extract/5"
"""Part of the release: change it when the same passages would give another answer."""

WORDS = 88
"""An answer holds the best sentences that fit into this many words (its first may be longer): 70 in the median."""

MOST = 5
"""Sentences of an answer: each is cited on its own, and a caller gets five citations unless it asks for more."""

_BEHIND = 0.4
"""How far behind the best a sentence may score and still be said: half a sentence less for one point of *right* on the sets
of ``_WEIGHTS``; at 0.3 it cost five, and without a bound answers are filled up with what stands near."""

_MOST_READ = 8
"""Sentences that are embedded, the likeliest by their words; reading all of five passages gave no better answers."""

_GIST_WORDS = 35
"""A passage is embedded as its likeliest sentences of so many words: as good as the whole, at a fifth of the cost."""

_LONGEST = 60
"""Words of a text that are embedded: what stands behind them hardly turns its vector."""


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
    text: str
    stems: frozenset[str]
    about: frozenset[str]
    """Stems of the title and the heading it stands under."""
    says: bool
    """Whether it can be an answer; a heading, a list's opener and a question are context."""


@dataclass(frozen=True, slots=True)
class _Asked:
    text: str
    stems: frozenset[str]
    weight: Mapping[str, float]
    """How much each content word tells: the rarer in the passages, the more."""
    kind: str


@dataclass(frozen=True, slots=True)
class _Likeness:
    """Cosines with the question, and of each embedded unit with its passage's title."""

    passages: Sequence[float]
    titles: Sequence[float]
    """One per passage; 0 where there is no title."""
    units: Mapping[int, float]
    unit_titles: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for the passages holding an answer. Each field raises the odds, so each weight is positive."""

    beyond_topic: float
    """Cosine of question and best sentence without what either shares with the title."""
    lead: float
    """By how much the nearest passage beats the mean of the others."""
    nearness: float
    """Cosine of question and nearest passage."""
    covered: float
    """Weight of the question's words that stand in any passage, as a share."""
    negation: float
    """-1 when the question is negated and the best sentence is not; "why is it not …" asks for no negation."""
    opposite: float
    """-1 when the best sentence has the opposite of a word of the question."""
    number: float
    """-1 when a number of the question stands neither in the best sentence nor beside it."""


# Logistic regression (classes and sets of equal weight) on the top 5 of qa-clapnq, qa-squad2 and docs-plausible of shared/data and
# on the handbook's own cases; the threshold refuses 15 % of a set's answerable questions on average. docs/decisions has what it
# does on a set that it was not fitted on.
_WEIGHTS = Evidence(beyond_topic=3.3, lead=1.9, nearness=3.7, covered=0.8, negation=1.3, opposite=0.7, number=2.0)
_THRESHOLD = 3.89
_LEAD_ALONE = 0.23
"""The lead of a passage without others: the mean of the same questions."""


def extract(question: str, passages: Sequence[Source], *, embed: Embed) -> list[Pick]:
    """Return the sentences that answer ``question``: best passage first, in reading order within one; empty to abstain.

    Args:
        question: As the caller asked it.
        passages: Best first.
        embed: Texts -> unit rows. Its vectors are remembered: the same text must always give the same row.
    """
    units = [unit for i, passage in enumerate(passages) for unit in _read(i, passage)]
    if not any(unit.says for unit in units):
        return []
    asked = _ask(question, units)
    said = _said(asked, units)
    like = _compare(question, passages, units, said, embed)
    scores = _score(units, said, like)
    if odds(_evidence(asked, units, like, scores)) < _THRESHOLD:
        return []
    chosen = _choose(units, scores)
    best = {p: max(scores.get(i, -1.0) for i in chosen if units[i].passage == p) for p in {units[i].passage for i in chosen}}
    return [Pick(passages[units[i].passage].n, units[i].text) for i in sorted(chosen, key=lambda i: (-best[units[i].passage], i))]


def odds(evidence: Evidence) -> float:
    """Return the evidence as one number, a logit but for its constant."""
    return float(sum(weight * value for weight, value in zip(astuple(_WEIGHTS), astuple(evidence), strict=True)))


def _read(i: int, passage: Source) -> list[_Unit]:
    about = stems_of(f"{passage.title} {passage.heading}")
    headings = {heading.strip() for heading in (passage.title, *passage.heading.split(">"))}
    texts = (passage.text[start:end] for start, end in spans(passage.text))
    return [_Unit(i, text, stems_of(text), about, text.strip("# ") not in headings and _says(text)) for text in texts]


def _says(text: str) -> bool:
    count = len(re.findall(r"\w+", text))
    if count < 3 or text.endswith(("?", ":")) or POINTER.match(text):
        return False
    stops = text.rstrip("\"'”’»)] ")[-1:] in (".", "!", "。", "！", "…")
    return stops or count > 8 or _is_item(text) or _is_row(text)


def _is_item(text: str) -> bool:
    return re.match(r"[-*•]\s|\d+[.)]\s", text) is not None


def _is_row(text: str) -> bool:
    return " | " in text


def _ask(question: str, units: Sequence[_Unit]) -> _Asked:
    seen = Counter(one for unit in units for one in unit.stems)
    stems = stems_of(question)
    weight = {one: math.log(1 + (len(units) + 1) / (seen[one] + 0.5)) for one in sorted(stems - STOP)}
    kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, question, re.IGNORECASE)), "other")
    return _Asked(question, stems, weight, kind)


def _said(asked: _Asked, units: Sequence[_Unit]) -> dict[int, float]:
    """Return how well the words of each unit that can be an answer, and of its neighbours, meet the question."""
    said = {}
    for i, unit in enumerate(units):
        if unit.says:
            near = unit.about.union(*(units[j].stems for j in _beside(units, i)))
            own = _covered(asked.weight, unit.stems | unit.about)
            said[i] = 0.3 * own + 0.3 * _covered(asked.weight, near) + 0.15 * _fits(asked, unit.text)
    return said


def _compare(
    question: str, passages: Sequence[Source], units: Sequence[_Unit], said: Mapping[int, float], embed: Embed
) -> _Likeness:
    n = len(passages)
    read = sorted(sorted(said, key=lambda i: (-said[i] - 0.5 / (1 + units[i].passage), i))[:_MOST_READ])
    gists = [f"{passage.title}\n{_gist(units, said, i) or passage.text}" for i, passage in enumerate(passages)]
    texts = [question, *gists, *(p.title for p in passages), *(units[i].text for i in read)]
    one = _remembering(embed)
    vectors = np.stack([one(_cut(text)) for text in texts])
    titled = np.array([[float(bool(p.title.strip()))] for p in passages], dtype=np.float32)
    titles, sentences = vectors[n + 1 : 2 * n + 1] * titled, vectors[2 * n + 1 :]
    beside = np.sum(sentences * titles[[units[i].passage for i in read]], axis=1)
    return _Likeness(
        passages=[float(cosine) for cosine in vectors[1 : n + 1] @ vectors[0]],
        titles=[float(cosine) for cosine in titles @ vectors[0]],
        units=dict(zip(read, (float(cosine) for cosine in sentences @ vectors[0]), strict=True)),
        unit_titles=dict(zip(read, (float(cosine) for cosine in beside), strict=True)),
    )


@lru_cache(maxsize=2)
def _remembering(embed: Embed) -> Callable[[str], Vectors]:
    """Return an embedder of single texts that keeps the last 20,000 vectors (35 MB): documents' sentences come back.

    One at a time costs less than a batch with its padding, and such a vector depends on nothing else: an answer is the same
    whether its vectors were remembered or not. Safe to call from several threads.
    """
    return lru_cache(maxsize=20_000)(lambda text: embed([text])[0])


def _gist(units: Sequence[_Unit], said: Mapping[int, float], passage: int) -> str:
    """Return the sentences of a passage that come closest to the question by their words, in reading order."""
    kept: list[int] = []
    length = 0
    for i in sorted((i for i in said if units[i].passage == passage), key=lambda i: (-said[i], i)):
        count = _length(units[i].text)
        if not kept or length + count <= _GIST_WORDS:
            kept.append(i)
            length += count
    return " ".join(units[i].text for i in sorted(kept))


def _cut(text: str) -> str:
    words = text.split(" ", _LONGEST)
    return " ".join(words[:_LONGEST])


def _score(units: Sequence[_Unit], said: Mapping[int, float], like: _Likeness) -> dict[int, float]:
    """Return how well each unit answers; the weights were found by hand on the sets of ``_WEIGHTS``."""
    least = min(like.units.values())  # what was not embedded is taken for as unlike as anything that was
    return {i: said[i] + 0.5 * like.units.get(i, least) + 1.0 * like.passages[units[i].passage] for i in said}


def _evidence(asked: _Asked, units: Sequence[_Unit], like: _Likeness, scores: Mapping[int, float]) -> Evidence:
    best = max(like.units, key=lambda i: scores[i])
    unit = units[best]
    beside = unit.about.union(*(units[j].stems for j in _beside(units, best)))
    first, *others = sorted(like.passages, reverse=True)
    return Evidence(
        beyond_topic=_beyond(like.units[best], like.titles[unit.passage], like.unit_titles[best]),
        lead=first - sum(others) / len(others) if others else _LEAD_ALONE,
        nearness=first,
        covered=_covered(asked.weight, frozenset().union(*(u.stems for u in units))),
        negation=-float(asked.kind != "why" and negated(asked.text) and not negated(unit.text)),
        opposite=-float(any(opposites(one) & unit.stems for one in asked.stems - beside)),
        number=-float(any(one.isdigit() for one in asked.stems - beside)),
    )


def _beyond(with_question: float, question_title: float, unit_title: float) -> float:
    """Return the cosine of question and unit after the title's direction was taken from both."""
    left = max(1 - question_title**2, 0.01) * max(1 - unit_title**2, 0.01)
    return (with_question - question_title * unit_title) / math.sqrt(left)


def _choose(units: Sequence[_Unit], scores: Mapping[int, float]) -> list[int]:
    """Return the best units that fit into ``WORDS`` and ``MOST``, each with what it can't be read without."""
    least = max(scores.values()) - _BEHIND
    chosen: list[int] = []
    length = 0
    for i in sorted((i for i in scores if scores[i] >= least), key=lambda i: (-scores[i], i)):
        added = [j for j in (_leader(units, i), i) if j is not None and j not in chosen]
        count = sum(_length(units[j].text) for j in added)
        if not chosen and count > WORDS:
            added, count = [i], _length(units[i].text)
        said_already = units[i].text in {units[j].text for j in chosen}  # by another passage, too
        if not said_already and len(chosen) + len(added) <= MOST and (not chosen or length + count <= WORDS):
            chosen += added
            length += count
    return chosen


def _length(text: str) -> int:
    return len(re.findall(r"\S*\w\S*", text))  # tokenised text has its stops apart: they are no words


def _leader(units: Sequence[_Unit], i: int) -> int | None:
    """Return the unit before ``i`` without which it can't be read: an antecedent, a list's opener, a table's first row."""
    unit, before = units[i], [j for j in range(i) if units[j].passage == units[i].passage]
    if not before:
        return None
    if _is_row(unit.text):
        first = i
        while first - 1 in before and _is_row(units[first - 1].text):
            first -= 1
        return first if first < i else None
    if _is_item(unit.text):
        opener = next((j for j in reversed(before) if not _is_item(units[j].text)), None)
        return opener if opener is not None and units[opener].text.endswith(":") else None
    return before[-1] if PRONOUN.match(unit.text) and units[before[-1]].says else None


def _beside(units: Sequence[_Unit], i: int) -> list[int]:
    return [j for j in (i - 1, i, i + 1) if 0 <= j < len(units) and units[j].passage == units[i].passage]


def _covered(weight: Mapping[str, float], stems: frozenset[str]) -> float:
    whole = sum(weight.values())
    return sum(value for one, value in weight.items() if one in stems) / whole if whole else 0.0


def _fits(asked: _Asked, text: str) -> float:
    """Whether a text holds, beyond the question's own words, what its kind of question asks for; half when that can't be told."""
    if asked.kind in ("when", "number"):
        found = (WHEN if asked.kind == "when" else NUMBER).findall(text.lower())
        return float(any(stem(word) not in asked.stems for word in found))
    if asked.kind in ("who", "where"):
        return float(any(stem(word.lower()) not in asked.stems | STOP for word in NAME.findall(text)))
    return float(bool(CAUSE.search(text))) if asked.kind == "why" else 0.5
