"""The words of measurement, defined once: words, right, cited, and the shares that reports are made of."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

_MARKER = re.compile(r"(?:\[\d{1,3}\])+")
_SHORT = 5
"""Words up to which an acceptable answer must occur as a run; a longer one by its content words."""
_ENOUGH = 0.5
_STOP = frozenset(
    "a an the of in on at to for and or is are was were be been by with as that this it its from which who what when where how why do "
    "does did not no he she they we you i his her their our your has have had will would can could".split()
)


def words(text: str) -> list[str]:
    """Return the words of a text.

    Markers dropped, NFKC, lower case, dashes and slashes to spaces, other punctuation deleted (a point between digits stays),
    articles dropped.
    """
    text = unicodedata.normalize("NFKC", _MARKER.sub(" ", text)).lower()
    kept: list[str] = []
    for place, char in enumerate(text):
        if unicodedata.category(char) == "Pd" or char in "/\\":
            kept.append(" ")
        elif unicodedata.category(char)[0] != "P" or (
            char == "." and text[place - 1 : place].isdigit() and text[place + 1 : place + 2].isdigit()
        ):
            kept.append(char)
    return [word for word in "".join(kept).split() if word not in {"a", "an", "the"}]


def right(answer: str, acceptable: Iterable[str]) -> bool:
    """Whether an answer holds an acceptable one: a short one as a run of words, a longer one by half its content words."""
    said = words(answer)
    for one in acceptable:
        gold = words(one)
        if gold and len(gold) <= _SHORT:
            if any(said[place : place + len(gold)] == gold for place in range(len(said) - len(gold) + 1)):
                return True
        elif gold:
            content = [word for word in gold if word not in _STOP] or gold
            if sum(word in set(said) for word in content) >= _ENOUGH * len(content):
                return True
    return False


def same_document(uri: str, name: str) -> bool:
    """Whether a golden case's document name means a uri: the whole of it, or its end after a ``/`` or ``#``."""
    return uri == name or uri.endswith((f"/{name}", f"#{name}"))


def cited(citations: Iterable[Mapping[str, Any]], texts: Mapping[str, str], evidence: Iterable[Mapping[str, str]]) -> bool:
    """Whether a citation overlaps the golden evidence: same document, overlapping ranges, white space and marks folded.

    Args:
        citations: As an answer's body has them.
        texts: Each cited revision's text.
        evidence: ``document`` and ``quote``; a quote may stand more than once in its document.
    """
    golden = list(evidence)
    for citation in citations:
        flat, places = _folded(texts[citation["revision"]])
        for gold in golden:
            want = _folded(gold["quote"])[0]
            if not want or not same_document(citation["uri"], gold["document"]):
                continue
            for found in re.finditer(re.escape(want), flat):
                if citation["start"] < places[found.end() - 1] + 1 and places[found.start()] < citation["end"]:
                    return True
    return False


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case, scored. ``status`` is None when there was no body: an error, never a wrong answer and never dropped."""

    answerable: bool
    status: str | None
    words: int = 0
    right: bool = False
    cited: bool = False
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Shares:
    """A set of cases in DESIGN's words; None where a share has no denominator."""

    cases: int
    errors: int
    answered: int
    median_words: float | None
    right: float | None
    cited: float | None
    right_overall: float | None
    abstention_precision: float | None
    abstention_recall: float | None
    answerable_refused: float | None
    p50_ms: float | None

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self)


def shares(outcomes: Sequence[Outcome]) -> Shares:
    """Add up outcomes. Right and cited are of answered answerable cases; right overall is of all answerable ones."""
    able = [o for o in outcomes if o.answerable]
    said = [o for o in outcomes if o.status in ("answered", "degraded")]
    mute = [o for o in outcomes if o.status == "abstained"]
    on_able = [o for o in said if o.answerable]
    timed = [o.ms for o in outcomes if o.status]
    return Shares(
        cases=len(outcomes),
        errors=sum(o.status is None for o in outcomes),
        answered=len(said),
        median_words=median(o.words for o in said) if said else None,
        right=_share([o for o in on_able if o.right], on_able),
        cited=_share([o for o in on_able if o.right and o.cited], on_able),
        right_overall=_share([o for o in on_able if o.right], able),
        abstention_precision=_share([o for o in mute if not o.answerable], mute),
        abstention_recall=_share([o for o in mute if not o.answerable], [o for o in outcomes if not o.answerable]),
        answerable_refused=_share([o for o in mute if o.answerable], able),
        p50_ms=round(median(timed), 1) if timed else None,
    )


def _share(part: Sequence[Outcome], whole: Sequence[Outcome]) -> float | None:
    return round(len(part) / len(whole), 3) if whole else None


def _folded(text: str) -> tuple[str, list[int]]:
    places = [place for place, char in enumerate(text) if not char.isspace() and char not in "*`_"]
    return "".join(text[place] for place in places), places
