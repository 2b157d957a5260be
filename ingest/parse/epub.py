"""EPUB -> its chapters in reading order, each read as the HTML that it is."""

import posixpath
import re
import zipfile
from typing import Any
from urllib.parse import unquote

from lxml import etree

from app.core.errors import DocumentRefused
from ingest.parse import html
from ingest.parse.archive import member, tree, unpack
from ingest.parse.blocks import Text
from ingest.parse.plain import decode

_WHAT = "EPUB"
_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_ENCRYPTED = "{http://www.w3.org/2001/04/xmlenc#}EncryptionMethod"
_FONTS_ONLY = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""Scrambled fonts are no protection of the text."""
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding=["']([\w-]+)""")
_CLOSED = re.compile(r"<([A-Za-z][\w:-]*)((?:\s[^<>]*?)?)/>")
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())


def parse(raw: bytes) -> Text:
    """Read a book along its spine.

    Raises:
        DocumentRefused: ``corrupt``, ``encrypted``, ``too_large`` or ``no_text``.
    """
    archive = unpack(raw, what=_WHAT)
    try:
        if _is_protected(archive):
            raise DocumentRefused("encrypted", "The EPUB is protected (DRM). Get a copy without protection.")
        place, package = _package(archive)
    except etree.XMLSyntaxError as error:
        raise DocumentRefused("corrupt", "The EPUB's table of parts is damaged.", detail=str(error)[:500]) from None
    found = Text(title=package.findtext(f"{_OPF}metadata/{_DC}title") or "")
    missing, chapters = 0, _spine(package)
    for href in chapters:
        chapter = member(archive, posixpath.normpath(posixpath.join(posixpath.dirname(place), href)), what=_WHAT)
        if chapter is None:
            missing += 1
            continue
        try:
            found.blocks += html.parse(_as_html(chapter)).blocks
        except DocumentRefused:  # a cover is a picture
            continue
    if missing and missing == len(chapters):
        raise DocumentRefused("corrupt", "The EPUB holds none of the chapters that it names.")
    if not found.blocks:
        raise DocumentRefused("no_text", "The EPUB holds no text: its pages are pictures. Run text recognition on them first.")
    return found


def _is_protected(archive: zipfile.ZipFile) -> bool:
    said = member(archive, "META-INF/encryption.xml", what=_WHAT)
    return said is not None and any(method.get("Algorithm") not in _FONTS_ONLY for method in tree(said).iter(_ENCRYPTED))


def _package(archive: zipfile.ZipFile) -> tuple[str, Any]:
    """Return the package document's name, and its root."""
    container = member(archive, "META-INF/container.xml", what=_WHAT)
    root = tree(container).find(f".//{_CONTAINER}rootfile") if container else None
    place = unquote(root.get("full-path") or "") if root is not None else ""
    package = member(archive, place, what=_WHAT) if place else None
    if package is None:
        raise DocumentRefused("corrupt", "The file is named .epub and names no parts of a book.")
    return place, tree(package)


def _spine(package: Any) -> list[str]:
    """Return the chapters' places in reading order, without the table of contents that some books put among them."""
    items = {item.get("id"): item for item in package.iter(f"{_OPF}item")}
    order = [items[ref.get("idref")] for ref in package.iter(f"{_OPF}itemref") if ref.get("idref") in items]
    places = (
        unquote((item.get("href") or "").partition("#")[0])
        for item in order
        if "nav" not in (item.get("properties") or "").split()
    )
    return list(dict.fromkeys(places))  # a chapter that is named a thousand times is read once


def _as_html(raw: bytes) -> bytes:
    """Return XHTML as HTML has it: there, ``<title/>`` opens a title that takes in the whole page."""
    declared = _DECLARED.match(raw.lstrip())
    source = decode(raw, declared[1].decode() if declared else None)
    return _CLOSED.sub(lambda tag: tag[0] if tag[1].lower() in _VOID else f"<{tag[1]}{tag[2]}></{tag[1]}>", source).encode()
