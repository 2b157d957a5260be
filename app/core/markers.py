"""Text -> the citation markers in it: ``[3]``, runs ``[1][2]``, and what models write for them (``[1, 2]``, ``[1-3]``).

``find`` and ``strip`` read generously, since a model writes what it likes; ``numbers`` reads as CONTRACTS.md lets others read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NUMBERS = r"\d{1,3}(?:\s*[,;–—-]\s*\d{1,3})*"
# Models write [[1]] for [1]. Read as one marker, it leaves no empty brackets behind when it goes.
_ONE = rf"(?:\[\[\s*{_NUMBERS}\s*\]\]|\[\s*{_NUMBERS}\s*\])"
_RUN = re.compile(rf"{_ONE}+")
_GROUP = re.compile(_ONE)
_PART = re.compile(r"(\d{1,3})(?:\s*[–—-]\s*(\d{1,3}))?")
_BETWEEN = r"(?:[^\S\n]*[,;])?[^\S\n]*"
_SEPARATOR = re.compile(_BETWEEN)
# "[12], [13]" goes as a whole: its comma belongs to the markers, not to the sentence.
_CLUSTER = re.compile(rf"{_ONE}+(?:{_BETWEEN}{_ONE}+)*")
_STRICT = re.compile(r"\[(\d{1,3})\]")
# A fence that nothing closes is no code: outsiders see the whole text, and would look for its citations.
_CODE = re.compile(r"```.*?```|(?<!`)`(?!`)[^`\n]+`(?!`)", re.DOTALL)
_STOPS = frozenset(".,;:!?)]}»”’。、，！？；：")
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
        Run(match.start(), match.end(), _expanded(match[0]))
        for match in _RUN.finditer(text)
        if not any(start < match.end() and match.start() < end for start, end in code)
    ]


def numbers(text: str) -> list[int]:
    """Return the numbers of the markers that an outside reader finds: written ``[n]``, outside code, repeats included."""
    return [int(n) for n in _STRICT.findall(_CODE.sub("", text))]


def strip(text: str) -> str:
    """Return ``text`` without whatever would parse as a marker, inside code too: a model must not read it as one.

    A space next to a marker goes with it where two spaces, or one before a stop, would be left. Idempotent.
    """
    # Again until nothing is left: what surrounds a marker may be one without it, as in [[1]2].
    while found := [match.span() for match in _CLUSTER.finditer(text)]:
        text = _replaced(text, [(start, end, "") for start, end in found])
    return text


def hidden(text: str) -> frozenset[int]:
    """Return the places of the characters of ``text`` that ``strip`` takes as markers; the spaces around them aside."""
    places, left = list(range(len(text))), text
    while found := [match.span() for match in _CLUSTER.finditer(left)]:
        inside = {i for start, end in found for i in range(start, end)}
        places = [place for i, place in enumerate(places) if i not in inside]
        left = "".join(text[place] for place in places)
    return frozenset(range(len(text))).difference(places)


def rewrite(text: str, runs: Sequence[Run], shown: Sequence[str]) -> str:
    """Return ``text`` with ``shown[i]`` in place of ``runs[i]``; where nothing is shown, its spaces close up as in ``strip``."""
    clusters: list[tuple[int, int, str]] = []
    for run, replacement in zip(runs, shown, strict=True):
        between = text[clusters[-1][1] : run.start] if clusters else None
        if between is not None and _SEPARATOR.fullmatch(between):
            start, _, before = clusters.pop()
            joined = before + between + replacement if before and replacement else before or replacement
            clusters.append((start, run.end, joined))
        else:
            clusters.append((run.start, run.end, replacement))
    return _replaced(text, clusters)


def _replaced(text: str, spans: Sequence[tuple[int, int, str]]) -> str:
    parts: list[str] = []
    place = 0
    for start, end, replacement in spans:
        if replacement:
            parts += text[place:start], replacement
            place = end
            continue
        left, right = start, end
        while left > place and text[left - 1] in " \t\u00a0":
            left -= 1
        while right < len(text) and text[right] in " \t\u00a0":
            right += 1
        parts += text[place:left], _space(text, left, start, end, right)
        place = right
    return "".join([*parts, text[place:]])


def _space(text: str, left: int, start: int, end: int, right: int) -> str:
    """Return what stays where a marker stood at ``start:end`` with white space up to ``left`` and ``right``."""
    before, behind = text[left:start], text[end:right]
    last, following = text[left - 1 : left], text[right : right + 1]
    if last in ("", "\n"):
        return before  # a line keeps its indentation
    if following in ("", "\n") or following in _STOPS:
        return ""
    return before or behind


def _expanded(run: str) -> tuple[int, ...]:
    found: list[int] = []
    for group in _GROUP.findall(run):
        for first, last in _PART.findall(group):
            low, high = int(first), int(last or first)
            found += range(low, min(high, low + _MOST) + 1) if low <= high else [low, high]
    return tuple(dict.fromkeys(found))[:_MOST]
