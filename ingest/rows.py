"""A JSONL file -> one document a line, or why not; a bad line refuses itself alone."""

import json
import re
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from app.core.errors import DocumentRefused

_UNSAFE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST_URI = 2_000
_LONGEST_PRINCIPAL = 200
_AT_ONCE = 1 << 20
"""Bytes read at once of a row that is too long to be kept."""


class Row(NamedTuple):
    """A line that is a document: it has a ``text``, and a ``uri`` or an ``_id``."""

    number: int
    """Of the line, from 1."""
    raw: bytes
    fields: dict[str, Any]


class BadRow(NamedTuple):
    """A line that is none."""

    number: int
    refusal: DocumentRefused


def rows(file: IO[bytes], max_bytes: int) -> Iterator[Row | BadRow]:
    """Yield the lines that are not empty; of one that is longer than ``max_bytes`` not more than that is ever held."""
    number = 0
    while line := file.readline(max_bytes + 1):  # a file without line ends must not come in whole
        number += 1
        if len(line) > max_bytes and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(_AT_ONCE)
            yield BadRow(number, DocumentRefused("too_large", f"The row has more than {max_bytes:,} bytes, the limit."))
            continue
        raw = line.strip().removeprefix(b"\xef\xbb\xbf")
        if not raw:
            continue
        try:
            yield Row(number, raw, _row(raw))
        except DocumentRefused as refusal:
            yield BadRow(number, refusal)


def _row(raw: bytes) -> dict[str, Any]:
    try:
        row = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise DocumentRefused("undecodable", "The row is not UTF-8.") from None
    except (ValueError, RecursionError) as error:
        raise DocumentRefused("corrupt", f"The row is not JSON: {error}.") from None
    if not isinstance(row, dict):
        raise DocumentRefused("metadata_invalid", "The row is not a JSON object.")
    row = {name: value for name, value in row.items() if value is not None or name not in ("uri", "title", "text", "_id", "acl")}
    if "acl" in row and not _is_acl(row["acl"]):
        raise DocumentRefused("metadata_invalid", "`acl` is not a list of names, each of 1 to 200 characters.")
    for name in ("uri", "title", "text"):
        if not isinstance(row.get(name, ""), str):
            raise DocumentRefused("metadata_invalid", f"`{name}` is not a string.")
    identity = row.get("_id")
    if isinstance(identity, int) and not isinstance(identity, bool):
        row["_id"] = str(identity)
    elif not isinstance(identity, str | None):
        raise DocumentRefused("metadata_invalid", "`_id` is neither a string nor a whole number.")
    for name in ("uri", "_id"):
        value = row.get(name) or ""
        if _UNSAFE.search(value) or len(value) > _LONGEST_URI:
            raise DocumentRefused("metadata_invalid", f"`{name}` is too long, or holds control characters or half a character.")
        if not value.strip():
            row.pop(name, None)
    if "uri" not in row and "_id" not in row:
        raise DocumentRefused("metadata_invalid", "The row has neither `_id` nor `uri`.")
    if "text" not in row:
        raise DocumentRefused("metadata_invalid", "The row has no `text`.")
    return row


def _is_acl(value: Any) -> bool:
    """Whether it is a list of principals; an empty one lets nobody read. Anything else must not pass for one."""
    return isinstance(value, list) and all(
        isinstance(name, str) and 0 < len(name) <= _LONGEST_PRINCIPAL and not _UNSAFE.search(name) for name in value
    )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
