"""HTML -> blocks: headings, paragraphs, lists, tables, code; scripts and page furniture dropped."""

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from app.core.errors import DocumentRefused
from ingest.parse.blocks import Block, Text
from ingest.parse.plain import decode, is_binary

_DROPPED = frozenset(
    "script style noscript template nav footer svg iframe button select textarea datalist dialog head object canvas".split()
)
"""A form is not among them: whole pages stand in one (ASP.NET)."""
_FURNITURE = frozenset(["header", "aside"])
"""Dropped outside of the page's main part, where it names one; within, they hold its title and its notes."""
_ROLES = frozenset(["navigation", "search", "menu", "menubar", "dialog", "alertdialog"])
_BLOCKS = frozenset(
    "address article blockquote body center dd details div dl dt fieldset figcaption figure header hr html li main ol p pre section "
    "summary table tbody td tfoot th thead tr ul h1 h2 h3 h4 h5 h6 caption".split()
)
_DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset=["']?\s*([\w-]+)""", re.IGNORECASE)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_PERMALINK = re.compile(r"[\s¶#§🔗\u200b]*\Z")
"""What documentation generators put behind a heading, as a link to itself."""
_DEEPEST = 150
"""Elements within elements; what lies deeper is read as the text of the last one."""


def parse(raw: bytes) -> Text:
    """Read a page.

    Raises:
        DocumentRefused: ``binary``, ``undecodable`` or ``no_text``: nothing of it is text once scripts are gone.
    """
    if is_binary(raw):
        raise DocumentRefused("binary", "The file is not HTML.")
    declared = _DECLARED.search(raw[:4096])
    tree = LexborHTMLParser(decode(raw, declared[1].decode() if declared else None))
    title = tree.css_first("title")
    found = Text(title=title.text().strip() if title else "")
    if tree.body is not None:
        found.blocks = blocks_of(tree.body)
    if not any(block.text.strip() for block in found.blocks):
        raise DocumentRefused(
            "no_text", "The page holds no text of its own; perhaps a script fills it. Save it as a browser shows it."
        )
    return found


def fragment(source: str) -> list[Block]:
    """Read a piece of HTML that stands in another format."""
    tree = LexborHTMLParser(source)
    return blocks_of(tree.body) if tree.body is not None else []


def blocks_of(root: LexborNode) -> list[Block]:
    """Return the blocks below a node, in reading order."""
    walk = _Walk(has_main=root.css_first("main, article, [role=main]") is not None)
    walk.children(root, 0)
    walk.flush()
    return walk.blocks


