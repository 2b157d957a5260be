"""A sentence and the passages it stands on -> how they carry it, and where. Pure: the same inputs, the same verdict.

Word for word is found by comparing characters. Else each window of one or two sentences of a passage is compared by its content
words, and hard rules hold each on its own: numbers, negation, names, qualifiers, a word put in another's place. Overlap alone
can't see a swapped number, and a fitted score forgets rare kinds of error; rules don't.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher
from functools import lru_cache

from app.core import markers, sentences
from app.core.types import Passage, Support
from app.verify.reading import Reading, bare, joined, read, spaced

VERSION = "support/3"


@dataclass(frozen=True, slots=True)
class Constants:
    """What decides between the labels; part of the release."""

    entailed: float = 0.8
    """Share of a sentence's content words that its window must hold."""
    partial: float = 0.5
    pair: float = 0.15
    """Share of the content words, numbers aside, that a second sentence must add: it must not lend a neighbour its number."""
    pair_words: float = 1.5
    """And at least this many words: in a short sentence one word is a large share."""
    joint: float = 0.25
    """Share that a passage must add to the others for it to carry a part of a sentence that cites several."""
    spread: float = 2.5
    """How many words of a window a covered word may take up."""
    rare: int = 2
    """How many words a name or a number counts for."""


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
    if not passages or not _flat(sentence)[0].strip(_MARKS):
        return Judgement("unverified", 0.0, ())
    claim = read(sentence)
    found = [_in_passage(sentence, claim, passage) for passage in passages]
    if not any(_RANK[one.evidence.support] >= _RANK["entailed"] for one in found):
        found = _together(claim, found)
    best = sorted((one.evidence for one in found), key=lambda e: (-_RANK[e.support], -e.score, e.passage.n))
    return Judgement(best[0].support, best[0].score, tuple(best))


_RANK: dict[Support, int] = {"verbatim": 4, "entailed": 3, "partial": 2, "unsupported": 1, "unverified": 0}
_MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~–—…•“”‘’«»。"
_STOPS = ".!?…。！？"
_MOST_SPANS = 12
"""A unit of more lines (a long table) is compared with windows of this many."""


@dataclass(frozen=True, slots=True)
class _Window:
    start: int
    end: int
    reading: Reading


@dataclass(frozen=True, slots=True)
class _Found:
    evidence: Evidence
    window: Reading


def _in_passage(sentence: str, claim: Reading, passage: Passage) -> _Found:
    text, first = passage.chunk.text, passage.chunk.start
    verbatim = _verbatim(sentence, text)
    if verbatim:
        start, end = verbatim
        return _Found(Evidence(passage, first + start, first + end, "verbatim", 1.0), claim)
    if not claim.words:  # "It is so.": no word of it can be looked for
        return _Found(Evidence(passage, first, passage.chunk.end, "unverified", 0.0), claim)
    context = read("\n".join([passage.chunk.document.title, *passage.chunk.heading])).held
    singles, wider = _windows(text, min(max(2, len(sentences.spans(sentence))), _MOST_SPANS))
    price = max(CONSTANTS.pair * len(claim.words), CONSTANTS.pair_words)
    weighed = [(float(_covered(claim, window, context)), -i, window) for i, window in enumerate(singles)]
    weighed += [(_covered(claim, window, context) - price, -i, window) for i, window in enumerate(wider, len(singles))]
    if not weighed:
        return _Found(Evidence(passage, first, passage.chunk.end, "unsupported", 0.0), claim)
    _, _, window = max(weighed, key=lambda one: one[:2])
    support, score = _compare(claim, window.reading, joined([one.reading for one in singles]), context)
    return _Found(Evidence(passage, first + window.start, first + window.end, support, score), window.reading)


def _covered(claim: Reading, window: _Window, context: frozenset[str]) -> int:
    """How many of the claim's content words a window holds, numbers aside; what the headings above it say is known there."""
    words = [word for word in claim.words if word not in claim.numbers] or claim.words
    return sum(word in window.reading.held or word in context for word in words)


def _compare(claim: Reading, window: Reading, passage: Reading, context: frozenset[str]) -> tuple[Support, float]:
    """Apply overlap, then the rules; each rule alone can only lower the verdict."""
    held = window.held | context
    weights = {word: CONSTANTS.rare if word in claim.numbers or word in claim.names else 1 for word in claim.held}
    share = sum(weight for word, weight in weights.items() if word in held) / sum(weights.values())
    if share < CONSTANTS.partial or _contradicts(claim, window, passage):
        return "unsupported", round(min(share, CONSTANTS.partial) * 0.9, 4)
    if share < CONSTANTS.entailed or _doubtful(claim, window, context):
        return "partial", round(min(share, CONSTANTS.entailed) * 0.95, 4)
    return "entailed", round(min(share, 0.99), 4)


def _contradicts(claim: Reading, window: Reading, passage: Reading) -> bool:
    """Whether a number is another's, or one says that what the other denies."""
    foreign = claim.numbers - window.numbers
    if foreign and (foreign - passage.numbers or window.numbers - claim.numbers):
        return True
    return _denies(claim, window)


