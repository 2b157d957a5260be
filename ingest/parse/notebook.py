"""Jupyter notebook -> blocks: Markdown cells as Markdown, code as it is, and what it printed."""

import re
import warnings
from collections.abc import Iterator
from typing import Any

from app.core.errors import DocumentRefused
from ingest.parse import markdown
from ingest.parse.blocks import Block, Text
from ingest.parse.plain import decode

_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LONGEST_OUTPUT = 10_000
"""Characters of one output: a day's log is no part of what a notebook says."""


def parse(raw: bytes) -> Text:
    """Read a notebook of any version; pictures and other outputs that are no text are left out.

    Raises:
        DocumentRefused: ``corrupt``, ``binary``, ``undecodable`` or ``empty``.
    """
    source = decode(raw)
    import nbformat  # here, since it takes longer to import than most files to read

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cells without an id are no concern of a reader
            read: Any = nbformat.reads
            book = read(source, as_version=4)
        found = Text(title=str(book.metadata.get("title") or ""))
        for cell in book.cells:
            found.blocks += _cell(cell)
    except DocumentRefused:
        raise
    except Exception as error:  # the format's own errors, and those of a file that only looks like it
        raise DocumentRefused("corrupt", "The file is no notebook, or a damaged one.", detail=repr(error)[:500]) from error
    return found


def _cell(cell: Any) -> Iterator[Block]:
    if not cell.source.strip():
        return
    if cell.cell_type == "markdown":
        try:
            yield from markdown.parse(cell.source.encode()).blocks
        except DocumentRefused:  # a cell of pictures alone
            return
    elif cell.cell_type == "code":
        yield Block(cell.source)
        for output in cell.get("outputs", []):
            yield Block(_printed(_output(output)))


def _output(output: Any) -> str:
    match output.output_type:
        case "stream":
            return str(output.text)
        case "error":
            return f"{output.ename}: {output.evalue}"
        case _:
            data = output.get("data", {})
            if any(kind.startswith(("image/", "application/vnd.")) for kind in data):
                return ""  # its text only names the object: <Figure size 640x480 with 1 Axes>
            return str(data.get("text/plain", ""))


def _printed(text: str) -> str:
    lines = _TERMINAL.sub("", text).split("\n")
    text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)  # a progress bar draws over itself
    return text if len(text) <= _LONGEST_OUTPUT else text[: text.rfind("\n", 0, _LONGEST_OUTPUT) + 1 or _LONGEST_OUTPUT]
