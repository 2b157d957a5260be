"""EPUB: the spine's order, chapters as the XHTML that they are, nothing that is protected."""

import pytest

from app.core.errors import DocumentRefused
from ingest.load import Item
from ingest.parse import Parsed, parse, sniff
from tests.ingest.test_parse_archive import zipped

CONTAINER = b"""<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>
<rootfile full-path="OPS/book%20one.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""


def page(body: str, head: str = "<title/>") -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head>{head}<script src="x.js"/></head>'
        f"<body>{body}</body></html>"
    ).encode()


def made(chapters: dict[str, bytes], *, spine: str = "", extra: dict[str, bytes] | None = None, nav: str = "") -> bytes:
    """A book of chapters by href; the spine is their order, where none is given."""
    items = "".join(
        f'<item id="{href}" href="{href}" properties="{"nav" if href == nav else ""}" media-type="application/xhtml+xml"/>'
        for href in chapters
    )
    order = "".join(f'<itemref idref="{href}"/>' for href in (spine.split() or chapters))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>The Stone Book</dc:title></metadata><manifest>{items}</manifest><spine>{order}</spine></package>"
    )
    files = {f"OPS/{href.replace('%20', ' ')}": content for href, content in chapters.items() if content}
    return zipped(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "OPS/book one.opf": package.encode(),
            **files,
            **(extra or {}),
        }
    )


def read(raw: bytes) -> Parsed:
    assert sniff(raw, ".epub") == ".epub"
    return parse(Item("book.epub", "s/book.epub", raw, ".epub"))


def refusal(raw: bytes) -> str:
    with pytest.raises(DocumentRefused) as refused:
        read(raw)
    return refused.value.reason


def test_chapters_come_in_the_spine_s_order_whatever_their_names():
    chapters = {"a%20b.xhtml": page("<h1>Second</h1><p>jade</p>"), "z.xhtml": page("<h1>First</h1><p>onyx</p>")}

    found = read(made(chapters, spine="z.xhtml a%20b.xhtml"))

    assert found.text == "First\n\nonyx\n\nSecond\n\njade"
    assert [heading.title for heading in found.headings] == ["First", "Second"]
    assert found.title == "The Stone Book"


def test_tags_that_xhtml_closes_at_once_take_nothing_with_them():
    body = '<a id="p1"/><p class="x"/><p>a&nbsp;b<br/>c</p><aside><p>A note.</p></aside>'

    assert read(made({"c.xhtml": page(body)})).text == "a b\nc\n\nA note."


def test_contents_covers_and_missing_chapters_are_left_out():
    chapters = {
        "cover.xhtml": page('<img src="cover.png"/>'),
        "nav.xhtml": page("<p>One ... 1</p>"),
        "one.xhtml": page("<p>One.</p>"),
        "lost.xhtml": b"",
    }

    assert read(made(chapters, nav="nav.xhtml")).text == "One."


def test_a_protected_book_is_refused_and_scrambled_fonts_are_not():
    rights = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" xmlns:e="http://www.w3.org/2001/04/xmlenc#">'
        '<e:EncryptedData><e:EncryptionMethod Algorithm="{}"/></e:EncryptedData></encryption>'
    ).format
    book = {"one.xhtml": page("<p>One.</p>")}

    def locked(algorithm: str) -> bytes:
        return made(book, extra={"META-INF/encryption.xml": rights(algorithm).encode()})

    assert refusal(locked("http://www.w3.org/2001/04/xmlenc#aes256-cbc")) == "encrypted"
    assert read(locked("http://www.idpf.org/2008/embedding")).text == "One."


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (made({"cover.xhtml": page('<img src="cover.png"/>')}), "no_text"),
        (made({"lost.xhtml": b""}), "corrupt"),
        (zipped({"mimetype": b"application/epub+zip"}), "corrupt"),
        (zipped({"META-INF/container.xml": b"<container"}), "corrupt"),
    ],
)
def test_a_book_without_text_is_refused_by_its_code(raw: bytes, code: str):
    assert refusal(raw) == code


def test_an_entity_never_reads_a_file_of_this_machine():
    bomb = b'<!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + CONTAINER.replace(b"OPS/book%20one.opf", b"&x;")

    assert refusal(zipped({"META-INF/container.xml": bomb})) == "corrupt"
