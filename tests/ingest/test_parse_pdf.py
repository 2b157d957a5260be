"""PDF: pages, the outline's headings, and sentences that come whole."""

import json
from itertools import pairwise
from pathlib import Path

import pypdfium2

from ingest.load import Item
from ingest.parse import Parsed, parse, sniff


def made(*pages: list[str], title: str = "", outline: list[tuple[str, int]] | None = None) -> bytes:
    """A minimal PDF of lines of Helvetica; the outline's entries name a page, from 0."""
    entries = outline or []
    first_page, first_entry = 5, 5 + 2 * len(pages)
    bodies = [
        f"<< /Type /Catalog /Pages 2 0 R {'/Outlines 4 0 R' if entries else ''} >>",
        f"<< /Type /Pages /Kids [{' '.join(f'{first_page + 2 * n} 0 R' for n in range(len(pages)))}] /Count {len(pages)} >>",
        f"<< /Title ({title}) >>",
        f"<< /Type /Outlines /First {first_entry} 0 R /Last {first_entry + len(entries) - 1} 0 R /Count {len(entries)} >>",
    ]
    font = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    for n, lines in enumerate(pages):
        shown = " ".join(f"({line}) Tj 0 -14 Td" for line in lines)
        stream = f"BT /F1 10 Tf 50 750 Td {shown} ET"
        box = f"/MediaBox [0 0 600 800] /Contents {first_page + 2 * n + 1} 0 R /Resources {font}"
        bodies += [f"<< /Type /Page /Parent 2 0 R {box} >>", f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream"]
    for n, (name, page) in enumerate(entries):
        links = f"/Next {first_entry + n + 1} 0 R" if n + 1 < len(entries) else ""
        bodies.append(f"<< /Title ({name}) /Parent 4 0 R {links} /Dest [{first_page + 2 * page} 0 R /Fit] >>")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    head = f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}"
    return out + f"{head}trailer << /Size {len(bodies) + 1} /Root 1 0 R /Info 3 0 R >>\nstartxref\n{len(out)}\n%%EOF".encode()


def read(raw: bytes) -> Parsed:
    assert sniff(raw, ".pdf") == ".pdf"
    return parse(Item("report.pdf", "s/report.pdf", raw, ".pdf"))


def test_a_sentence_broken_by_the_margin_is_whole_again():
    found = read(
        made(
            [
                "Retention",
                "Audit logs are kept for three hundred and sixty-five days on the",
                "Enterprise plan of the company, and every other plan keeps them for",
                "thirty days only.",
                "Backups are kept for ninety days.",
            ]
        )
    )

    assert found.text == (
        "Retention\nAudit logs are kept for three hundred and sixty-five days on the Enterprise plan of the company, and every "
        "other plan keeps them for thirty days only.\nBackups are kept for ninety days."
    )


def test_rows_and_items_stay_on_lines_of_their_own():
    rows = [f"SKU-{n}88{n} Steel bracket of the long kind {n}00 pieces {n}9.50 EUR" for n in range(1, 5)]
    items = [
        "- a first item that is about as long as all of the others are",
        "- b second item that is about as long as the others are",
    ]

    assert read(made([*rows, *items])).text.split("\n") == [*rows, *items]


def test_the_outline_s_titles_are_headings_where_they_stand_in_the_text():
    found = read(made(["Scope", "It holds."], ["2.1 Limits", "Three."], outline=[("Scope", 0), ("Limits", 1), ("Not there", 1)]))

    assert [(h.title, found.text[h.start :].split("\n")[0]) for h in found.headings] == [
        ("Scope", "Scope"),
        ("2.1 Limits", "2.1 Limits"),
    ]


def test_pages_begin_where_their_text_begins_and_blank_ones_hold_none():
    found = read(made(["One."], [], ["Three."], []))

    assert [found.text[a:b].strip() for a, b in pairwise([*found.pages, len(found.text)])] == ["One.", "", "Three.", ""]


def test_a_telling_title_is_taken_and_a_program_s_is_not():
    assert read(made(["Text."], title="Annual report")).title == "Annual report"
    assert read(made(["Text."], title="Microsoft Word - draft.doc")).title == "report"
    assert read(made(["Text."], title=r"\(anonymous\)")).title == "report"


def test_junk_before_the_header_is_forgiven():
    assert read(b"\n\nHTTP/1.1 200\n" + made(["Text."])).text == "Text."


def test_the_public_outline_gives_headings(shared_data: Path):
    found = read((shared_data / "files-mixed/outline.pdf").read_bytes())

    assert found.headings
    assert len(found.pages) == len(pypdfium2.PdfDocument(shared_data / "files-mixed/outline.pdf"))
    for heading in found.headings:
        assert found.text[heading.start : heading.start + len(heading.title)] == heading.title


def test_the_public_files_have_their_phrases_on_the_right_pages(shared_data: Path):
    folder = shared_data / "files-mixed"
    rows = [json.loads(line) for line in (folder / "expected.jsonl").read_text().splitlines()]
    wanted = [row for row in rows if row["file"].endswith(".pdf") and row["expect"] == "text"]
    for row in wanted:
        found = read((folder / row["file"]).read_bytes())
        pages = [" ".join(found.text[a:b].split()) for a, b in pairwise([*found.pages, len(found.text)])]
        for phrase in row["phrases"]:
            assert " ".join(phrase["text"].split()) in pages[phrase["page"] - 1], (row["file"], phrase)
    assert len(wanted) > 15
