"""Rows of cells -> blocks: one line a row, and a table of data that repeats its header row, so that a chunk can hold it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ingest.parse.blocks import Block

_GROUP = 450
"""Characters between two header rows: with numbers in it, about as many as fit into one chunk."""
_LONGEST_HEADER = 150
_LOOKED_AT = 20
"""Rows, to tell whether there is a header."""
_LONGEST_AMOUNT = 30
_AMOUNT = re.compile(r"[^\w\s]?\d[\d\s.,:/%€$£¥+()-]*[A-Za-z]{0,3}\Z|[A-Z€$£¥]{1,3}\s?\d[\d\s.,]*\Z")
"""A number, an amount, a date or a time."""


def row(cells: Iterable[str]) -> str:
    """Return a row's line, without the empty cells at its end."""
    words = [" ".join(cell.split()) for cell in cells]
    while words and not words[-1]:
        words.pop()
    return " | ".join(words)


def rows(table: Iterable[Sequence[str]]) -> Iterator[Block]:
    """Yield a table's rows as blocks; an empty row parts what stands above it from what stands below.

    Where a row is plainly the header, it is repeated every few rows: in a long table, a row alone says nothing.
    """
    for filled, part in groupby(table, key=lambda cells: any(cell.strip() for cell in cells)):
        if filled:
            yield from _rows(list(part))


def _rows(table: Sequence[Sequence[str]]) -> Iterator[Block]:
    left = min(next(place for place, cell in enumerate(cells) if cell.strip()) for cells in table)
    head = [cells[left:] for cells in table[:_LOOKED_AT]]
    place = next((place for place, cells in enumerate(head) if sum(bool(cell.strip()) for cell in cells) > 1), 0)
    header = row(head[place]) if _is_header(head[place], head[place + 1 :]) else ""
    length = 0
    for number, cells in enumerate(table):
        line = row(cells[left:])
        if header and number > place + 1 and length + len(line) > _GROUP:
            yield Block(header)
            length = len(header)
        yield Block(line, tight=length > 0)
        length += len(line)


def _is_header(cells: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a row is short words and a column of numbers stands under one of them: a wrong header is worse than none."""
    words = [" ".join(cell.split()) for cell in cells if cell.strip()]
    if len(words) < 2 or len(set(words)) < len(words) or len(row(cells)) > _LONGEST_HEADER or any(map(_is_amount, words)):
        return False
    for column, name in enumerate(cells):
        values = [other[column].strip() for other in below if column < len(other) and other[column].strip()]
        if name.strip() and len(values) > 1 and all(map(_is_amount, values)):
            return True
    return False


def _is_amount(value: str) -> bool:
    return len(value) <= _LONGEST_AMOUNT and bool(_AMOUNT.match(value))
