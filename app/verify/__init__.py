"""A unit of the model's text -> the text that may be shown, its citations, and how its evidence carries it.

The model's ``[n]`` names a passage; the answer's ``[n]`` names a citation: one quote of one passage. A marker that its passage
does not carry is removed, and none is ever added. To read: ``Checker.check`` (here), ``support.judge``, ``reading.read``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core import markers
from app.core.types import Citation, Claim, Passage, Warned
from app.verify.support import CONSTANTS, VERSION, Evidence, Judgement, identity, judge

__all__ = ["CONSTANTS", "VERSION", "Checked", "Checker", "Judgement", "identity", "judge"]

_NO_CLAIM = re.compile(r"[-–—*_=~+|:#>\s]*|#{1,6}[^\S\n][^\n]*")
_CARRIES = ("verbatim", "entailed", "partial")
_MESSAGES = {
    "citation_unknown": "The model cited a passage that it was not shown; the marker was removed.",
    "citation_unsupported": "The model cited a passage that does not carry the sentence; the marker was removed.",
    "citation_unreadable": "A marker stood where readers take it for code, or code for a marker; it was removed.",
    "citations_limited": "More passages were cited than max_citations allows; the later markers were removed.",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A unit as it may be sent."""

    text: str
    citations: tuple[Citation, ...]
    """Those whose number was not used before."""
    claim: Claim | None
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, slots=True)
class _Numbered:
    """What the model's numbers become; nothing of it holds before the text that shows it was read back."""

    of_passage: Mapping[int, int]
    citations: tuple[Citation, ...]
    refused: tuple[str, ...]
    """Codes of warnings."""


class Checker:
    """Checks the units of one answer in order; it knows the answer so far and the numbers given in it."""

    def __init__(self, passages: Sequence[Passage], *, max_citations: int) -> None:
        self._passages = {passage.n: passage for passage in passages}
        self._most = max_citations
        self._given: dict[tuple[str, int, int], int] = {}
        """Document and range -> the citation's number."""
        self._shown: list[int] = []
        """The numbers of the markers in the answer, in order."""
        self._answer = ""
        self._space = ""
        """White space behind the answer: it never ends in any, so it waits for what follows."""
        self._closing = False
        """Whether that space stood around a removed marker and closes up with the next."""
        self._warned: set[str] = set()

    def check(self, unit: str) -> Checked:
        """Verify a unit, number its citations, and rewrite its markers."""
        whole = self._after_space(unit)
        unit = whole.rstrip()
        runs = markers.find(unit)
        cited = list(dict.fromkeys(n for run in runs for n in run.numbers))
        known = [self._passages[n] for n in cited if n in self._passages]
        sentence = markers.rewrite(unit, runs, [""] * len(runs)).strip()
        judgement = judge(sentence, known or list(self._passages.values()))
        numbered = self._number(cited, judgement if known else None)

        text, shown = self._readable(unit, runs, numbered)
        if shown is None:
            numbered = _Numbered({}, (), ("citation_unreadable",) if runs else ())
            shown = []
        self._given |= {(c.chunk.document.document_id, c.start, c.end): c.n for c in numbered.citations}
        self._shown += shown
        body = text.strip()
        start = len(self._answer) + len(text) - len(text.lstrip())
        self._closing = bool(runs) and (not body or text != unit)
        self._space = whole[len(unit) :] if body else whole[: len(whole) - len(whole.lstrip())]
        text = text.rstrip() if body else ""
        self._answer += text

        claim = None
        if body and (shown or not _NO_CLAIM.fullmatch(sentence)):
            used = tuple(dict.fromkeys(shown))
            claim = Claim(body, start, start + len(body), used, judgement.support, judgement.score)
        return Checked(text, numbered.citations, claim, self._warnings(numbered.refused))

    def _after_space(self, unit: str) -> str:
        if not self._answer:
            return unit.lstrip()
        if not self._closing:
            return self._space + unit
        body = unit.lstrip()
        own = unit[: len(unit) - len(body)]
        # Space on both sides of a marker that is gone: the side with more line breaks stays, else two gaps would add up.
        return (own if own.count("\n") >= self._space.count("\n") else self._space) + body

    def _number(self, cited: Sequence[int], judgement: Judgement | None) -> _Numbered:
        """Give each cited passage that carries the sentence its citation's number, in order of use."""
        evidence = {one.passage.n: one for one in judgement.evidence if one.support in _CARRIES} if judgement else {}
        of_passage: dict[int, int] = {}
        new: dict[tuple[str, int, int], Citation] = {}
        refused: list[str] = []
        for n in cited:
            one = evidence.get(n)
            if one is None:
                refused.append("citation_unsupported" if n in self._passages else "citation_unknown")
                continue
            key = (one.passage.chunk.document.document_id, one.start, one.end)
            number = self._given.get(key) or (new[key].n if key in new else len(self._given) + len(new) + 1)
            if number > self._most:
                refused.append("citations_limited")
                continue
            if number > len(self._given) + len(new):
                new[key] = _citation(number, one)
            of_passage[n] = number
        return _Numbered(of_passage, tuple(new.values()), tuple(refused))

    def _readable(self, unit: str, runs: Sequence[markers.Run], numbered: _Numbered) -> tuple[str, list[int] | None]:
        """Return the unit with its citations' numbers, and these in order; None where others would not read them so.

        Others read the whole answer: a stray backtick makes code of what was none, and brackets around a removed marker
        make another. Then the unit goes without markers, and if need be without what turned earlier text into code.
        """
        shown = [list(dict.fromkeys(numbered.of_passage[n] for n in run.numbers if n in numbered.of_passage)) for run in runs]
        text = markers.rewrite(unit, runs, ["".join(f"[{n}]" for n in numbers) for numbers in shown])
        flat = [n for numbers in shown for n in numbers]
        if self._reads(text := self._opened(text), flat):
            return text, flat
        bare = self._opened(markers.strip(unit))
        if self._reads(bare, []):
            return bare, None
        return self._opened(" " + markers.strip(unit.replace("`", ""))), None

    def _opened(self, text: str) -> str:
        return text if self._answer else text.lstrip()

    def _reads(self, text: str, shown: list[int]) -> bool:
        return markers.numbers(self._answer + text.rstrip()) == self._shown + shown

    def _warnings(self, codes: Sequence[str]) -> tuple[Warned, ...]:
        """Each code warns once in an answer."""
        fresh = [code for code in dict.fromkeys(codes) if code not in self._warned]
        self._warned.update(fresh)
        return tuple(Warned(code, _MESSAGES[code]) for code in fresh)


def _citation(number: int, evidence: Evidence) -> Citation:
    passage = evidence.passage
    return Citation(number, passage.chunk, evidence.start, evidence.end, evidence.quote, passage.score)
