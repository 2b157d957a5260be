"""What Word and PowerPoint draw from data -> blocks: the labels of SmartArt, the numbers of charts."""

from collections.abc import Callable, Iterator
from typing import Any

from ingest.parse import table
from ingest.parse.archive import tree
from ingest.parse.blocks import Block

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"

CHART, SMART_ART = _C + "chart", _DIAGRAM + "relIds"
"""The elements that stand for a figure and name the part with its data."""


def read(element: Any, blob: Callable[[str], bytes | None]) -> Iterator[Block]:
    """Yield what a figure says.

    Args:
        element: One of the two elements above.
        blob: A relation's id -> the part's content, None where there is none.
    """
    is_chart = element.tag == CHART
    related = element.get(_R + ("id" if is_chart else "dm"))
    data = blob(related) if related else None
    if data:
        yield from _chart(tree(data)) if is_chart else _smart_art(tree(data))


def _smart_art(root: Any) -> Iterator[Block]:
    first = True
    for point in root.iter(_DIAGRAM + "pt"):
        label = " ".join(_words(line) for line in point.iter(_A + "p")).strip()
        if label:
            yield Block(label, tight=not first)
            first = False


def _chart(root: Any) -> Iterator[Block]:
    """Yield a chart's title and its numbers: as they were when it was saved, for every kind of chart."""
    title = root.find(f"{_C}chart/{_C}title")
    if title is not None:
        yield Block(_words(title))
    series = list(root.iter(_C + "ser"))
    names = [next((value.text or "" for value in one.iterfind(f"{_C}tx//{_C}v")), "") for one in series]
    labels: dict[int, str] = {}
    for one in series:
        labels = _points(one, "cat", "xVal") | labels
    columns = [_points(one, "val", "yVal") for one in series]
    places = sorted(labels.keys() | {place for column in columns for place in column})
    if places:
        rows = [[labels.get(place, ""), *(column.get(place, "") for column in columns)] for place in places]
        yield from table.rows([["", *names], *rows])


def _points(series: Any, *names: str) -> dict[int, str]:
    return {
        int(point.get("idx") or 0): point.findtext(_C + "v") or ""
        for name in names
        for point in series.iterfind(f"{_C}{name}//{_C}pt")
        if (point.get("idx") or "0").isdecimal()
    }


def _words(node: Any) -> str:
    return "".join(text.text or "" for text in node.iter(_A + "t"))
