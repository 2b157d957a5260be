"""A document's text -> exact ranges that fit the embedder, cut where a reader would cut.

Ranges never overlap, hold every character that is not white space exactly once, and begin and end on text.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from app.core.sentences import spans
from app.core.types import Heading

CHUNKER = "pieces/1"
"""Names the algorithm; it stands in the manifest with the limit."""

Tokenize = Callable[[str], Sequence[tuple[int, int]]]
"""The embedder's word pieces of a text, as ranges of code points, special tokens left out."""

_SPECIAL = 2
_TITLE_PIECES = 12
"""A longer title would make all chunks of a document alike, and eat their room."""
_MOST_CHARS = 4_000
"""A chunk is no longer, whatever it counts: a word of 300,000 letters is one unknown piece to the tokenizer."""
_LEAST_LIMIT = 32
_WINDOW = 20_000
"""Characters searched for sentences at once: the search looks as far ahead as the text goes, for every sentence."""
_SLACK = 4
"""A range tokenised on its own can have a few more pieces than within its document."""


def embedded_text(title: str, text: str, tokenize: Tokenize) -> str:
    """Return what is embedded of a chunk: the title's first pieces, then the chunk. Never stored, so quotes stay true."""
    pieces = tokenize(title)
    short = title[: pieces[_TITLE_PIECES - 1][1]] if len(pieces) > _TITLE_PIECES else title
    return f"{short}\n{text}" if short.strip() else text


def chunk(text: str, headings: Sequence[Heading], title: str, *, tokenize: Tokenize, limit: int = 200) -> list[tuple[int, int]]:
    """Cut a text into ranges of at most ``limit`` word pieces, the title prefix and special tokens included.

    Cuts before a top heading (level 1 or 2) where the chunk so far is at least a third full, at blank lines, else at sentence
    ends, else between pieces. A heading always goes with what follows it. One pass over the text.

    Raises:
        ValueError: The limit leaves no room beside a title.
    """
    if limit < _LEAST_LIMIT:
        raise ValueError(f"a chunk needs at least {_LEAST_LIMIT} word pieces, and the limit is {limit}")
    starts = [start for start, _ in tokenize(text)]
    room = limit - _SPECIAL - _SLACK - min(len(tokenize(title)), _TITLE_PIECES)

    def size(start: int, end: int) -> int:
        return bisect_left(starts, end) - bisect_left(starts, start)

    tops = {heading.start for heading in headings if heading.level <= 2}
    lines = {heading.start for heading in headings}
    ranges: list[tuple[int, int]] = []
    begin, end = -1, -1
    for first, last in _units(text, lines, room, size, starts):
        if begin >= 0:
            fits = last - begin <= _MOST_CHARS and size(begin, last) <= room
            new_section = first in tops and size(begin, end) >= room // 3
            if fits and not new_section:
                end = last
                continue
            ranges.append((begin, end))
        begin, end = first, last
    if begin >= 0:
        ranges.append((begin, end))
    return [piece for start, stop in ranges for piece in _exact(text, start, stop, title, tokenize, limit)]


def _units(
    text: str, headings: set[int], room: int, size: Callable[[int, int], int], starts: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the smallest parts that are never cut: paragraphs that fit, else their sentences, else runs of pieces."""
    units: list[tuple[int, int]] = []
    waiting = -1  # a heading that has nothing under it yet
    for first, last in _paragraphs(text):
        if first in headings:
            waiting = first if waiting < 0 else waiting
            if size(waiting, last) < room // 2:
                continue
            units.append((waiting, last))
            waiting = -1
            continue
        if waiting >= 0 and last - waiting <= _MOST_CHARS and size(waiting, last) <= room:
            units.append((waiting, last))
        elif size(first, last) <= room and last - first <= _MOST_CHARS:
            units += [(waiting, _trimmed(text, waiting, first))] if waiting >= 0 else []
            units.append((first, last))
        else:
            parts = _sentences(text, first, last)
            if waiting >= 0 and parts:
                parts[0] = (waiting, parts[0][1])
            units += [piece for a, b in parts for piece in _runs(text, a, b, room, starts)]
        waiting = -1
    if waiting >= 0:
        units.append((waiting, _trimmed(text, waiting, len(text))))
    return units


def _paragraphs(text: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    place = 0
    for part in text.split("\n\n"):
        body = part.strip()
        if body:
            start = place + part.index(body[0])
            found.append((start, start + len(body)))
        place += len(part) + 2
    return found


def _sentences(text: str, first: int, last: int) -> list[tuple[int, int]]:
    """Return the sentences of a range; a window's last one is looked at again, with what follows it."""
    found: list[tuple[int, int]] = []
    while first < last:
        stop = min(last, first + _WINDOW)
        inside = spans(text[first:stop])
        if stop < last and len(inside) > 1:
            stop = first + inside.pop()[0]
        found += [(first + start, first + end) for start, end in inside]
        first = stop
    return found


def _runs(text: str, first: int, last: int, room: int, starts: Sequence[int]) -> list[tuple[int, int]]:
    """Cut a range that is too long by pieces, at a space where one is near."""
    runs: list[tuple[int, int]] = []
    while True:
        at = bisect_left(starts, first)
        if at + room >= bisect_left(starts, last) and last - first <= _MOST_CHARS:
            return [*runs, (first, last)] if first < last else runs
        cut = min(starts[at + room] if at + room < len(starts) else last, first + _MOST_CHARS, last)
        space = max(text.rfind(" ", first, cut), text.rfind("\n", first, cut))
        if space > first + (cut - first) // 2:
            cut = space
        end = _trimmed(text, first, cut)
        runs.append((first, end))
        first = _begun(text, cut, last)


def _exact(text: str, first: int, last: int, title: str, tokenize: Tokenize, limit: int) -> list[tuple[int, int]]:
    """Keep the promise to the piece: cut in half what, tokenised as it is embedded, is still too long."""
    if len(tokenize(embedded_text(title, text[first:last], tokenize))) + _SPECIAL <= limit or last - first <= 1:
        return [(first, last)]
    middle = (first + last) // 2
    space = text.find(" ", middle, last)
    middle = space if 0 < space < last - 1 else middle
    left, right = (first, _trimmed(text, first, middle)), (_begun(text, middle, last), last)
    return [piece for a, b in (left, right) if a < b for piece in _exact(text, a, b, title, tokenize, limit)]


def _trimmed(text: str, first: int, last: int) -> int:
    while last > first and text[last - 1].isspace():
        last -= 1
    return last


def _begun(text: str, first: int, last: int) -> int:
    while first < last and text[first].isspace():
        first += 1
    return first