def _denies(claim: Reading, window: Reading) -> bool:
    """Whether one negates a word that the other only has without negation."""
    return bool(
        (claim.negated & window.held) - window.negated or ((window.negated - window.affirmed) & claim.held) - claim.negated
    )


def _doubtful(claim: Reading, window: Reading, context: frozenset[str]) -> bool:
    """Whether anything keeps a well covered claim from being certain."""
    return bool(
        claim.numbers - window.numbers
        or claim.names - window.held - context
        or claim.qualifiers - window.qualifiers
        or bool(claim.negated) != bool(window.negated)
        or _replaces(claim, window)
        or _reorders(claim, window)
        or _scattered(claim, window)
    )


def _replaces(claim: Reading, window: Reading) -> bool:
    """Whether words of the claim stand where the window has others: a false recall, an antonym, another entity."""
    a, b = claim.words, window.words
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "replace" and j2 - j1 <= 3 and any(word not in window.held for word in a[i1:i2]):
            return True
    return False


def _reorders(claim: Reading, window: Reading) -> bool:
    """Whether names and numbers that both have stand in another order: who did what to whom."""
    once = [
        word
        for word in claim.words
        if word in claim.numbers | claim.names and claim.words.count(word) == window.words.count(word) == 1
    ]
    places = [window.words.index(word) for word in once]
    return places != sorted(places)


def _scattered(claim: Reading, window: Reading) -> bool:
    """Whether the claim's words must be gathered from far apart: a long sentence holds them all and says something else."""
    wanted = claim.held & window.held
    last: dict[str, int] = {}
    nearest = len(window.words)
    for place, word in enumerate(window.words):
        if word in wanted:
            last[word] = place
            if len(last) == len(wanted):
                nearest = min(nearest, place - min(last.values()) + 1)
    return nearest > CONSTANTS.spread * len(wanted) + 2


def _together(claim: Reading, found: Sequence[_Found]) -> list[_Found]:
    """Let passages that each carry a part of the sentence carry it together: in part, since nobody checked what joins them."""
    kept = list(found)
    held: frozenset[str] = frozenset()
    parts: list[int] = []
    order = sorted(range(len(found)), key=lambda i: (-_held(claim, found[i].window.held), found[i].evidence.passage.n))
    for i in order:
        if found[i].evidence.support in ("unsupported", "partial") and (
            _held(claim, held | found[i].window.held) - _held(claim, held) >= CONSTANTS.joint
        ):
            held |= found[i].window.held
            parts.append(i)
    share = _held(claim, held)
    if len(parts) < 2 or share < CONSTANTS.partial or claim.numbers - held:
        return kept
    for i in parts:
        if kept[i].evidence.support == "unsupported" and not _denies(claim, found[i].window):
            score = round(min(share, CONSTANTS.entailed) * 0.95, 4)
            kept[i] = replace(kept[i], evidence=replace(kept[i].evidence, support="partial", score=score))
    return kept


def _held(claim: Reading, words: frozenset[str]) -> float:
    return len(claim.held & words) / max(len(claim.held), 1)


def _verbatim(sentence: str, text: str) -> tuple[int, int] | None:
    """Find a sentence in a text, white space, markers and a final stop aside; return the exact range."""
    flat, places = _flat(text)
    whole, _ = _flat(sentence)
    undressed, _ = _flat(bare(sentence))
    for form in (whole, whole.rstrip(_STOPS), undressed.rstrip(_STOPS)):
        at = flat.find(form) if form.strip(_MARKS) else -1
        while at >= 0:
            start, end = places[at], places[at + len(form) - 1] + 1
            if not (_joined(text, start) or _joined(text, end)):
                return start, end
            at = flat.find(form, at + 1)
    return None


def _joined(text: str, at: int) -> bool:
    """Whether a word goes on across ``at``."""
    return 0 < at < len(text) and all(char.isalnum() and spaced(char) for char in text[at - 1 : at + 1])


@lru_cache(maxsize=4096)
def _flat(text: str) -> tuple[str, tuple[int, ...]]:
    """Return a text without white space and markers, and where each character stood."""
    hidden = markers.hidden(text)
    places = tuple(i for i, char in enumerate(text) if not char.isspace() and i not in hidden)
    return "".join(text[i] for i in places).replace("’", "'"), places


@lru_cache(maxsize=4096)
def _windows(text: str, most: int) -> tuple[tuple[_Window, ...], tuple[_Window, ...]]:
    """Return the windows of one sentence, and those of two and of ``most`` adjacent ones."""
    singles = [_Window(start, end, read(text[start:end])) for start, end in sentences.spans(text)]

    def of(size: int) -> list[_Window]:
        groups = [singles[i : i + size] for i in range(len(singles) - size + 1)]
        return [_Window(group[0].start, group[-1].end, joined([one.reading for one in group])) for group in groups]

    return tuple(singles), tuple(of(2) + (of(most) if most > 2 else []))
