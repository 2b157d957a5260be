"""A sentence or a passage's window -> what can be compared of it: content words in order, numbers, names, negations, qualifiers.

Forms that mean the same become the same here (1,000 = 1000, two = 2, 10 % = 10 per cent, isn't = is not), so that the rules
in ``support`` can be plain set operations.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from app.core import markers
from app.core.stems import stem


@dataclass(frozen=True, slots=True)
class Reading:
    """What can be compared of a text."""

    words: tuple[str, ...]
    """Stems of the content words, in order; numbers are words too, in one form."""
    held: frozenset[str]
    """The same, as a set."""
    numbers: frozenset[str]
    names: frozenset[str]
    """Stems of what is capitalised within a sentence, and of words that hold digits: S3, IPv4."""
    negated: frozenset[str]
    """Stems of the content words that a negation stands before."""
    affirmed: frozenset[str]
    """Stems of those that stand somewhere without one; a word may be both."""
    qualifiers: frozenset[str]
    """Words without content of their own that change what is claimed: only, all, must."""


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    """Lower case, or a number in its one form."""
    capital: bool
    """Capitalised, and not because a sentence begins."""
    number: bool = False


@lru_cache(maxsize=16384)
def read(text: str) -> Reading:
    """Read a text; markers in it are no part of it."""
    stems: list[str] = []
    numbers: set[str] = set()
    names: set[str] = set()
    negated: set[str] = set()
    affirmed: set[str] = set()
    qualifiers: set[str] = set()
    pending = 0
    for word in _counted(list(_words(_plain(text)))):
        if word.number:
            stems.append(word.text)
            numbers.add(word.text)
            continue
        if word.text in _NEGATIONS or word.text.endswith("n't"):
            pending = _SCOPE
            continue
        if word.text in _QUALIFIERS:
            qualifiers.add(_QUALIFIERS[word.text])
        if word.text in _STOP:
            continue
        root = stem(word.text)
        stems.append(root)
        if word.capital or any(char.isdigit() for char in root):
            names.add(root)
        if pending:
            negated.add(root)
            pending -= 1
        else:
            affirmed.add(root)
    if pending == _SCOPE and stems:  # "it does not", "Certainly not."
        negated.add(stems[-1])
    return Reading(
        words=tuple(stems),
        held=frozenset(stems),
        numbers=frozenset(numbers),
        names=frozenset(names),
        negated=frozenset(negated),
        affirmed=frozenset(affirmed),
        qualifiers=frozenset(qualifiers),
    )


def joined(readings: Sequence[Reading]) -> Reading:
    """Return adjacent sentences as one; a negation of one does not reach into the next."""
    return Reading(
        words=tuple(word for one in readings for word in one.words),
        held=_union(one.held for one in readings),
        numbers=_union(one.numbers for one in readings),
        names=_union(one.names for one in readings),
        negated=_union(one.negated for one in readings),
        affirmed=_union(one.affirmed for one in readings),
        qualifiers=_union(one.qualifiers for one in readings),
    )


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)


def bare(text: str) -> str:
    """Return a text without the Markdown that the house form of documents has not: list marks, emphasis, code marks."""
    return re.sub(r"\*+|`+|(?<!\w)_+|_+(?!\w)", "", _LINE_MARK.sub(" ", text))


def spaced(char: str) -> bool:
    """Whether a letter belongs to a script that puts spaces between words."""
    return not _UNSPACED.match(char)


_SCOPE = 2
"""Content words behind a negation that it may negate: "not yet supported"."""

_LINE_MARK = re.compile(r"^[^\S\n]*(?:[-*+•>]|\d{1,3}[.)]|#{1,6}|```.*)(?=\s|\Z)", re.MULTILINE)
# "In 2019, the plan grew" and "The plan grew in 2019": who stands before whom is asked later.
_FRONTED = re.compile(
    r"\A\s*((?:in|on|at|by|for|from|since|after|before|during|under|with|within|until|as of)\s[^,.!?\n]{1,80}),\s+((?:[^.!?\n]|[.!?](?=\S))+)",
    re.IGNORECASE,
)
_ISO_DATE = re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b")
_WORD = re.compile(
    r"\d+(?:[.,]\d+)*"  # a number; what is glued to it ("3GB", "19th") is a word of its own
    r"|[^\W\d_]+(?:'[^\W\d_]+|\d[^\W_]*(?:\.\d+)*)?"  # don't, S3, v1.2
    r"|[%$€£]"
)
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_MONTHS = "january february march april may june july august september october november december".split()
_SAME = {
    "%": "percent",
    "$": "dollar",
    "€": "euro",
    "£": "pound",
    "cannot": "n't",
    **{month[:3]: month for month in _MONTHS if month != "may"},
    "sept": "september",
}
_STOP = frozenset(
    "a an the of in on at to for and or is are was were be been being am by with as that this these those it its from which who "
    "whom whose what when where how why do does did he she they we you i his her their our your my me him them us has have had "
    "having will would can could should shall may might must there here then than so such also into over after before between "
    "about only very more most less least fewer some any each every all both other s t d ll re ve m if but per during under "
    "always often sometimes while because until through up out th st nd rd one well too just yes ok okay sure".split()
)
_NEGATIONS = frozenset("not no never none nobody nothing neither nor without n't nt".split())
_ALIKE = (
    "only solely exclusively",
    "all every each any always",
    "must required shall",
    "may might can could optionally",
    "before until",
    "after",
    "under below",
    "over above",
    "more",
    "less fewer",
    "most",
    "least",
)
_QUALIFIERS = {word: group.split()[0] for group in _ALIKE for word in group.split()}
_UNITS = {word: value for value, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())}
_UNITS |= {
    word: value for value, word in enumerate("thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(), start=13)
}
_TENS = {word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)}
_POWERS = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}


def _plain(text: str) -> str:
    """NFKC, without markers and the marks that lines of a list or a heading begin with; dates in words."""
    text = unicodedata.normalize("NFKC", markers.strip(text)).replace("’", "'")
    text = _LINE_MARK.sub(" ", text)
    text = _FRONTED.sub(lambda found: f"{found[2]} {found[1]}", text)
    return _ISO_DATE.sub(lambda found: f"{int(found[3])} {_MONTHS[int(found[2]) - 1]} {found[1]}", text)


def _words(text: str) -> Iterator[_Word]:
    for found in _WORD.finditer(text):
        raw = found[0]
        if raw[0].isdigit():
            for number in [raw.replace(",", "")] if _THOUSANDS.fullmatch(raw) else raw.split(","):
                yield _Word(_canonical(number), False, number=True)
            continue
        if _UNSPACED.search(raw):  # no spaces between words: pairs of characters stand for them
            yield from (_Word(a + b, False) for a, b in pairwise(raw)) if len(raw) > 1 else (_Word(raw, False),)
            continue
        before = text[: found.start()].rstrip(" \t\"'“‘(*_`") if raw[0].isupper() else ""
        low = raw.lower()
        yield _Word(_SAME.get(low, low), bool(before) and before[-1] not in ".!?:\n|")


def _counted(words: list[_Word]) -> Iterator[_Word]:
    """Turn words that count into numbers: two, twenty-one, 5 million."""
    at = 0
    while at < len(words):
        word = words[at]
        following = words[at + 1].text if at + 1 < len(words) else ""
        value: float | None = None
        if word.text == "per" and following == "cent":
            yield _Word("percent", False)
            at += 2
            continue
        if word.number and following in _POWERS and word.text.count(".") < 2:
            value = float(word.text)
        elif word.text in _TENS:
            value = _TENS[word.text]
            if 0 < _UNITS.get(following, 0) < 10:
                value += _UNITS[following]
                at += 1
        elif word.text in _UNITS and (word.text != "one" or following in _POWERS):  # "one" is a pronoun as often as a number
            value = _UNITS[word.text]
        elif word.text in _POWERS:
            value = 1
            at -= 1
        at += 1
        if value is None:
            yield word
            continue
        while at < len(words) and words[at].text in _POWERS:
            value *= _POWERS[words[at].text]
            at += 1
        yield _Word(_canonical(f"{value:f}"), False, number=True)


def _canonical(number: str) -> str:
    """Return 7 for 07 and 7.0; version numbers as they are."""
    whole, point, part = number.partition(".")
    if "." in part:
        return number
    part = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (point + part if part else "")
