"""Each format's text in the house form, with exact headings and pages; what can't be read is refused by its code."""

import json
import re
import time
import unicodedata
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.core.errors import DocumentRefused
from app.core.text import normalise
from ingest.load import Item, Refused, Skipped, read
from ingest.parse import Parsed, parse, sniff
from ingest.validate import validate

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def parsed(raw: bytes | str, suffix: str = ".md", name: str = "page.md") -> Parsed:
    data = raw.encode() if isinstance(raw, str) else raw
    found = parse(Item(name, f"s/{name}", data, sniff(data, suffix)))
    for heading in found.headings:
        assert found.text[heading.start : heading.start + len(heading.title)] == heading.title
    assert found.text == normalise(found.text)
    return found


def refusal(raw: bytes, suffix: str) -> str:
    with pytest.raises(DocumentRefused) as refused:
        validate(parsed(raw, suffix))
    return refused.value.reason


def test_markdown_keeps_its_text_and_loses_its_marks():
    found = parsed(
        "---\ntitle: Logs\nlang: en\ntags: [a, b]\n---\n# Audit *logs*\n\nKept **365** days, see [the `plan`](x.md).\n\n- one\n- two\n  - deep\n\n1. first\n2. second\n\n"
        "| a | b |\n| - | - |\n| 1 | 2 |\n\n```py\nx = a[1] * 2\n```\n"
    )

    assert found.title == "Logs"
    assert found.metadata == {"lang": "en", "tags": ["a", "b"]}
    assert found.text == (
        "Audit logs\n\nKept 365 days, see the plan.\n\n- one\n- two\n  - deep\n\n1. first\n2. second\n\na | b\n1 | 2\n\nx = a[1] * 2"
    )
    assert [(h.level, h.title) for h in found.headings] == [(1, "Audit logs")]


def test_mdx_is_read_for_its_text():
    found = parsed(
        "import X from '@site/x'\n\n# Plans\n\n:::tip Good to know\nIt is <b>free</b>.\n:::\n\n<Box title={`a > b`} on={() => {go()}}>Inside the box.</Box>\n\n"
        "<img src={useBase('/x.png')} />\n\n{/* a remark */}Use `import y from 'z'` here.\n\n```\nimport kept from 'code'\n<Kept />\n```\n"
    )

    assert "Good to know" in found.text
    assert "It is free." in found.text
    assert "Inside the box." in found.text
    assert "import kept from 'code'\n<Kept />" in found.text
    assert "Use import y from 'z' here." in found.text
    for gone in ("@site", ":::", "<Box", "useBase", "remark", "<img"):
        assert gone not in found.text


def test_html_loses_scripts_and_furniture_and_keeps_structure():
    found = parsed(
        "<html><head><title>My page</title><script>bad()</script></head><body><nav>Home</nav><h1>Top</h1><p>One<br>two &amp; <b>three</b></p>"
        "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul><table><tr><th>x</th><th>y</th></tr><tr><td>1</td><td>2</td></tr></table>"
        "<p style='display:none'>hidden</p><pre>code  kept\n  as is</pre></body></html>",
        ".html",
    )

    assert found.title == "My page"
    assert found.text == "Top\n\nOne\ntwo & three\n\n- a\n  - b\n- c\n\nx | y\n1 | 2\n\ncode  kept\n  as is"


def test_html_nested_deeper_than_any_stack_is_read_or_refused():
    assert "end" in parsed("<div>" * 5000 + "<p>end</p>", ".html").text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"caf\xe9 au lait costs 3 \x80", "café au lait costs 3 €"),
        ("日本語のテキストです。これは長い文章です。".encode("shift_jis") * 5, "日本語のテキストです。これは長い文章です。" * 5),
        (b"\xff\xfe" + "Größe".encode("utf-16-le"), "Größe"),
        ("plain words without a mark".encode("utf-16-be"), "plain words without a mark"),
        (b"\xef\xbb\xbfwith a mark", "with a mark"),
        (b"a\r\n\r\nb\rc", "a\n\nb\nc"),
    ],
)
def test_plain_text_is_read_in_its_own_encoding(raw: bytes, text: str):
    assert parsed(raw, ".txt").text == text


@pytest.mark.parametrize(
    ("raw", "suffix", "code"),
    [
        (b"", ".md", "empty"),
        (b" \n\t\n", ".txt", "empty"),
        (b"\xef\xbb\xbf", ".txt", "empty"),
        (bytes(range(256)) * 20, ".txt", "binary"),
        (b"---\ntitle: x\n---\n", ".md", "no_text"),
        (b"<html><head><title>App</title></head><body><div id=root></div><script>x</script></body></html>", ".html", "no_text"),
        (b"%PDF-1.4\nnot really", ".pdf", "corrupt"),
        (b"<html><body>Log in</body></html>", ".pdf", "corrupt"),
        (b"PK\x03\x04....", ".txt", "binary"),
        (b"PK\x03\x04....", ".docx", "corrupt"),
        (b"PK\x03\x04....", ".zip", "unsupported_type"),
        (b"<!doctype html><html><body>Log in</body></html>", ".docx", "corrupt"),
        (b"<!doctype html><html><body>Log in</body></html>", ".csv", "corrupt"),
        (b"not a zip at all", ".epub", "corrupt"),
        (b"{\\rtf1 Hello}", ".txt", "unsupported_type"),
        (b"x = 1", ".rtf", "unsupported_type"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), ".xlsx", "encrypted"),
        (OLE + "WordDocument".encode("utf-16-le"), ".docx", "unsupported_type"),
        (OLE + b"....", ".txt", "binary"),
        (b"\x7fELF\x02\x01\x01\x00", ".exe", "unsupported_type"),
    ],
)
def test_what_can_not_be_read_is_refused_by_its_code(raw: bytes, suffix: str, code: str):
    assert refusal(raw, suffix) == code


