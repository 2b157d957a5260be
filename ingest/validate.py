"""A parsed document -> the same, or a refusal: what must hold before it may be indexed."""

import json
from dataclasses import replace

from app.core.errors import DocumentRefused
from app.core.text import visible
from ingest.parse import Parsed

_LONGEST_TITLE = 300
_MOST_METADATA = 100_000
_MOST_BROKEN = 0.02
"""Share of U+FFFD above which a text is noise."""


def validate(parsed: Parsed) -> Parsed:
    """Return a document that may be indexed, its title cut where it is too long to show.

    Raises:
        DocumentRefused: ``empty``, ``undecodable`` or ``metadata_invalid``.
    """
    if not visible(parsed.text):
        raise DocumentRefused("empty", "The document holds no text.")
    if parsed.text.count("\ufffd") > _MOST_BROKEN * len(parsed.text):
        raise DocumentRefused("undecodable", "Too many characters of the document are broken. Save it as UTF-8.")
    try:
        # UnicodeEncodeError is a ValueError: half a character (a lone surrogate) could be stored nowhere.
        size = len(json.dumps(parsed.metadata, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise DocumentRefused("metadata_invalid", f"The metadata is not JSON: {error}.") from None
    if size > _MOST_METADATA:
        raise DocumentRefused("metadata_invalid", f"The metadata has {size:,} bytes; the limit is {_MOST_METADATA:,}.")
    title = parsed.title if len(parsed.title) <= _LONGEST_TITLE else parsed.title[: _LONGEST_TITLE - 1].rstrip() + "…"
    return replace(parsed, title=title)
