"""Word: what a reader sees, in the order in which it is read; nothing that python-docx leaves out is lost."""

import io
import itertools
from collections.abc import Callable
from typing import Any

import docx
import pytest
from docx.document import Document
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import qn

from app.core.errors import DocumentRefused
from ingest.load import Item
from ingest.parse import Parsed, parse, sniff

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
BOX = (
    f'<w:r {W} xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" xmlns:v="urn:schemas-microsoft-com:vml">'
    '<mc:AlternateContent><mc:Choice Requires="wps"><w:drawing><wps:txbx><w:txbxContent><w:p><w:r><w:t>In the box.</w:t></w:r></w:p>'
    "</w:txbxContent></wps:txbx></w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox><w:txbxContent><w:p><w:r>"
    "<w:t>In the box.</w:t></w:r></w:p></w:txbxContent></v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>"
)


def made(fill: Callable[[Document], object]) -> bytes:
    document = docx.Document()
    fill(document)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def read(source: Callable[[Document], object] | bytes) -> Parsed:
    raw = source if isinstance(source, bytes) else made(source)
    assert sniff(raw, ".docx") == ".docx"
    found = parse(Item("plan.docx", "s/plan.docx", raw, ".docx"))
    for heading in found.headings:
        assert found.text[heading.start : heading.start + len(heading.title)] == heading.title
    return found


def xml(document: Document, *runs: str) -> None:
    """Add a paragraph of raw runs."""
    paragraph = document.add_paragraph()
    for run in runs:
        paragraph._p.append(parse_xml(run))


def test_headings_lists_and_tables_keep_their_order():
    def fill(document: Document) -> None:
        document.add_heading("Handbook", 0)
        document.add_heading("Security", 1)
        document.add_paragraph("Before.")
        document.add_paragraph("one", style="List Bullet")
        document.add_paragraph("two", style="List Bullet")
        table = document.add_table(2, 2)
        for cell, text in zip(itertools.chain(*(row.cells for row in table.rows)), ["Plan", "Days", "Team", "30"], strict=True):
            cell.text = text
        document.add_heading("Backups", 3)
        document.add_paragraph("After.")

    found = read(fill)

    assert found.text == "Handbook\n\nSecurity\n\nBefore.\n\n- one\n- two\n\nPlan | Days\nTeam | 30\n\nBackups\n\nAfter."
    assert [(h.level, h.title) for h in found.headings] == [(1, "Handbook"), (1, "Security"), (3, "Backups")]
    assert found.title == "Handbook"


def test_a_style_of_one_s_own_is_the_heading_that_it_is_based_on():
    def fill(document: Document) -> None:
        style = document.styles.add_style("Clause", 1)
        style.base_style = document.styles["Heading 2"]
        document.add_paragraph("Scope", style="Clause")
        document.add_paragraph("Plain.")
        own = document.add_paragraph("By hand")
        outline = OxmlElement("w:outlineLvl")
        outline.set(qn("w:val"), "0")
        own._p.get_or_add_pPr().append(outline)

    assert [(h.level, h.title) for h in read(fill).headings] == [(2, "Scope"), (1, "By hand")]


def test_text_boxes_fields_and_tracked_changes_are_read_once_and_in_place():
    def fill(document: Document) -> None:
        document.add_paragraph("First.")
        xml(document, f"<w:r {W}><w:t>Around.</w:t></w:r>", BOX)
        xml(
            document,
            f"<w:r {W}><w:t xml:space='preserve'>Kept </w:t></w:r>",
            f"<w:del {W}><w:r><w:delText>deleted</w:delText></w:r></w:del>",
            f"<w:ins {W}><w:r><w:t>inserted</w:t></w:r></w:ins>",
            f"<w:r {W}><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>",
            f"<w:fldSimple {W} w:instr='PAGE'><w:r><w:t xml:space='preserve'> page 3</w:t></w:r></w:fldSimple>",
            f"<w:r {W}><w:br/><w:t xml:space='preserve'>next line </w:t></w:r>",
            f"<w:hyperlink {W}><w:r><w:t>with a link</w:t></w:r></w:hyperlink>",
        )
        document.element.body.insert(
            0, parse_xml(f"<w:sdt {W}><w:sdtContent><w:p><w:r><w:t>In a control.</w:t></w:r></w:p></w:sdtContent></w:sdt>")
        )

    assert read(fill).text == "In a control.\n\nFirst.\n\nAround.\n\nIn the box.\n\nKept inserted page 3\nnext line with a link"


def test_contents_page_headers_and_prompts_are_left_out():
    def fill(document: Document) -> None:
        document.styles.add_style("toc 1", 1)
        document.add_paragraph("Scope 3", style="toc 1")
        document.sections[0].header.paragraphs[0].text = "On every page"
        document.element.body.insert(
            0,
            parse_xml(
                f"<w:sdt {W}><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent><w:p><w:r><w:t>Click here</w:t></w:r></w:p></w:sdtContent></w:sdt>"
            ),
        )
        document.add_paragraph("Text.")

    assert read(fill).text == "Text."


