"""Bytes of a known kind -> plain text in the house form, with headings and pages.

The house form, the same for all formats: NFC, LF; blocks parted by a blank line; ``- `` list items; table rows with `` | ``; code
blocks as they are; no marks of links, emphasis or inline code.
"""

import json
import re
from importlib import import_module
from typing import Any, Protocol

from app.core.errors import DocumentRefused
from app.core.text import normalise
from ingest.parse import archive, plain
from ingest.parse.blocks import Parsed, assemble

__all__ = ["IDENTITY", "Parsed", "parse", "sniff"]

_PARSERS = {
    ".md": ("markdown/2", "markdown"),
    ".html": ("html/2", "html"),
    ".pdf": ("pdf/2", "pdf"),
    ".docx": ("docx/1", "docx"),
    ".pptx": ("pptx/1", "pptx"),
    ".xlsx": ("xlsx/1", "xlsx"),
    ".epub": ("epub/1", "epub"),
    ".eml": ("mail/1", "mail"),
    ".ipynb": ("notebook/1", "notebook"),
    ".csv": ("csv/1", "delimited"),
    ".txt": ("plain/2", "plain"),
}
"""Kind -> who reads it, under the name that changes when the same bytes give another text, and its module, imported with the first
such file: an unchanged folder needs none. A new format is a line here, and its suffixes below."""

_SUFFIXES = {
    ".md": ".md", ".markdown": ".md", ".mdx": ".md",
    ".html": ".html", ".htm": ".html", ".xhtml": ".html",
    ".pdf": ".pdf",
    ".docx": ".docx", ".docm": ".docx", ".dotx": ".docx", ".dotm": ".docx",
    ".pptx": ".pptx", ".pptm": ".pptx", ".ppsx": ".pptx", ".ppsm": ".pptx", ".potx": ".pptx",
    ".xlsx": ".xlsx", ".xlsm": ".xlsx", ".xltx": ".xlsx",
    ".epub": ".epub",
    ".eml": ".eml", ".ipynb": ".ipynb", ".csv": ".csv", ".tsv": ".csv", ".tab": ".csv",
    ".txt": ".txt", ".text": ".txt", ".log": ".txt", ".rst": ".txt", "": ".txt",
}  # fmt: skip

_ROWS = "jsonl/1"

IDENTITY = " ".join(["blocks/2", *(name for name, _ in _PARSERS.values()), _ROWS])
"""Part of a document's fingerprint: a parser that changes reads everything again."""

_FORMATS = "Markdown, HTML, plain text, PDF, Word, PowerPoint, Excel, EPUB, mail, notebooks, CSV and JSONL"
_SAVE_AS = {
    ".doc": ".docx", ".dot": ".docx", ".odt": ".docx", ".rtf": ".docx", ".pages": ".docx",
    ".ppt": ".pptx", ".pps": ".pptx", ".odp": ".pptx", ".key": ".pptx",
    ".xls": ".xlsx", ".xlsb": ".xlsx", ".ods": ".xlsx", ".numbers": ".xlsx",
    ".msg": ".eml", ".mobi": ".epub", ".azw3": ".epub",
}  # fmt: skip
"""What is known and not read -> what its program can save it as."""
_ZIPPED = frozenset([".docx", ".pptx", ".xlsx", ".epub"])
_ZIP, _OLE, _RTF = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf"
_STREAMS = (
    ("WordDocument", ".doc"),
    ("PowerPoint Document", ".ppt"),
    ("__properties_version", ".msg"),
    ("Workbook", ".xls"),
)
"""What an OLE file of a kind holds, in this order: a mail can hold an attached workbook."""
# The possessive *+ never takes back a comment that it has passed: without it, a page of a few hundred bytes takes for ever.
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*+<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)


class HasBytes(Protocol):
    """What a parser needs of an item."""

    @property
    def raw(self) -> bytes:
        """The content."""

    @property
    def suffix(self) -> str:
        """The kind, as ``sniff`` found it."""

    @property
    def uri(self) -> str:
        """Where it is from; its last part stands in for a missing title."""

    @property
    def row(self) -> dict[str, Any] | None:
        """The JSONL row."""


