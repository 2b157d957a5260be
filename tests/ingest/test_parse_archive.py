"""Packages: what an archive is, and what it would unpack to, is known before anything of it is unpacked."""

import io
import zipfile

import pytest

from app.core.errors import DocumentRefused
from ingest.parse import sniff
from ingest.parse.archive import kind, member, unpack


def zipped(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("parts", "suffix"),
    [
        ({"[Content_Types].xml": b"", "word/document.xml": b""}, ".docx"),
        ({"[Content_Types].xml": b"", "ppt/presentation.xml": b""}, ".pptx"),
        ({"[Content_Types].xml": b"", "xl/workbook.xml": b""}, ".xlsx"),
        ({"mimetype": b"application/epub+zip"}, ".epub"),
        ({"META-INF/container.xml": b""}, ".epub"),
    ],
)
def test_a_package_is_known_by_its_content_whatever_its_name(parts: dict[str, bytes], suffix: str):
    assert sniff(zipped(parts), ".bin") == suffix
    assert sniff(zipped(parts), ".docx") == suffix


@pytest.mark.parametrize(
    ("parts", "advice"),
    [
        ({"mimetype": b"application/vnd.oasis.opendocument.text"}, "Save it as .docx"),
        ({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet"}, "Save it as .xlsx"),
        ({"[Content_Types].xml": b"", "xl/workbook.bin": b""}, "Save it as .xlsx"),
        ({"word/document.xml": b"no content types, so no Word file"}, "Unpack it"),
    ],
)
def test_a_package_that_is_not_read_is_refused_with_what_to_do(parts: dict[str, bytes], advice: str):
    with pytest.raises(DocumentRefused, match=advice) as refused:
        sniff(zipped(parts), ".zip")

    assert refused.value.reason == "unsupported_type"


def test_a_bomb_is_refused_by_its_directory():
    bomb = zipped({"word/document.xml": b" " * 50_000_001})

    with pytest.raises(DocumentRefused, match="50,000,001") as refused:
        unpack(bomb, what="Word file")

    assert len(bomb) < 100_000
    assert refused.value.reason == "too_large"
    assert unpack(bomb, what="Excel file", most=60_000_000)


def test_pictures_count_less_than_text():
    assert unpack(zipped({"word/media/a.png": b" " * 50_000_001}), what="Word file")


def test_a_directory_without_end_is_not_even_opened():
    entries = b"PK\x01\x02" * 20_001

    assert kind(entries) is None
    with pytest.raises(DocumentRefused) as refused:
        unpack(entries, what="EPUB")
    assert refused.value.reason == "too_large"


def test_a_damaged_part_and_a_locked_one_are_refused():
    whole = zipped({"a.xml": b"<a>" + bytes(range(32, 127)) * 20 + b"</a>"})
    broken = bytearray(whole)
    broken[45] ^= 0xFF

    with pytest.raises(DocumentRefused) as refused:
        member(unpack(bytes(broken), what="EPUB"), "a.xml", what="EPUB")
    assert refused.value.reason == "corrupt"

    locked = whole.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
    assert locked != whole
    with pytest.raises(DocumentRefused) as refused:
        unpack(locked, what="EPUB")
    assert refused.value.reason == "encrypted"