def test_a_table_that_only_lays_out_a_page_is_read_as_the_page():
    def fill(document: Document) -> None:
        table = document.add_table(1, 2)
        left, right = table.rows[0].cells
        left.text = "Left."
        inner = right.add_table(2, 2)
        for cell, text in zip(itertools.chain(*(row.cells for row in inner.rows)), "abcd", strict=True):
            cell.text = text
        alone = document.add_table(1, 1)
        alone.rows[0].cells[0].text = "A frame."

    assert read(fill).text == "Left.\n\na | b\nc | d\n\nA frame."


def test_a_cell_s_paragraphs_are_one_line():
    def fill(document: Document) -> None:
        left, right = document.add_table(1, 2).rows[0].cells
        left.text = "one\ntwo"
        right.text = "x"
        left.add_paragraph("three")

    assert read(fill).text == "one two three | x"


NUMBERS = f"""<w:numbering {W}>
<w:abstractNum w:abstractNumId="7">
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl>
<w:lvl w:ilvl="2"><w:start w:val="4"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%3"/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>
<w:num w:numId="2"><w:abstractNumId w:val="7"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride></w:num>
</w:numbering>"""


def numbered(document: Document, text: str, number: int, level: int, style: str | None = None) -> None:
    paragraph = document.add_paragraph(text, style=style)
    properties: Any = paragraph._p.get_or_add_pPr().get_or_add_numPr()
    properties.get_or_add_numId().val = number
    properties.get_or_add_ilvl().val = level


def test_automatic_numbers_stand_in_the_text():
    def fill(document: Document) -> None:
        part = document.part.numbering_part
        part._element = parse_xml(NUMBERS)
        numbered(document, "Scope", 1, 0, style="Heading 1")
        for text, level in (("a", 1), ("b", 1), ("deep", 2), ("deeper", 2)):
            numbered(document, text, 1, level)
        numbered(document, "Terms", 1, 0, style="Heading 1")
        numbered(document, "again", 1, 1)
        numbered(document, "restarted", 2, 0)
        numbered(document, "off", 0, 0)

    found = read(fill)

    assert found.text == (
        "1. Scope\n\n  1.a) a\n  1.b) b\n    IV deep\n    V deeper\n\n2. Terms\n\n  2.a) again\n5. restarted\n\noff"
    )
    assert [heading.title for heading in found.headings] == ["1. Scope", "2. Terms"]


def test_a_footnote_stands_below_the_paragraph_that_names_it():
    def fill(document: Document) -> None:
        notes = (
            f"<w:footnotes {W}><w:footnote w:type='separator' w:id='0'><w:p/></w:footnote>"
            "<w:footnote w:id='2'><w:p><w:r><w:t>See the annex.</w:t></w:r></w:p></w:footnote></w:footnotes>"
        )
        kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
        part = Part(PackURI("/word/footnotes.xml"), kind, notes.encode(), document.part.package)
        document.part.relate_to(part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes")
        xml(document, f"<w:r {W}><w:t>It holds.</w:t></w:r>", f"<w:r {W}><w:footnoteReference w:id='2'/></w:r>")
        document.add_paragraph("Next.")

    assert read(fill).text == "It holds.\n\nSee the annex.\n\nNext."


def test_equations_are_typed_out():
    def fill(document: Document) -> None:
        term = "<m:r><m:t>{}</m:t></m:r>".format
        xml(
            document,
            f"<w:r {W}><w:t>Then</w:t></w:r>",
            f"<m:oMath {M}>{term('x=')}<m:f><m:num>{term('a+b')}</m:num><m:den>{term('2')}</m:den></m:f>"
            f"<m:sSup><m:e>{term('r')}</m:e><m:sup>{term('n')}</m:sup></m:sSup><m:rad><m:deg/><m:e>{term('2')}</m:e></m:rad>"
            f"<m:d><m:e>{term('y')}</m:e></m:d></m:oMath>",
            f"<w:r {W}><w:t>holds.</w:t></w:r>",
        )

    assert read(fill).text == "Then x=(a+b)/2r^n√2(y) holds."


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.ms-word.document.macroEnabled.main+xml",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml",
    ],
)
def test_documents_with_macros_and_templates_are_read(kind: str):
    def fill(document: Document) -> None:
        document.add_heading("Plan", 1)
        document.part._content_type = kind

    assert [heading.title for heading in read(fill).headings] == ["Plan"]


def test_a_damaged_file_is_refused():
    raw = made(lambda document: document.add_paragraph("x"))

    with pytest.raises(DocumentRefused) as refused:
        read(raw.replace(b"word/document.xml", b"word/dokument.xml"))
    assert refused.value.reason == "corrupt"


def test_a_title_that_a_program_chose_is_none():
    def fill(document: Document) -> None:
        document.core_properties.title = "Microsoft Word - draft.docx"
        document.add_paragraph("x")

    assert read(fill).title == "plan"
