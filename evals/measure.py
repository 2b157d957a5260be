"""The words of measurement, defined once: words, right, cited, nDCG, recall."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
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
    """Whether a citation overlaps the golden evidence.

    Args:
        citations: As an answer's body has them.
        texts: Each cited revision's text.
        evidence: ``document`` and ``quote``.
    """
    golden = list(evidence)
    return any(overlaps_evidence(c["uri"], c["start"], c["end"], texts[c["revision"]], golden) for c in citations)


def overlaps_evidence(uri: str, start: int, end: int, text: str, evidence: Iterable[Mapping[str, str]]) -> bool:
    """Whether a range of a document overlaps golden evidence: same document, white space and marks folded.

    Args:
        uri: The document's.
        start: Of the range, in code points.
        end: Its end, exclusive.
        text: The revision's whole text.
        evidence: ``document`` and ``quote``; a quote may stand more than once in its document.
    """
    flat, places = _folded(text)
    for gold in evidence:
        want = _folded(gold["quote"])[0]
        if not want or not same_document(uri, gold["document"]):
            continue
        for found in re.finditer(re.escape(want), flat):
            if start < places[found.end() - 1] + 1 and places[found.start()] < end:
                return True
    return False


def ndcg(ranked: Sequence[str], gains: Mapping[str, float], depth: int = 10) -> float:
    """Return nDCG of ranked documents: gain = the grade (linear), log2 discount. Without a relevant document it is 0."""
    found = sum(gains.get(name, 0.0) / math.log2(rank + 2) for rank, name in enumerate(ranked[:depth]))
    best = sum(gain / math.log2(rank + 2) for rank, gain in enumerate(sorted(gains.values(), reverse=True)[:depth]))
    return found / best if best else 0.0


def recall(ranked: Sequence[str], gains: Mapping[str, float], depth: int) -> float:
    """Return found relevant documents / min(depth, relevant ones); without a relevant document it is 0."""
    relevant = {name for name, gain in gains.items() if gain > 0}
    return len(relevant & set(ranked[:depth])) / min(depth, len(relevant)) if relevant else 0.0


def _folded(text: str) -> tuple[str, list[int]]:
    places = [place for place, char in enumerate(text) if not char.isspace() and char not in "*`_"]
    return "".join(text[place] for place in places), places
