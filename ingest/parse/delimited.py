"""CSV and TSV -> rows."""

import csv
import io
import re
from collections import Counter

from app.core.errors import DocumentRefused
from ingest.parse import table
from ingest.parse.blocks import Text
from ingest.parse.plain import decode

_DELIMITERS = "\t;|,"
"""The rarer in a cell, the earlier: where two cut all rows alike, the later one stands in decimal numbers or in prose."""
_LOOKED_AT = 16_384
"""Characters, to tell the delimiter."""
_NAMED = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
"""Excel's own first line."""


def parse(raw: bytes) -> Text:
    """Read a table of values.

    Raises:
        DocumentRefused: ``binary``, ``undecodable``, ``empty`` or ``corrupt``.
    """
    text = decode(raw).lstrip("\ufeff")
    named = _NAMED.match(text)
    text = text[named.end() :] if named else text
    delimiter = named[1] if named else _delimiter(text[:_LOOKED_AT])
    try:
        found = _read(text, delimiter, quoted=True)
    except csv.Error:
        # A quote that nothing closes takes the rest of the file into one cell, until that is too long to be one.
        try:
            found = _read(text, delimiter, quoted=False)
        except csv.Error as error:
            raise DocumentRefused(
                "corrupt", "The file is no table of values: a cell of it never ends.", detail=str(error)
            ) from None
    return Text(list(table.rows(found)))


def _read(text: str, delimiter: str, *, quoted: bool) -> list[list[str]]:
    source = io.StringIO(text, newline="")
    return list(csv.reader(source, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE))


def _delimiter(sample: str) -> str:
    """Return the delimiter that cuts the most rows alike.

    ``csv.Sniffer`` gives up where some rows are shorter, and takes half a second for a few kilobytes of quotes.
    """
    lines = sample.splitlines(keepends=True)
    lines = lines[:-1] if len(lines) > 1 and len(sample) == _LOOKED_AT else lines  # the last one may be cut

    def alike(delimiter: str) -> int:
        try:
            widths = Counter(len(cells) for cells in csv.reader(lines, delimiter=delimiter) if len(cells) > 1)
        except csv.Error:
            return 0
        return max(widths.values(), default=0)

    best = max(_DELIMITERS, key=alike)
    return best if alike(best) else ","
