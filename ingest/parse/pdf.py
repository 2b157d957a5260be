"""PDF -> text by page, with the outline as headings where its titles stand in the text."""

import re
import unicodedata

import pypdfium2
from pypdfium2 import PdfiumError

from app.core.errors import DocumentRefused
from ingest.parse.blocks import Block, Text

_LIGATURES = {ord(char): unicodedata.normalize("NFKC", char) for char in "ﬀﬁﬂﬃﬄﬅﬆ"}
_HYPHENATED = re.compile("\ufffe\\s*|\u00ad\\s*\n\\s*")
_MOST_PAGES = 20_000
_FULL = 0.75
"""Share of the page's widest lines that a line must reach to have been broken by the margin."""
_NARROWEST = 40
"""Characters; where no line is longer, the lines are a list or a table."""
_BULLET = re.compile(r"[-*•◦‣▪–—]\s|\(?(?:\d{1,3}|[a-zA-Z])[.)]\s")
_NUMBERING = re.compile(r"\A(?:\d+(?:\.\d+)*\.?|[IVXLC]+\.)\s+")
_JUNK_TITLE = re.compile(r"untitled|\(?(?:anonymous|unspecified)\)?\Z|microsoft word|\.(?:docx?|pdf|tex|indd)$", re.IGNORECASE)


def parse(raw: bytes) -> Text:
    """Read a PDF's text layer.

    Raises:
        DocumentRefused: ``encrypted``, ``corrupt``, ``no_text`` or ``too_large``.
    """
    try:
        document = pypdfium2.PdfDocument(raw)
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise DocumentRefused("encrypted", "The PDF needs a password. Save it without one.") from None
        raise DocumentRefused("corrupt", "The PDF is damaged and can't be opened.", detail=str(error)) from None
    try:
        return _read(document)
    except PdfiumError as error:
        raise DocumentRefused("corrupt", "The PDF is damaged: a page can't be read.", detail=str(error)) from None
    finally:
        document.close()


def _read(document: pypdfium2.PdfDocument) -> Text:
    if len(document) > _MOST_PAGES:
        raise DocumentRefused("too_large", f"The PDF has {len(document):,} pages; the limit is {_MOST_PAGES:,}.")
    outline = _outline(document)
    blocks: list[Block] = []
    seen = False
    for number, page in enumerate(document, start=1):
        layer = page.get_textpage()
        text = _clean(layer.get_text_range())
        layer.close()
        page.close()
        seen = seen or bool(text.strip())
        blocks += _page(text, number, outline.get(number, []))
    if not seen:
        raise DocumentRefused("no_text", "The PDF has no text layer: it is a scan. Run text recognition on it first.")
    title = str(document.get_metadata_dict().get("Title") or "")
    return Text(blocks, "" if _JUNK_TITLE.search(title) else title)


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_LIGATURES)
    return _HYPHENATED.sub("", text)


def _page(text: str, number: int, titles: list[tuple[int, str]]) -> list[Block]:
    """Cut a page at the outline's titles, where they stand on lines of their own."""
    blocks = [Block("", page=number)]
    wanted = {_key(title): level for level, title in titles}
    lines = [line.strip() for line in text.split("\n")]
    lengths = sorted(len(line) for line in lines if line)
    width = lengths[len(lengths) * 9 // 10] if lengths else 0
    paragraph: list[str] = []
    before = ""
    for line in lines:
        level = (wanted.pop(_key(line), 0) or wanted.pop(_key(_NUMBERING.sub("", line)), 0)) if wanted else 0
        if level:
            blocks += [Block("\n".join(paragraph)), Block(line, level=level)]
            paragraph = []
        elif not line:
            blocks.append(Block("\n".join(paragraph)))
            paragraph = []
        elif paragraph and _goes_on(before, line, width):
            paragraph[-1] += " " + line
        else:
            paragraph.append(line)
        before = line
    blocks.append(Block("\n".join(paragraph)))
    return [block for block in blocks if block.page or block.text.strip()]


def _goes_on(line: str, following: str, width: int) -> bool:
    """Whether only the margin parts two lines. Sentences must come whole; the rows of a table must stay apart."""
    if len(line) < _FULL * width or width < _NARROWEST or _BULLET.match(following):
        return False
    return following[0].islower() or (_is_prose(line) and _is_prose(following))


def _is_prose(line: str) -> bool:
    words = line.split()
    return len(words) >= 6 and sum(any(char.isdigit() for char in word) for word in words) <= 0.2 * len(words)


def _outline(document: pypdfium2.PdfDocument) -> dict[int, list[tuple[int, str]]]:
    found: dict[int, list[tuple[int, str]]] = {}
    try:
        for entry in document.get_toc(max_depth=6):
            destination = entry.get_dest()
            index = destination.get_index() if destination else None
            if index is not None:
                found.setdefault(index + 1, []).append((entry.level + 1, entry.get_title()))
    except (PdfiumError, ValueError):  # a broken outline is no broken document
        return {}
    return found


def _key(title: str) -> str:
    return "".join(title.split()).casefold()