def pdf(*pages: str) -> bytes:
    """A minimal PDF, one line of text a page."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for text in pages:
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET"
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {len(objects) + 2} 0 R /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    return (
        out
        + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF".encode()
    )


def test_a_pdf_keeps_its_pages():
    found = parsed(pdf("First page here.", "", "Third page here."), ".pdf", "report.pdf")

    assert found.text == "First page here.\n\nThird page here."
    assert len(found.pages) == 3
    assert found.text[found.pages[0] :].startswith("First")
    assert found.text[found.pages[2] :].startswith("Third")
    assert found.title == "report"


def test_a_pdf_is_known_by_its_content_whatever_its_name():
    assert parsed(pdf("Hello."), ".txt", "x.txt").text == "Hello."
    assert refusal(pdf(""), ".pdf") == "no_text"


def test_a_row_is_taken_as_it_is():
    row = {"_id": "1", "title": "T\n x", "text": "# not a heading\r\n*kept*", "lang": "en", "n": [1, {"deep": None}]}

    found = parse(Item("a.jsonl:1", "a.jsonl#1", b"", ".jsonl", row))

    assert found == Parsed("T x", "# not a heading\n*kept*", (), (), {"lang": "en", "n": [1, {"deep": None}]})


@examples(max_examples=80, deadline=None)
@given(st.text(), st.sampled_from([".md", ".html", ".txt", ".csv", ".eml"]))
def test_no_text_breaks_a_parser(text: str, suffix: str):
    try:
        found = validate(parsed(text, suffix))
    except DocumentRefused:
        return
    assert found.text.strip()
    assert found.title


@examples(max_examples=80, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([".md", ".html", ".txt", ".pdf", ".csv", ".eml", ".ipynb", ".jsonl", ""]))
def test_no_bytes_break_a_parser(tmp_path_factory, raw: bytes, suffix: str):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / f"x{suffix}").write_bytes(raw)

    for found in read(folder, source=None, exclude=(), max_bytes=10**6):
        if isinstance(found, Item):
            with suppress(DocumentRefused):
                assert validate(parse(found)).text.strip()


def test_a_title_is_cut_and_metadata_has_a_limit():
    assert len(validate(parsed("# " + "long " * 200 + "\n\nText")).title) == 300
    row = {"_id": "1", "text": "x", "blob": "y" * 200_000}
    with pytest.raises(DocumentRefused, match="metadata"):
        validate(parse(Item("a", "a#1", b"", ".jsonl", row)))


def test_the_public_mixed_files_are_read_or_refused_as_expected(shared_data: Path):
    folder = shared_data / "files-mixed"
    texts: dict[str, str] = {}
    refused: dict[str, set[str]] = {}
    for found in read(folder, source=None, exclude=["README.md", "expected.jsonl"], max_bytes=50_000_000):
        name = unicodedata.normalize("NFC", re.sub(r"\.jsonl:\d+$", ".jsonl", found.source))
        if isinstance(found, Skipped):
            continue
        try:
            if isinstance(found, Refused):
                raise DocumentRefused(found.code, found.message)
            texts[name] = texts.get(name, "") + "\n" + validate(parse(found)).text
        except DocumentRefused as refusal:
            refused.setdefault(name, set()).add(refusal.reason)
    wrong = []
    for line in (folder / "expected.jsonl").read_text().splitlines():
        row = json.loads(line)
        name = unicodedata.normalize("NFC", row["file"])
        flat = " ".join(texts.get(name, "").replace(" | ", " ").split())
        if name not in texts:
            if row["expect"] == "text" or (row["codes"] and not refused.get(name, set()) & set(row["codes"])):
                wrong.append((name, refused.get(name)))
        elif (
            row["expect"] == "refusal"
            or any(" ".join(p["text"].replace(" | ", " ").split()) not in flat for p in row["phrases"])
            or any(text in flat for text in row["absent"])
        ):
            wrong.append((name, "text"))
    assert not wrong


def test_public_product_documentation_keeps_every_quote(shared_data: Path):
    folder = shared_data / "docs-plausible"
    texts = {
        found.source: parse(found).text
        for found in read(folder, source=None, exclude=["README*", "LICENSE*", "cases.jsonl"], max_bytes=10**7)
        if isinstance(found, Item)
    }

    def folded(text: str) -> str:
        return "".join(char for char in text if not char.isspace() and char not in "*`_")

    assert len(texts) == 132
    for text in texts.values():
        assert not re.search(r"^---$|<CtaBox|^:::|useBaseUrl\(", text, re.MULTILINE)
    for line in (folder / "cases.jsonl").read_text().splitlines():
        for evidence in json.loads(line).get("evidence") or []:
            assert folded(evidence["quote"]) in folded(texts[evidence["document"]])


def test_a_page_of_comments_is_told_in_no_time():
    page = b"<!---->" * 500

    started = time.monotonic()

    assert sniff(page + b"<html>", ".txt") == ".html"
    assert sniff(page, ".txt") == ".txt"  # nothing comes after them: every way to part them was tried once
    assert sniff(page * 2, ".txt") == ".txt"  # cut within one
    assert time.monotonic() - started < 2
