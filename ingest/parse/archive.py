"""Zip packages (Office, EPUB) -> an archive that is safe to unpack: what it holds is counted before any of it is unpacked."""

import io
import struct
import zipfile
import zlib
from typing import Any

from lxml import etree

from app.core.errors import DocumentRefused

_ENTRY = b"PK\x01\x02"
"""What an entry of the directory begins with. Counting it costs less than the directory's objects would."""
_MOST_ENTRIES = 20_000
_MOST_MARKUP = 50_000_000
"""Bytes. A tree of it takes ten times as much memory; 50,000 paragraphs of a Word file have 7,500,000."""
_MOST_IN_ALL = 500_000_000
"""Bytes, pictures included: some readers unpack those too."""
_MARKUP = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx", ".vml")
_FAULTS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError, OSError)
"""The ways in which ``zipfile`` says that an archive is damaged."""
_LOCKED = 1


def kind(raw: bytes) -> str | None:
    """Return the suffix that a zip archive's content deserves; None when it is none of a known format, or can't be opened."""
    if raw.count(_ENTRY) > _MOST_ENTRIES:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = archive.namelist()
            if "mimetype" in names:
                return _by_mimetype(archive.open("mimetype").read(100).strip())
    except (*_FAULTS, RuntimeError):  # RuntimeError: a password is wanted for it
        return None
    if "META-INF/container.xml" in names:
        return ".epub"
    if "xl/workbook.bin" in names:
        return ".xlsb"
    folders = {name.partition("/")[0] for name in names if "/" in name} if "[Content_Types].xml" in names else set[str]()
    return next((suffix for folder, suffix in (("word", ".docx"), ("ppt", ".pptx"), ("xl", ".xlsx")) if folder in folders), None)


def _by_mimetype(said: bytes) -> str | None:
    if said == b"application/epub+zip":
        return ".epub"
    name = said.removeprefix(b"application/vnd.oasis.opendocument.")
    if name == said:
        return None
    return {b"spreadsheet": ".ods", b"presentation": ".odp"}.get(name.split(b"-")[0], ".odt")


def unpack(raw: bytes, *, what: str, most: int = _MOST_MARKUP) -> zipfile.ZipFile:
    """Open an archive.

    Args:
        raw: Its bytes.
        what: What a person calls such a file.
        most: Bytes of markup that it may unpack to.

    Raises:
        DocumentRefused: ``corrupt``, ``encrypted`` or ``too_large``.
    """
    if raw.count(_ENTRY) > _MOST_ENTRIES:
        raise DocumentRefused("too_large", f"The {what} holds more than {_MOST_ENTRIES:,} parts. Split it.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(raw))
    except _FAULTS as error:
        raise DocumentRefused(
            "corrupt", f"The {what} is damaged and can't be opened. Fetch it again.", detail=repr(error)[:500]
        ) from None
    entries = archive.infolist()
    if any(entry.flag_bits & _LOCKED for entry in entries):
        raise DocumentRefused("encrypted", f"The {what} needs a password. Save it without one.")
    markup = sum(entry.file_size for entry in entries if entry.filename.lower().endswith(_MARKUP))
    for size, limit, of in ((markup, most, " of text"), (sum(e.file_size for e in entries), _MOST_IN_ALL, "")):
        if size > limit:
            raise DocumentRefused("too_large", f"The {what} unpacks to {size:,} bytes{of}; the limit is {limit:,}. Split it.")
    return archive


def member(archive: zipfile.ZipFile, name: str, *, what: str) -> bytes | None:
    """Return one part of an archive, None when it holds none of that name.

    Raises:
        DocumentRefused: ``corrupt``.
    """
    try:
        return archive.read(name)
    except KeyError:
        return None
    except _FAULTS as error:
        raise DocumentRefused("corrupt", f"A part of the {what} is damaged. Fetch it again.", detail=repr(error)[:500]) from None


def tree(raw: bytes) -> Any:
    """Return the root of a part that is XML. It is a stranger's: no entity is resolved, nothing is fetched, no comment kept.

    Raises:
        etree.XMLSyntaxError: It is none.
    """
    return etree.fromstring(raw, etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True))
