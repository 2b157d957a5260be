"""Word document -> blocks, in the order in which they are read: lists with their numbers, tables, text boxes and notes in place.

python-docx opens the package. Its own walk over paragraphs leaves out text boxes, equations, content controls and what tracked
changes inserted, so the walk is over the elements. Comments, page headers and footers, and hidden text are not read.
"""

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from app.core.errors import DocumentRefused
from ingest.parse import figures, office, table
from ingest.parse.archive import tree, unpack
from ingest.parse.blocks import Block, Text
from ingest.parse.equation import MATH, linear
from ingest.parse.numbering import Numbering
from ingest.parse.styles import Styles

if TYPE_CHECKING:
    from docx.opc.part import Part

_WHAT = "Word file"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_VAL = _W + "val"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
_WRAPPERS = frozenset("ins moveTo customXml smartTag hyperlink fldSimple dir bdo".split())
"""Hold what a reader sees, and are nothing by themselves."""
_OFF = frozenset(["0", "false", "off"])


def parse(raw: bytes) -> Text:
    """Read a document's body.

    Raises:
        DocumentRefused: ``corrupt``, ``encrypted`` or ``too_large``.
    """
    archive = unpack(raw, what=_WHAT)
    from docx.package import Package  # here, since it takes longer to import than most files to read

    try:
        part = Package.open(io.BytesIO(raw)).main_document_part
        body = _document(part).find(_W + "body")
    except Exception as error:  # a package can be broken in more ways than the library has errors for
        raise DocumentRefused(
            "corrupt", f"The {_WHAT} is damaged, or is none. Open it and save it again.", detail=repr(error)[:500]
        ) from error
    walk = _Walk(part)
    walk.story(body)
    return Text(walk.blocks, walk.title or office.title(archive))


def _document(part: "Part") -> Any:
    """Return the document's root; the library parses it unless it is a template's, or that of a document with macros."""
    root = getattr(part, "element", None)
    return tree(part.blob) if root is None else root


class _Walk:
    def __init__(self, part: "Part") -> None:
        self.blocks: list[Block] = []
        self.title = ""
        self._part = part
        self._styles = Styles(_root(part, "styles"))
        self._numbering = Numbering(_root(part, "numbering"))
        self._notes = {
            (kind, note.get(_W + "id")): note
            for kind in ("footnote", "endnote")
            for note in _children(_root(part, f"{kind}s"))
            if note.get(_W + "type") in (None, "normal")
        }
        self._in_list = False

    def story(self, container: Any) -> None:
        """Read paragraphs and tables: the body, a cell, a text box or a note."""
        for child in _children(container):
            match _name(child):
                case "p":
                    self._paragraph(child)
                case "tbl":
                    self._table(child)
                case _:
                    self._through(child)

    def _through(self, node: Any) -> None:
        for content in _contents(node):
            self.story(content)

    def _paragraph(self, paragraph: Any) -> None:
        style = self._styles.of(paragraph)
        if style.is_contents:  # a table of contents is like a page's navigation: it would be found for every heading
            return
        inline = _Inline()
        inline.read(paragraph)
        text = re.sub(r" *\n *", "\n", re.sub(r"[^\S\n]+", " ", "".join(inline.text))).strip()
        number, depth = style.list_of(paragraph)
        label = self._numbering.label(number, depth) if number else None
        if style.is_title and not self.title:
            self.title = text
        if level := style.level_of(paragraph):
            self._add(Block(f"{label or ''} {text}".removeprefix("- ").strip() if text else "", level=level))
        elif text and label:
            mark = "  " * depth + label + " "
            self._add(Block(mark + text.replace("\n", "\n" + " " * len(mark)), tight=self._in_list), in_list=True)
        elif text:
            self._add(Block(text))
        for hung in inline.hung:
            if _name(hung) == "txbxContent":
                self.story(hung)
            else:
                self.blocks += figures.read(hung, self._blob)
                self._in_list = False
        for key in inline.notes:
            if (note := self._notes.pop(key, None)) is not None:
                self.story(note)

    def _blob(self, relation: str) -> bytes | None:
        related = self._part.rels.get(relation)
        return None if related is None or related.is_external else related.target_part.blob

    def _add(self, block: Block, *, in_list: bool = False) -> None:
        if block.text:
            self.blocks.append(block)
            self._in_list = in_list

    def _table(self, element: Any) -> None:
        """Read a table of data row by row; one that only lays out a page, as the page it is."""
        before, self._in_list = self.blocks, False
        rows: list[list[list[Block]]] = []
        for row in _named(element, "tr"):
            if row.find(f"{_W}trPr/{_W}del") is not None:
                continue
            rows.append([])
            for cell in _named(row, "tc"):
                self.blocks, self._in_list = [], False
                self.story(cell)
                rows[-1].append(self.blocks)
        self.blocks, self._in_list = before, False
        cells = [cell for row in rows for cell in row]
        is_nested = sum(1 for _ in element.iter(f"{_W}tbl")) > 1
        if is_nested or max(map(len, rows), default=0) < 2 or any(block.level for cell in cells for block in cell):
            self.blocks += [block for cell in cells for block in cell]
            return
        self.blocks += table.rows([[" ".join(block.text for block in cell) for cell in row] for row in rows if row])


