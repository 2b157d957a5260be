"""HTML -> blocks: headings, paragraphs, lists, tables, code; scripts and page furniture dropped."""

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from app.core.errors import DocumentRefused
from ingest.parse.blocks import Block, Text
from ingest.parse.plain import decode, is_binary

_DROPPED = frozenset(
    "script style noscript template nav footer svg iframe form button select dialog head object canvas aside".split()
)
_BLOCKS = frozenset(
    "address article blockquote body center dd details div dl dt fieldset figcaption figure header hr html li main ol p pre section "
    "summary table tbody td tfoot th thead tr ul h1 h2 h3 h4 h5 h6 caption".split()
)
_DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset=["']?\s*([\w-]+)""", re.IGNORECASE)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
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
    walk = _Walk()
    walk.children(root, 0)
    walk.flush()
    return walk.blocks


class _Walk:
    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._inline: list[str] = []
        self._prefix = ""
        self._tight = False

    def flush(self) -> None:
        """End the paragraph under way."""
        text = re.sub(r"[ \t]*\n[ \t]*", "\n", re.sub(r"[^\S\n]+", " ", "".join(self._inline))).strip()
        self._inline = []
        if text:
            self.blocks.append(Block(self._prefix + text, tight=self._tight))
            self._prefix = " " * len(self._prefix) if self._prefix else ""

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
        elif (
            tag in _DROPPED
            or tag.startswith("-")
            or "hidden" in node.attributes
            or _HIDDEN.search(node.attributes.get("style") or "")
        ):
            return
        elif tag == "br":
            self._inline.append("\n")
        elif depth > _DEEPEST:
            self._inline.append(node.text(separator=" "))
        elif tag == "pre":
            self.flush()
            self.blocks.append(Block(node.text()))
        elif tag == "table":
            self.flush()
            self._table(node)
        elif tag in ("ul", "ol"):
            self.flush()
            self._list(node, depth, lists, ordered=tag == "ol")
        elif tag[0] == "h" and tag[1:] in ("1", "2", "3", "4", "5", "6"):
            self.flush()
            self.blocks.append(Block(re.sub(r"\s+", " ", node.text()).strip(), level=int(tag[1:])))
        elif tag in _BLOCKS:
            self.flush()
            self.children(node, depth, lists=lists)
            self.flush()
        else:
            self.children(node, depth, lists=lists)

    def _list(self, node: LexborNode, depth: int, lists: int, *, ordered: bool) -> None:
        number = 0
        child = node.first_child
        first = True
        while child is not None:
            if child.tag == "li":
                number += 1
                mark = f"{number}. " if ordered else "- "
                before = self._prefix, self._tight
                self._prefix, self._tight = "  " * lists + mark, not first or lists > 0
                self.children(child, depth + 1, lists=lists + 1)
                self.flush()
                self._prefix, self._tight = before
                first = False
            child = child.next

    def _table(self, node: LexborNode) -> None:
        first = True
        for row in node.css("tr"):
            cells = [re.sub(r"\s+", " ", cell.text(separator=" ")).strip() for cell in row.css("td, th")]
            if any(cells):
                self.blocks.append(Block(" | ".join(cells), tight=not first))
                first = False
