"""Office Math -> one line as a person would type it: a fraction keeps its stroke, an exponent its height."""

from typing import Any

MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_VAL = MATH + "val"
_APPLIED = "\u2061"
"""Invisible, between a function's name and its argument."""


def linear(node: Any) -> str:
    """Return an equation's text."""
    name = node.tag.removeprefix(MATH)
    match name:
        case "t":
            return (node.text or "").replace(_APPLIED, " ")
        case "f":
            return f"{_grouped(_of(node, 'num'))}/{_grouped(_of(node, 'den'))}"
        case "sSup":
            return f"{_of(node, 'e')}^{_grouped(_of(node, 'sup'))}"
        case "sSub":
            return f"{_of(node, 'e')}_{_grouped(_of(node, 'sub'))}"
        case "sSubSup":
            return f"{_of(node, 'e')}_{_grouped(_of(node, 'sub'))}^{_grouped(_of(node, 'sup'))}"
        case "rad":
            return f"{_of(node, 'deg')}√{_grouped(_of(node, 'e'))}"
        case "d":
            inside = ", ".join(linear(part) for part in node.iterchildren(MATH + "e"))
            return f"{_property(node, 'dPr', 'begChr', '(')}{inside}{_property(node, 'dPr', 'endChr', ')')}"
        case "nary":
            sign, low, high = _property(node, "naryPr", "chr", "∫"), _of(node, "sub"), _of(node, "sup")
            return f"{sign}{'_' + _grouped(low) if low else ''}{'^' + _grouped(high) if high else ''} {_of(node, 'e')}"
        case _:
            return "".join(linear(part) for part in node.iterchildren("*"))


def _of(node: Any, name: str) -> str:
    part = node.find(MATH + name)
    return "" if part is None else linear(part).strip()


def _grouped(text: str) -> str:
    """Set brackets around what is more than one number or name."""
    return text if text.replace(".", "").isalnum() or not text else f"({text})"


def _property(node: Any, group: str, name: str, default: str) -> str:
    found = node.find(f"{MATH}{group}/{MATH}{name}")
    return default if found is None else str(found.get(_VAL, ""))
