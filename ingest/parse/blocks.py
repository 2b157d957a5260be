"""Blocks -> one text with exact offsets: what every parser hands over, and how it becomes a document's text."""

from dataclasses import dataclass, field
from typing import Any

from app.core.text import normalise, visible
from app.core.types import Heading


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, paragraph, list item, table row or code block."""

    text: str
    level: int = 0
    """Of a heading, from 1; 0 for anything else."""
    tight: bool = False
    """Follows the block before on the next line (list items, table rows) instead of after a blank one."""
    page: int | None = None
    """The page, from 1, that it begins."""


@dataclass(slots=True)
class Text:
    """What a parser found, before offsets are counted."""

    blocks: list[Block] = field(default_factory=list)
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's text in the house form, and where its headings and pages begin in it."""

    title: str
    text: str
    headings: tuple[Heading, ...]
    pages: tuple[int, ...]
    metadata: dict[str, Any]
    parser: str = field(default="", compare=False)
    """Who read it, such as ``markdown/2``; says nothing about what was read."""


def assemble(found: Text, *, fallback: str, parser: str) -> Parsed:
    """Join blocks into the text. Each block is normalised first, so that the offsets count what is stored.

    Args:
        found: What a parser found.
        fallback: The title of a document that has none.
        parser: The identity of who found it.
    """
    parts: list[str] = []
    headings: list[Heading] = []
    pages: list[int] = []
    length = 0
    for block in found.blocks:
        text = normalise(block.text).strip("\n").rstrip()
        if block.level:
            text = " ".join(text.split())
        if block.page is not None and block.page > len(pages):
            gap = 2 if length else 0
            pages += [length + gap] * (block.page - len(pages))  # pages without text begin where the next one does
        if not text.strip():
            continue
        if parts:
            joint = "\n" if block.tight else "\n\n"
            parts.append(joint)
            length += len(joint)
        if block.level:
            headings.append(Heading(length, block.level, text))
        parts.append(text)
        length += len(text)
    whole = "".join(parts)
    first = next((heading.title for heading in headings if heading.level == 1), "")
    named = " ".join(normalise(found.title).split())
    title = next((title for title in (named, first) if visible(title)), fallback)
    starts = tuple(min(page, len(whole)) for page in pages)  # pages without text at the end begin behind the last character
    return Parsed(title, whole, tuple(headings), starts, found.metadata, parser)
