"""Excel workbook -> a heading a sheet, a line a row. Hidden sheets are not read: whoever was sent the file does not see them."""

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum, SheetVisibleEnum

from app.core.errors import DocumentRefused
from ingest.parse import office, table
from ingest.parse.archive import member, unpack
from ingest.parse.blocks import Block, Text

_WHAT = "Excel file"
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml\Z", re.IGNORECASE)
_FILLED = re.compile(rb"""<(?:\w+:)?c\s[^>]{0,200}?\br=["']([A-Z]{1,3})(\d{1,7})["'](?:[^>]{0,200}[^/>])?>""")
"""A cell with something in it."""
_MOST_MARKUP = 200_000_000
"""Bytes; the reader makes no tree of it. A million filled cells have 50,000,000."""
_MOST_ROWS = 1 << 20
_MOST_CELLS = 5_000_000
"""Of the rectangle around all that a sheet holds: the reader keeps all of it, and two cells at opposite corners would end the process."""


def parse(raw: bytes) -> Text:
    """Read a workbook's visible sheets: values, not formulas.

    Raises:
        DocumentRefused: ``corrupt``, ``encrypted`` or ``too_large``.
    """
    archive = unpack(raw, what=_WHAT, most=_MOST_MARKUP)
    _check(archive)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(raw))
        blocks: list[Block] = []
        for sheet in workbook.sheets_metadata:
            if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible:
                found = list(table.rows(_rows(workbook.get_sheet_by_name(sheet.name))))
                # Level 2, so that "Sheet1" does not become the document's title.
                blocks += [Block(sheet.name, level=2), *found] if found else []
    except PasswordError:
        raise DocumentRefused("encrypted", f"The {_WHAT} needs a password. Save it without one.") from None
    except CalamineError as error:
        raise DocumentRefused(
            "corrupt", f"The {_WHAT} is damaged and can't be read. Open it and save it again.", detail=str(error)[:500]
        ) from None
    return Text(blocks, office.title(archive))


def _check(archive: zipfile.ZipFile) -> None:
    for name in filter(_SHEET.match, archive.namelist()):
        columns: set[bytes] = set()
        first, last = _MOST_ROWS, 1
        for cell in _FILLED.finditer(member(archive, name, what=_WHAT) or b""):
            columns.add(cell[1])
            line = int(cell[2])
            first, last = min(first, line), max(last, line)
        if not columns:
            continue
        numbers = [_column(letters) for letters in columns]
        width, height = max(numbers) - min(numbers) + 1, last - first + 1
        if width * height > _MOST_CELLS:
            raise DocumentRefused(
                "too_large",
                f"A sheet of the {_WHAT} spreads over {height:,} rows and {width:,} columns; the limit is {_MOST_CELLS:,} cells. "
                "Delete what stands far away from the rest.",
            )


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _rows(sheet: CalamineSheet) -> Iterator[list[str]]:
    for cells in sheet.iter_rows():
        yield [_shown(cell) for cell in cells]


def _shown(value: float | str | bool | time | date | datetime | timedelta) -> str:
    """Return a value as Excel shows it: a whole number without a point, 0.3 and not 0.30000000000000004, a day without midnight."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime():
            return value.isoformat(sep=" ", timespec="minutes" if not value.second else "seconds")
        case time():
            return value.isoformat(timespec="minutes" if not value.second else "seconds")
        case timedelta():
            minutes, seconds = divmod(round(value.total_seconds()), 60)
            return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
        case _:
            return str(value)
