"""Word's automatic numbers: they stand in no text, and people name clauses by them."""

from dataclasses import dataclass, field
from typing import Any

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_VAL = _W + "val"
_LEVELS = 9
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"),
          (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip


@dataclass(slots=True)
class _Level:
    start: int = 1
    style: str = "decimal"
    pattern: str = ""


@dataclass(slots=True)
class _List:
    abstract: str
    levels: dict[int, _Level]
    restarts: dict[int, int] = field(default_factory=dict)
    """Levels that this list begins anew although it looks like another one."""


class Numbering:
    """The lists of a document, counting along as their paragraphs are read in order."""

    def __init__(self, root: Any | None) -> None:
        """``root``: the numbering part; None when the document has none."""
        self._lists: dict[str, _List] = {}
        self._counts: dict[str, list[int | None]] = {}
        if root is not None:
            self._read(root)

    def label(self, number: str, level: int) -> str | None:
        """Count a paragraph and return what stands before it: ``-``, ``3.``, ``2.1`` or ``(a)``; None when it is in no list."""
        found = self._lists.get(number)
        shape = found.levels.get(level) if found else None
        if found is None or shape is None:
            return None
        counts = self._counts.setdefault(found.abstract, [None] * _LEVELS)
        for restarted, start in found.restarts.items():
            counts[restarted] = start - 1
        found.restarts = {}
        before = counts[level]
        counts[level] = shape.start if before is None else before + 1
        counts[level + 1 :] = [None] * (_LEVELS - level - 1)
        if shape.style == "bullet":
            return "-"
        label = "" if shape.style == "none" and "%" not in shape.pattern else shape.pattern
        for upper in range(level + 1):
            form = found.levels.get(upper, shape)
            count = counts[upper]
            label = label.replace(f"%{upper + 1}", _number(form.start if count is None else count, form.style))
        return label.strip()

    def _read(self, root: Any) -> None:
        shapes = {one.get(_W + "abstractNumId"): one for one in root.iter(_W + "abstractNum")}
        by_style = {link.get(_VAL): one for one in shapes.values() if (link := one.find(_W + "styleLink")) is not None}
        for num in root.iter(_W + "num"):
            link = num.find(_W + "abstractNumId")
            abstract = link.get(_VAL) if link is not None else None
            shape = shapes.get(abstract)
            if shape is None or abstract is None:
                continue
            elsewhere = shape.find(_W + "numStyleLink")
            if elsewhere is not None:
                shape = by_style.get(elsewhere.get(_VAL), shape)
            found = _List(abstract, dict(_level(one) for one in shape.iter(_W + "lvl")))
            for override in num.iter(_W + "lvlOverride"):
                place = _whole(override.get(_W + "ilvl"))
                found.levels |= dict(_level(one) for one in override.iter(_W + "lvl"))
                restart = override.find(_W + "startOverride")
                if restart is not None and place < _LEVELS:
                    found.restarts[place] = _whole(restart.get(_VAL), 1)
            self._lists[num.get(_W + "numId")] = found


def _level(element: Any) -> tuple[int, _Level]:
    def value(name: str, default: str) -> str:
        found = element.find(_W + name)
        return str(found.get(_VAL, default)) if found is not None else default

    place = min(_whole(element.get(_W + "ilvl")), _LEVELS - 1)
    return place, _Level(_whole(value("start", "1"), 1), value("numFmt", "decimal"), value("lvlText", ""))


def _whole(value: str | None, default: int = 0) -> int:
    """Return a number that a file names, within what a list can have."""
    return min(int(value), 100_000) if value and value.isascii() and value.isdigit() else default


def _number(count: int, style: str) -> str:
    match style:
        case "lowerLetter" | "upperLetter" if count > 0:
            letters = chr(ord("a") + (count - 1) % 26) * min((count - 1) // 26 + 1, 9)  # after z comes aa, then bb
            return letters if style == "lowerLetter" else letters.upper()
        case "lowerRoman" | "upperRoman" if 0 < count < 4000:
            roman = ""
            for value, sign in _ROMAN:
                roman += sign * (count // value)
                count %= value
            return roman if style == "lowerRoman" else roman.upper()
        case "decimalZero":
            return f"{count:02}"
        case "none":
            return ""
        case _:
            return str(count)
