"""Plain text in any encoding -> text. The order of guesses is the one that read all sixteen samples right."""

import re

from charset_normalizer import from_bytes

from app.core.errors import DocumentRefused
from ingest.parse.blocks import Block, Text

_CONTROL = frozenset(range(32)) - {9, 10, 12, 13, 27}
_CODE_PAGES = ["cp1252", "latin_1", "shift_jis", "cp932", "euc_jp", "gb18030", "big5", "euc_kr", "cp1251", "cp1250"]
_PARAGRAPHS = re.compile(r"\n(?:[ \t]*\n)+|\f")
_MOST_BAD = 0.01
"""Share of bytes that may be wrong in text that is else UTF-8."""


def parse(raw: bytes) -> Text:
    """Read plain text: paragraphs as they stand.

    Raises:
        DocumentRefused: ``binary``, ``undecodable`` or ``empty``.
    """
    text = decode(raw).replace("\r\n", "\n").replace("\r", "\n")
    return Text([Block(part) for part in _PARAGRAPHS.split(text) if part.strip()])


def is_binary(raw: bytes) -> bool:
    """Whether bytes are no text: many control characters, and no UTF-16."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or _utf16_without_mark(raw):
        return False
    sample = raw[:65536]
    return b"\x00" in sample or sum(byte in _CONTROL for byte in sample) > 0.02 * len(sample)


def decode(raw: bytes, declared: str | None = None) -> str:
    """Return the text of bytes.

    Args:
        raw: The bytes.
        declared: An encoding that the document names itself; believed only where it fits.

    Raises:
        DocumentRefused: ``binary``, ``undecodable`` or ``empty``.
    """
    if not raw.strip(b"\x00 \t\r\n\xef\xbb\xbf"):
        raise DocumentRefused("empty", "The file is empty.")
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe\x00\x00", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if raw.startswith(mark):
            text = _try(raw, encoding)
            if text is not None and not (encoding == "utf-16" and _lies(raw, text)):
                return text
            raw = raw[len(mark) :]
            break
    if encoding16 := _utf16_without_mark(raw):
        text = _try(raw, encoding16)
        if text is not None:
            return text
    if is_binary(raw):
        raise DocumentRefused("binary", "The file is not text.")
    text = _try(raw, "utf-8")
    if text is not None:
        return text
    if declared and (text := _try(raw, declared)) is not None and "\ufffd" not in text:
        return text
    lenient = raw.decode("utf-8", errors="replace")
    bad = lenient.count("\ufffd")
    if bad <= max(2, _MOST_BAD * len(lenient)) and any(ord(char) > 127 and char != "\ufffd" for char in lenient):
        return lenient  # UTF-8 with a few broken bytes: no other encoding would make sense of the rest
    western = _few_accents(raw)
    if western is not None:
        return western
    best = from_bytes(raw, cp_isolation=_CODE_PAGES).best()
    if best is not None:
        return str(best)
    raise DocumentRefused("undecodable", "The file's encoding can't be told. Save it as UTF-8.")


def _few_accents(raw: bytes) -> str | None:
    """Read mostly ASCII with a handful of other bytes as Windows-1252: too little for a guess by frequency."""
    high = sum(byte > 127 for byte in raw)
    text = _try(raw, "cp1252") if high < 20 and high < 0.2 * len(raw) else None
    marks = [char for char in text or "" if ord(char) > 127]
    return text if text is not None and sum(char.isalpha() or char in "€–—“”‘’…©°§£«»" for char in marks) == len(marks) else None


def _try(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _lies(raw: bytes, text: str) -> bool:
    """Whether a UTF-16 mark stands before bytes that are no UTF-16."""
    ascii_share = sum(32 <= byte < 127 for byte in raw[2:4096]) / max(len(raw[2:4096]), 1)
    latin = sum(ord(char) < 0x250 for char in text[:2000]) / max(len(text[:2000]), 1)
    return ascii_share > 0.8 and latin < 0.5


def _utf16_without_mark(raw: bytes) -> str | None:
    sample = raw[:4096]
    if len(sample) < 8:
        return None
    even, odd = sample[0::2].count(0) / len(sample[0::2]), sample[1::2].count(0) / len(sample[1::2])
    if odd > 0.4 and even < 0.05:
        return "utf-16-le"
    if even > 0.4 and odd < 0.05:
        return "utf-16-be"
    return None
