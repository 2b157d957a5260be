"""Text -> the citation markers in it: ``[3]``, runs ``[1][2]``, and what models write for them (``[1, 2]``, ``[1-3]``)."""

import re
from dataclasses import dataclass

_ONE = r"\[\s?\d{1,3}(?:\s?[,;–—-]\s?\d{1,3})*\s?\]"
_RUN = re.compile(rf"(?:{_ONE})(?:{_ONE})*")
_GROUP = re.compile(_ONE)
_PART = re.compile(r"(\d{1,3})(?:\s?[–—-]\s?(\d{1,3}))?")
_CODE = re.compile(r"```.*?(?:```|\Z)|(?<!`)`(?!`)[^`\n]+`(?!`)", re.DOTALL)
_STRIPPED = re.compile(rf"(?P<space>[^\S\n]?)(?:{_ONE})+(?P<next>[^\S\n]?)")
_MOST = 20
"""Numbers of one run; more is no citation."""


@dataclass(frozen=True, slots=True)
class Run:
    """Adjacent markers: where they stand, and their numbers in order, each once."""

    start: int
    end: int
    numbers: tuple[int, ...]


def find(text: str) -> list[Run]:
    """Return the runs of markers outside code, in order."""
    code = [match.span() for match in _CODE.finditer(text)]
    return [
        Run(match.start(), match.end(), _numbers(match[0]))
        for match in _RUN.finditer(text)
        if not any(start < match.end() and match.start() < end for start, end in code)
    ]


def strip(text: str) -> str:
    """Return ``text`` without whatever would parse as a marker, inside code too: a model must not read it as one."""
    return _STRIPPED.sub(_gap, text)


def spans(text: str) -> list[tuple[int, int]]:
    """Return the ranges that ``strip`` would remove, without the spaces around them."""
    return [match.span() for match in _RUN.finditer(text)]


def _gap(found: re.Match[str]) -> str:
    """One of the two spaces around a removed marker stays, or none before what follows a word directly."""
    return found["next"] and (found["space"] or found["next"])


def _numbers(run: str) -> tuple[int, ...]:
    found: list[int] = []
    for group in _GROUP.findall(run):
        for first, last in _PART.findall(group):
            low, high = int(first), int(last or first)
            found += range(low, min(high, low + _MOST) + 1) if low <= high else [low, high]
    return tuple(dict.fromkeys(found))[:_MOST]