def sniff(raw: bytes, suffix: str) -> str:
    """Return the kind of a file: by its content where the suffix lies, else by its suffix.

    Raises:
        DocumentRefused: There is no parser for it, or it holds nothing.
    """
    if not raw.strip(b"\x00 \t\r\n\xef\xbb\xbf"):
        raise DocumentRefused("empty", "The file is empty.")
    if raw[:1024].lstrip().startswith(b"%PDF-"):
        return ".pdf"
    if raw.startswith(_ZIP):
        return _zipped(raw, suffix)
    if raw.startswith(_OLE):
        raise _ole(raw, suffix)
    if raw.startswith(_RTF):
        raise _later(".rtf")
    if suffix in _SAVE_AS:
        raise _later(suffix)
    if suffix == ".pdf" and b"%PDF-" in raw[:1024] and not _MARKUP.match(raw[:4096]):
        return ".pdf"  # junk before the header is common, and every reader forgives it
    known = _SUFFIXES.get(suffix)
    if known in _ZIPPED or known == ".pdf" or (known == ".csv" and _MARKUP.match(raw[:4096])):
        kind = "an HTML page" if _MARKUP.match(raw[:4096]) else "something else"
        raise DocumentRefused("corrupt", f"The file is named {suffix} and is {kind}. Fetch it again.")
    if known == ".txt" and suffix != ".rst" and _MARKUP.match(raw[:4096]):
        return ".html"
    if known is None:
        if plain.is_binary(raw):
            raise DocumentRefused("unsupported_type", f"Files of type {suffix} can't be read. Readable are {_FORMATS}.")
        raise DocumentRefused(
            "unsupported_type",
            f"Files of type {suffix} are not read as documents. Rename it to .txt if it is text. Readable are {_FORMATS}.",
        )
    return known


def _zipped(raw: bytes, suffix: str) -> str:
    kind = archive.kind(raw)
    if kind in _SAVE_AS:
        raise _later(kind)
    if kind is not None:
        return kind
    if _SUFFIXES.get(suffix) in _ZIPPED:
        return _SUFFIXES[suffix]  # its parser says what is wrong with it
    raise DocumentRefused(
        "binary" if suffix in _SUFFIXES else "unsupported_type",
        "The file is an archive. Unpack it and ingest what it holds.",
    )


def _ole(raw: bytes, suffix: str) -> DocumentRefused:
    """Return the refusal of an OLE file: what Office wrote before 2007, and what it puts around an encrypted document today."""
    if "EncryptedPackage".encode("utf-16-le") in raw:
        return DocumentRefused("encrypted", "The file needs a password. Save it without one.")
    kind = next((kind for stream, kind in _STREAMS if stream.encode("utf-16-le") in raw), suffix)
    if kind in _SAVE_AS:
        return _later(kind)
    return DocumentRefused(
        "binary" if suffix in _SUFFIXES else "unsupported_type",
        f"The file is of a kind that can't be read. Readable are {_FORMATS}.",
    )


def _later(kind: str) -> DocumentRefused:
    return DocumentRefused("unsupported_type", f"Files of type {kind} can't be read. Save it as {_SAVE_AS[kind]}.")


def parse(item: HasBytes) -> Parsed:
    """Return an item's text in the house form.

    Raises:
        DocumentRefused: It can't be read; the reason is one of the contract's codes.
    """
    last = item.uri.rstrip("/").rpartition("/")[2] or item.uri
    if item.row is not None:
        return _row(item.row, str(item.row.get("_id") or last))
    stem = re.sub(r"\.[A-Za-z0-9]{1,8}$", "", last) or last
    name, module = _PARSERS[item.suffix]
    try:
        return assemble(import_module(f"ingest.parse.{module}").parse(item.raw), fallback=stem, parser=name)
    except DocumentRefused:
        raise
    except Exception as error:  # a parser's bug on one file must not stop the others; the file is named
        raise DocumentRefused(
            "corrupt", f"The parser failed on it ({type(error).__name__}).", detail=repr(error)[:500]
        ) from error


def _row(row: dict[str, Any], stem: str) -> Parsed:
    """A row's text is taken as it is: NFC and LF, nothing else."""
    metadata = {name: value for name, value in row.items() if name not in ("_id", "title", "text", "uri", "acl")}
    try:
        json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DocumentRefused("metadata_invalid", f"The row's metadata is not JSON: {error}.") from None
    text = normalise(row["text"]).strip("\n")
    title = " ".join(normalise(row.get("title") or "").split())
    return Parsed(title or stem, text, (), (), metadata, _ROWS)