class _Inline:
    """What stands in a paragraph: its text, and what hangs on it."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.hung: list[Any] = []
        self.notes: list[tuple[str, str | None]] = []

    def read(self, node: Any) -> None:
        """Read the content of a paragraph, a run, or what wraps some of them."""
        for child in _children(node):
            name = _name(child)
            match name:
                case "r" if not _is_hidden(child):
                    self.read(child)
                case "t":
                    self.text.append(child.text or "")
                case "tab" | "ptab":
                    self.text.append(" ")
                case "br" if child.get(_W + "type") in (None, "textWrapping"):
                    self.text.append("\n")
                case "br" | "cr":
                    self.text.append("\n" if name == "cr" else " ")
                case "noBreakHyphen":
                    self.text.append("-")
                case "footnoteReference" | "endnoteReference":
                    self.notes.append((name.removesuffix("Reference"), child.get(_W + "id")))
                case "drawing" | "pict" | "object":
                    self.hung += _hung(child)
                case _ if child.tag in (MATH + "oMath", MATH + "oMathPara"):
                    self.text.append(f" {linear(child)} ")
                case _:
                    for content in _contents(child):
                        self.read(content)


def _root(part: "Part", relation: str) -> Any | None:
    """Return the root of a part that the document is related to."""
    for related in part.rels.values():
        if related.reltype == _RELATION + relation and not related.is_external:
            return tree(related.target_part.blob)
    return None


def _children(node: Any | None) -> Iterator[Any]:
    return iter(()) if node is None else node.iterchildren("*")


def _name(node: Any) -> str:
    """Return a Word element's name; that of any other stays long."""
    return str(node.tag).removeprefix(_W)


def _contents(node: Any) -> Iterator[Any]:
    """Yield what to read of an element that only wraps something."""
    name = _name(node)
    if name in _WRAPPERS:
        yield node
    elif name == "sdt" and node.find(f"{_W}sdtPr/{_W}showingPlcHdr") is None:  # else it only says "Click here"
        yield from node.iterchildren(_W + "sdtContent")
    elif name == "ruby":
        yield from node.iterchildren(_W + "rubyBase")
    elif node.tag == _MC + "AlternateContent":  # the same thing twice: for programs that know a feature, and for the others
        chosen = next(node.iterchildren(_MC + "Choice", _MC + "Fallback"), None)
        if chosen is not None:
            yield chosen


def _named(node: Any, name: str) -> Iterator[Any]:
    """Yield a table's rows, or a row's cells, also those in content controls."""
    for child in _children(node):
        if _name(child) == name:
            yield child
        else:
            for content in _contents(child):
                yield from _named(content, name)


def _hung(node: Any) -> Iterator[Any]:
    """Yield a drawing's text boxes and figures, not those within a text box: they come with it."""
    for child in _children(node):
        if _name(child) == "txbxContent" or child.tag in (figures.CHART, figures.SMART_ART):
            yield child
        elif child.tag == _MC + "AlternateContent":
            for content in _contents(child):
                yield from _hung(content)
        else:
            yield from _hung(child)


def _is_hidden(run: Any) -> bool:
    vanish = run.find(f"{_W}rPr/{_W}vanish")
    return vanish is not None and vanish.get(_VAL) not in _OFF