class _Walk:
    def __init__(self, *, has_main: bool = False) -> None:
        self.blocks: list[Block] = []
        self._inline: list[str] = []
        self._prefix = ""
        self._tight = False
        self._furniture = _FURNITURE if has_main else frozenset[str]()

    def flush(self) -> None:
        """End the paragraph under way."""
        text = _tidy("".join(self._inline))
        self._inline = []
        if text:
            self.blocks.append(Block(self._prefix + text.replace("\n", "\n" + " " * len(self._prefix)), tight=self._tight))
            self._prefix = " " * len(self._prefix)
            self._tight = False

    def children(self, node: LexborNode, depth: int, *, lists: int = 0) -> None:
        """Read what stands in a node."""
        child = node.first_child
        while child is not None:
            self._node(child, depth + 1, lists)
            child = child.next

    def _node(self, node: LexborNode, depth: int, lists: int) -> None:
        tag = node.tag or ""
        if tag == "-text":
            self._inline.append(re.sub(r"\s+", " ", node.text_content or ""))
        elif tag in self._furniture or _is_dropped(node, tag):
            return
        elif tag == "br":
            self._inline.append("\n")
        elif depth > _DEEPEST:
            self._inline.append(_text(node))
        elif tag == "pre":
            self.flush()
            self.blocks.append(Block(_text(node, raw=True)))
        elif tag == "table":
            self.flush()
            self._table(node, depth, lists)
        elif tag in ("ul", "ol", "menu"):
            self.flush()
            self._list(node, depth, lists, ordered=tag == "ol")
        elif tag[0] == "h" and tag[1:] in ("1", "2", "3", "4", "5", "6"):
            self.flush()
            self.blocks.append(Block(_text(node, heading=True), level=int(tag[1:])))
        elif tag in _BLOCKS:
            self.flush()
            if tag in ("main", "article") or node.attributes.get("role") == "main":
                before, self._furniture = self._furniture, frozenset()
                self.children(node, depth, lists=lists)
                self._furniture = before
            else:
                self.children(node, depth, lists=lists)
            self.flush()
        else:
            self.children(node, depth, lists=lists)

    def _list(self, node: LexborNode, depth: int, lists: int, *, ordered: bool) -> None:
        start = node.attributes.get("start") or ""
        number = int(start) - 1 if re.fullmatch(r"-?\d{1,9}", start) else 0
        child = node.first_child
        first = True
        while child is not None:
            before = self._prefix, self._tight
            if child.tag == "li" and not _is_dropped(child, "li"):
                number += 1
                mark = f"{number}. " if ordered else "- "
                self._prefix, self._tight = "  " * lists + mark, not first or lists > 0
                self.children(child, depth + 1, lists=lists + 1)
                first = False
            elif child.tag != "li":  # wrong, and common: a list or a paragraph straight in a list
                self._prefix = "  " * lists
                self._node(child, depth + 1, lists + 1)
            self.flush()
            self._prefix, self._tight = before
            child = child.next

    def _table(self, node: LexborNode, depth: int, lists: int) -> None:
        """Read a table of data row by row; one that only lays out a page, as the page it is."""
        rows = _rows_of(node)
        if any(cell.css_first(_STRUCTURE) is not None for row in rows for cell in _cells_of(row)):
            self.children(node, depth, lists=lists)
            self.flush()
            return
        caption = node.css_first("caption")
        if caption is not None and (title := _text(caption)):
            self.blocks.append(Block(title))
        first = True
        for row in rows:
            cells = [_text(cell) for cell in _cells_of(row)]
            if any(cells):
                self.blocks.append(Block(" | ".join(cells), tight=not first))
                first = False


_STRUCTURE = "table, h1, h2, h3, h4, h5, h6"
"""What no cell of data holds."""


def _rows_of(table: LexborNode) -> list[LexborNode]:
    """Return a table's own rows, not those of a table in one of its cells."""
    rows: list[LexborNode] = []
    child = table.first_child
    while child is not None:
        if child.tag == "tr":
            rows.append(child)
        elif child.tag in ("thead", "tbody", "tfoot"):
            rows += _rows_of(child)
        child = child.next
    return rows


def _cells_of(row: LexborNode) -> list[LexborNode]:
    cells: list[LexborNode] = []
    child = row.first_child
    while child is not None:
        if child.tag in ("td", "th"):
            cells.append(child)
        child = child.next
    return cells


def _is_dropped(node: LexborNode, tag: str) -> bool:
    if tag in _DROPPED or tag.startswith("-"):
        return True
    attributes = node.attributes
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or attributes.get("role") in _ROLES
        or bool(_HIDDEN.search(attributes.get("style") or ""))
    )


def _text(node: LexborNode, *, raw: bool = False, heading: bool = False) -> str:
    """Return the text of a node without what is dropped: on one line, or ``raw`` as it stands."""
    parts: list[str] = []
    waiting: list[LexborNode | str] = [node]
    while waiting:  # a stack, for a page may nest deeper than Python's
        one = waiting.pop()
        if isinstance(one, str):
            parts.append(one)
            continue
        tag = one.tag or ""
        if tag == "-text":
            parts.append(one.text_content or "")
        elif tag == "br":
            parts.append("\n")
        elif not _is_dropped(one, tag) or one is node:
            if heading and tag == "a" and _PERMALINK.match(one.text()):
                continue
            inside: list[LexborNode | str] = []
            child = one.first_child
            while child is not None:
                inside.append(child)
                child = child.next
            if tag in _BLOCKS and not raw and one is not node:
                inside = [" ", *inside, " "]
            waiting += reversed(inside)
    text = "".join(parts)
    return text if raw else " ".join(text.split())


def _tidy(text: str) -> str:
    return re.sub(r" *\n *", "\n", re.sub(r"[^\S\n]+", " ", text)).strip()
