"""Word's styles -> what each makes of its paragraphs: a heading, a list item, the title, a line of the table of contents."""

import re
from dataclasses import dataclass
from typing import Any

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_VAL = _W + "val"
_HEADING = re.compile(r"heading\s*([1-9])\Z", re.IGNORECASE)
_CONTENTS = re.compile(r"toc\s*(?:[1-9]|heading)\Z|table of figures\Z|contents\s*[1-9]\Z", re.IGNORECASE)
_DEEPEST = 20
"""Styles based on styles."""
_BODY = 9
"""The outline level that is none."""


@dataclass(frozen=True, slots=True)
class Style:
    """What a style makes of its paragraphs."""

    level: int = 0
    """Of a heading, from 1."""
    is_title: bool = False
    is_contents: bool = False
    number: str | None = None
    """The list that it numbers its paragraphs in."""
    depth: int = 0

    def level_of(self, paragraph: Any) -> int:
        """Return a paragraph's level as a heading; its own wins over its style's."""
        own = paragraph.find(f"{_W}pPr/{_W}outlineLvl")
        if own is None:
            return 1 if self.is_title else self.level
        return _outline(own)

    def list_of(self, paragraph: Any) -> tuple[str | None, int]:
        """Return the list that a paragraph is in and its depth, from 0; None when it is in none."""
        own = paragraph.find(f"{_W}pPr/{_W}numPr")
        number, depth = _numbered(own) if own is not None else (None, None)
        number = self.number if number is None else number
        return (None if number == "0" else number), self.depth if depth is None else depth


class Styles:
    """The styles of a document, by id."""

    def __init__(self, root: Any | None) -> None:
        """``root``: the styles part; None when the document has none."""
        self._elements: dict[str, Any] = {}
        self._known: dict[str | None, Style] = {}
        self._default: str | None = None
        for style in root.iter(_W + "style") if root is not None else ():
            identity = style.get(_W + "styleId", "")
            self._elements[identity] = style
            if style.get(_W + "type") == "paragraph" and style.get(_W + "default") in ("1", "true", "on"):
                self._default = identity

    def of(self, paragraph: Any) -> Style:
        """Return a paragraph's style."""
        named = paragraph.find(f"{_W}pPr/{_W}pStyle")
        identity = self._default if named is None else named.get(_VAL)
        if identity not in self._known:
            self._known[identity] = self._resolved(identity)
        return self._known[identity]

    def _resolved(self, identity: str | None) -> Style:
        level, number, depth = None, None, None
        is_title = is_contents = False
        for _ in range(_DEEPEST):
            if identity is None:
                break
            element = self._elements.get(identity)
            name = _value(element, "name") or identity  # some programs name a style that they do not define
            is_title = is_title or name.lower() == "title"
            is_contents = is_contents or bool(_CONTENTS.match(name))
            if level is None:
                heading = _HEADING.match(name)
                outline = None if element is None else element.find(f"{_W}pPr/{_W}outlineLvl")
                level = int(heading[1]) if heading else None if outline is None else _outline(outline)
            listed = None if element is None else element.find(f"{_W}pPr/{_W}numPr")
            if listed is not None:
                named, deep = _numbered(listed)
                number, depth = named if number is None else number, deep if depth is None else depth
            identity = _value(element, "basedOn")
        return Style(level or 0, is_title, is_contents, number, depth or 0)


def _value(element: Any, name: str) -> str | None:
    found = None if element is None else element.find(_W + name)
    return None if found is None else found.get(_VAL)


def _outline(element: Any) -> int:
    value = element.get(_VAL) or ""
    return int(value) + 1 if len(value) == 1 and value.isdigit() and int(value) < _BODY else 0


def _numbered(element: Any) -> tuple[str | None, int | None]:
    depth = _value(element, "ilvl") or ""
    return _value(element, "numId"), int(depth) if len(depth) == 1 and depth.isdigit() else None
