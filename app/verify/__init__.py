"""A unit of the model's text -> the text that may be shown, its citations, and how its evidence carries it.

The model's ``[n]`` names a passage; the answer's ``[n]`` names a citation: one quote of one passage. A marker that its passage
does not carry is removed, and none is ever added.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.core import markers
from app.core.types import Citation, Claim, Passage, Warned
from app.verify.support import Evidence, identity, judge

__all__ = ["Checked", "Checker", "identity"]

_NO_CLAIM = re.compile(r"\W*|#{1,6}\s.*")
_CARRIES = ("verbatim", "entailed", "partial")


@dataclass(frozen=True, slots=True)
class Checked:
    """A unit as it may be sent."""

    text: str
    citations: tuple[Citation, ...]
    """Those whose number was not used before."""
    claim: Claim | None
    warnings: tuple[Warned, ...]


class Checker:
    """Checks the units of one answer in order; it keeps the numbers given so far."""

    def __init__(self, passages: Sequence[Passage], *, max_citations: int) -> None:
        self._passages = {passage.n: passage for passage in passages}
        self._most = max_citations
        self._numbers: dict[tuple[str, int, int], int] = {}
        self._length = 0
        self._space = ""
        self._warned: set[str] = set()

    def check(self, unit: str) -> Checked:
        """Verify a unit, number its citations, and rewrite its markers."""
        unit = self._space + unit if self._length else unit.lstrip()
        self._space = unit[len(unit.rstrip()) :]  # an answer never ends in white space: it waits for what follows
        unit = unit.rstrip()
        runs = markers.find(unit)
        cited = dict.fromkeys(n for run in runs for n in run.numbers)
        known = [self._passages[n] for n in cited if n in self._passages]
        judgement = judge(_without(unit, runs), known or list(self._passages.values()))
        carried = {e.passage.n: e for e in judgement.evidence if e.support in _CARRIES} if known else {}

        warnings: list[Warned] = []
        new: list[Citation] = []
        numbers: dict[int, int] = {}
        for n in cited:
            evidence = carried.get(n)
            if evidence is None:
                code = "citation_unsupported" if n in self._passages else "citation_unknown"
                warnings += self._warn(code)
                continue
            number = self._number(evidence, new)
            if number is None:
                warnings += self._warn("citations_limited")
                continue
            numbers[n] = number

        text = _rewritten(unit, runs, numbers)
        start = self._length + len(text) - len(text.lstrip())
        self._length += len(text)
        body = text.strip()
        claim = None
        if body and not _NO_CLAIM.fullmatch(_without(unit, runs).strip()):
            support = judgement.support if carried or not known else "unsupported"
            used = tuple(dict.fromkeys(number for run in markers.find(body) for number in run.numbers))
            claim = Claim(body, start, start + len(body), used, support, judgement.score)
        return Checked(text, tuple(new), claim, tuple(warnings))

    def _number(self, evidence: Evidence, new: list[Citation]) -> int | None:
        chunk = evidence.passage.chunk
        key = (chunk.document.document_id, evidence.start, evidence.end)
        if key not in self._numbers:
            if len(self._numbers) >= self._most:
                return None
            self._numbers[key] = len(self._numbers) + 1
            new.append(Citation(self._numbers[key], chunk, evidence.start, evidence.end, evidence.quote, evidence.passage.score))
        return self._numbers[key]

    def _warn(self, code: str) -> list[Warned]:
        if code in self._warned:
            return []
        self._warned.add(code)
        return [Warned(code, _MESSAGES[code])]


_MESSAGES = {
    "citation_unknown": "The model cited a passage that it was not shown; the marker was removed.",
    "citation_unsupported": "The model cited a passage that does not carry the sentence; the marker was removed.",
    "citations_limited": "More passages were cited than max_citations allows; the later markers were removed.",
}


def _without(unit: str, runs: Sequence[markers.Run]) -> str:
    return _rewritten(unit, runs, {})


def _rewritten(unit: str, runs: Sequence[markers.Run], numbers: dict[int, int]) -> str:
    """Put the citations' numbers where the passages' stood; the space before a run that is gone goes with it."""
    parts: list[str] = []
    place = 0
    for run in runs:
        before = unit[place : run.start]
        shown = "".join(f"[{n}]" for n in dict.fromkeys(numbers[n] for n in run.numbers if n in numbers))
        parts.append(before if shown else before.rstrip(" \t") if before.strip() else before)
        parts.append(shown)
        place = run.end
    parts.append(unit[place:])
    return "".join(parts)
