"""What must hold before a document may be indexed, and before a source's new state may be published."""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from app.core.errors import DocumentRefused, Misconfigured
from app.core.text import visible
from app.core.types import Document
from ingest.parse import Parsed

_LONGEST_TITLE = 300
_MOST_METADATA = 100_000
_FEW = 10
"""A source with fewer documents may lose any number of them."""
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


def shrunk(source: str, before: Sequence[Document], lost: Set[str], chars: Mapping[str, int]) -> None:
    """Stop when a source has lost more than half of its documents, or of its text (pages that became a login page).

    Args:
        source: Its name.
        before: The documents that it had.
        lost: The ids of those that would be dropped.
        chars: The length of each document that was read anew.

    Raises:
        Misconfigured: It has; says how to go on.
    """
    if len(before) < _FEW:
        return
    left = [document for document in before if document.document_id not in lost]
    had, has = sum(document.chars for document in before), sum(chars.get(d.document_id, d.chars) for d in left)
    if 2 * len(left) < len(before) or 2 * has < had:
        raise Misconfigured(
            f"The source `{source}` shrank: {len(left):,} of {len(before):,} documents and {has:,} of {had:,} characters are left. "
            f"Nothing was published. If that is right, say `--accept-shrinkage`."
        )
