"""PowerPoint slides -> blocks by slide: its title, what stands on it, its notes. Hidden slides keep their number, not their text."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from app.core.errors import DocumentRefused
from ingest.parse import figures, office, table
from ingest.parse.archive import unpack
from ingest.parse.blocks import Block, Text
from ingest.parse.equation import MATH, linear

if TYPE_CHECKING:
    from pptx.slide import Slide

_WHAT = "PowerPoint file"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_FURNITURE = frozenset(["dt", "ftr", "sldNum", "hdr"])
"""Placeholders that say the same on every slide."""
_BODY = frozenset(["body", "obj"])
_BULLETS = (f"{_A}buChar", f"{_A}buAutoNum", f"{_A}buBlip")


def parse(raw: bytes) -> Text:
    """Read a presentation; a slide is a page.

    Raises:
        DocumentRefused: ``corrupt``, ``encrypted``, ``too_large`` or ``no_text``.
    """
    archive = unpack(raw, what=_WHAT)
    from pptx.package import Package  # here, since it takes longer to import than most files to read

    try:
        # The library's own way in turns slide shows and templates away, and could read them.
        slides = list(Package.open(io.BytesIO(raw)).main_document_part.presentation.slides)
    except Exception as error:  # a package can be broken in more ways than the library has errors for
        raise DocumentRefused(
            "corrupt", f"The {_WHAT} is damaged, or is none. Open it and save it again.", detail=repr(error)[:500]
        ) from error
    blocks: list[Block] = []
    said: set[str] = set()
    for number, slide in enumerate(slides, start=1):
        blocks.append(Block("", page=number))
        if slide.element.get("show") not in ("0", "false"):
            blocks += _slide(slide, said)
    if not any(block.text.strip() for block in blocks):
        raise DocumentRefused("no_text", "The slides hold no text: they are pictures, or empty.")
    return Text(blocks, office.title(archive))


def _slide(slide: "Slide", said: set[str]) -> Iterator[Block]:
    """Yield a slide's blocks; ``said`` is what dates and footers said before."""
    shapes = slide.shapes
    _unfold(shapes._spTree)
    title = shapes.title
    if title is not None and title.has_text_frame:
        yield Block(title.text_frame.text.replace("\v", " "), level=1)
    for shape in _flat(shapes):
        if title is not None and shape.element is title.element:
            continue
        if _placeholder(shape) in _FURNITURE:
            text = shape.text_frame.text if shape.has_text_frame else ""
            if _placeholder(shape) != "sldNum" and text not in said:
                said.add(text)
                yield Block(text)
        else:
            yield from _shape(shape, slide)
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
        yield from _lines(notes.paragraphs, is_list=False)


def _unfold(shapes: Any) -> None:
    """Put what a newer PowerPoint reads in the place of what holds it and an older one's version: the library sees neither."""
    for either in list(shapes.iter(_MC + "AlternateContent")):
        chosen = next(either.iterchildren(_MC + "Choice"), None)
        for shape in () if chosen is None else list(chosen.iterchildren("*")):
            either.addprevious(shape)


def _flat(shapes: Any) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _flat(shape.shapes)
        else:
            yield shape


def _placeholder(shape: Any) -> str | None:
    """Return a placeholder's type as the slide itself names it: to ask its layout fails where there is none."""
    found = next(shape.element.iter(_P + "ph"), None)
    return None if found is None else found.get("type", "obj")


def _shape(shape: Any, slide: "Slide") -> Iterator[Block]:
    if shape.has_text_frame:
        yield from _lines(shape.text_frame.paragraphs, is_list=_placeholder(shape) in _BODY)
    elif getattr(shape, "has_table", False):
        yield from table.rows([["" if cell.is_spanned else cell.text for cell in row.cells] for row in shape.table.rows])
    else:
        for figure in shape.element.iter(figures.CHART, figures.SMART_ART):
            yield from figures.read(figure, lambda relation: _blob(slide, relation))


def _blob(slide: "Slide", relation: str) -> bytes | None:
    related = slide.part.rels.get(relation)
    return None if related is None or related.is_external else related.target_part.blob


def _lines(paragraphs: Any, *, is_list: bool) -> Iterator[Block]:
    """Yield a text frame's lines; several of a body are a list, unless they say that they have no bullets."""
    filled = [(paragraph, text) for paragraph in paragraphs if (text := _text(paragraph._p))]
    for place, (paragraph, text) in enumerate(filled):
        properties = paragraph._p.pPr
        has_bullet = properties is not None and any(properties.find(bullet) is not None for bullet in _BULLETS)
        has_none = properties is not None and properties.find(_A + "buNone") is not None
        mark = "  " * paragraph.level + "- " if has_bullet or (is_list and not has_none and len(filled) > 1) else ""
        yield Block(mark + text.replace("\n", "\n" + " " * len(mark)), tight=place > 0)


def _text(paragraph: Any) -> str:
    """Return a paragraph's text with its equations, which the library does not know."""
    parts: list[str] = []
    for child in paragraph.iterchildren("*"):
        if child.tag == _A + "br":
            parts.append("\n")
        elif child.tag in (_A + "r", _A + "fld"):
            parts.append(child.findtext(_A + "t") or "")
        else:
            parts += [f" {linear(equation)} " for equation in child.iterchildren(MATH + "oMath", MATH + "oMathPara")]
    return "".join(parts).strip()
