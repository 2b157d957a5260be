"""PowerPoint: a slide is a page, its title a heading; groups, tables, charts and notes are read."""

import io
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pptx
import pytest
from lxml import etree
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.presentation import Presentation
from pptx.util import Inches

from app.core.errors import DocumentRefused
from ingest.load import Item
from ingest.parse import Parsed, parse, sniff

TITLE_ONLY, TITLE_AND_BODY = 5, 1
PLACE = (Inches(1), Inches(1), Inches(2), Inches(1))


def made(fill: Callable[[Presentation], object]) -> bytes:
    presentation = pptx.Presentation()
    fill(presentation)
    out = io.BytesIO()
    presentation.save(out)
    return out.getvalue()


def read(source: Callable[[Presentation], object] | bytes) -> Parsed:
    raw = source if isinstance(source, bytes) else made(source)
    assert sniff(raw, ".pptx") == ".pptx"
    return parse(Item("deck.pptx", "s/deck.pptx", raw, ".pptx"))


def pages(found: Parsed) -> list[str]:
    return [found.text[start:end].strip() for start, end in pairwise([*found.pages, len(found.text)])]


def slide(presentation: Presentation, title: str, *, layout: int = TITLE_ONLY):
    added = presentation.slides.add_slide(presentation.slide_layouts[layout])
    added.shapes.title.text = title
    return added


def test_a_slide_is_a_page_with_its_title_its_list_and_its_notes():
    def fill(presentation: Presentation) -> None:
        first = slide(presentation, "Plan", layout=TITLE_AND_BODY)
        frame = first.placeholders[1].text_frame
        frame.text = "one"
        frame.add_paragraph().text = "two"
        deep = frame.add_paragraph()
        deep.text, deep.level = "deep", 1
        first.notes_slide.notes_text_frame.text = "Say hello."
        slide(presentation, "Next")

    found = read(fill)

    assert pages(found) == ["Plan\n\n- one\n- two\n  - deep\n\nSay hello.", "Next"]
    assert [(h.level, h.title) for h in found.headings] == [(1, "Plan"), (1, "Next")]
    assert found.title == "Plan"


def test_groups_tables_and_charts_are_read():
    def fill(presentation: Presentation) -> None:
        shapes = slide(presentation, "Sales").shapes
        group = shapes.add_group_shape().shapes.add_group_shape()
        group.shapes.add_textbox(*PLACE).text_frame.text = "In a group."
        table = shapes.add_table(2, 2, *PLACE).table
        for (row, column), text in {(0, 0): "Region", (0, 1): "Sum", (1, 0): "North", (1, 1): "42"}.items():
            table.cell(row, column).text = text
        data = CategoryChartData()
        data.categories = ["2025", "2026"]
        data.add_series("Revenue", (1200000, 4.5))
        data.add_series("Cost", (1, 2))
        chart = shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *PLACE, data).chart
        chart.chart_title.text_frame.text = "By year"

    assert read(fill).text == (
        "Sales\n\nIn a group.\n\nRegion | Sum\nNorth | 42\n\nBy year\n\n | Revenue | Cost\n2025 | 1200000 | 1\n2026 | 4.5 | 2"
    )


def test_a_hidden_slide_keeps_its_number_and_not_its_text():
    def fill(presentation: Presentation) -> None:
        slide(presentation, "First")
        slide(presentation, "Secret").element.set("show", "0")
        slide(presentation, "Third")

    assert pages(read(fill)) == ["First", "", "Third"]


def test_what_stands_on_every_slide_is_read_once():
    def fill(presentation: Presentation) -> None:
        for title in ("First", "Second"):
            box = slide(presentation, title).shapes.add_textbox(*PLACE)
            box.text_frame.text = "Confidential"
            etree.SubElement(box.element.nvSpPr.nvPr, f"{{{box.element.nsmap['p']}}}ph").set("type", "ftr")

    assert pages(read(fill)) == ["First\n\nConfidential", "Second"]


def test_a_shape_in_two_versions_is_read_once_with_its_equation():
    space = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    equation = (
        '<a14:m xmlns:a14="http://schemas.microsoft.com/office/drawing/2010/main"><m:oMath '
        'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"><m:r><m:t>a+b</m:t></m:r></m:oMath></a14:m>'
    )

    def fill(presentation: Presentation) -> None:
        shapes = slide(presentation, "Sum").shapes
        box = shapes.add_textbox(*PLACE)
        box.text_frame.text = "It is"
        box.text_frame.paragraphs[0]._p.append(etree.fromstring(equation))
        either = etree.SubElement(shapes._spTree, f"{{{space}}}AlternateContent")
        etree.SubElement(either, f"{{{space}}}Choice").append(box.element)
        etree.SubElement(either, f"{{{space}}}Fallback")

    assert read(fill).text == "Sum\n\nIt is a+b"


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml",
        "application/vnd.openxmlformats-officedocument.presentationml.slideshow.main+xml",
        "application/vnd.openxmlformats-officedocument.presentationml.template.main+xml",
    ],
)
def test_decks_with_macros_shows_and_templates_are_read(kind: str):
    def fill(presentation: Presentation) -> None:
        slide(presentation, "Plan")
        presentation.part._content_type = kind

    assert read(fill).text == "Plan"


def test_slides_of_pictures_are_refused():
    with pytest.raises(DocumentRefused) as refused:
        read(lambda presentation: presentation.slides.add_slide(presentation.slide_layouts[6]))

    assert refused.value.reason == "no_text"


def test_a_damaged_file_is_refused():
    raw = made(lambda presentation: slide(presentation, "x"))

    with pytest.raises(DocumentRefused) as refused:
        read(raw.replace(b"ppt/presentation.xml", b"ppt/presentatoin.xml"))
    assert refused.value.reason == "corrupt"


def test_the_public_slides_have_their_phrases_on_the_right_pages(shared_data: Path):
    folder = shared_data / "files-mixed"
    rows = [json.loads(line) for line in (folder / "expected.jsonl").read_text().splitlines()]
    wanted = [row for row in rows if row["file"].endswith(".pptx")]
    for row in wanted:
        shown = [" ".join(page.split()) for page in pages(read((folder / row["file"]).read_bytes()))]
        for phrase in row["phrases"]:
            assert phrase["text"] in shown[phrase["page"] - 1], (row["file"], phrase)
    assert len(wanted) == 3
