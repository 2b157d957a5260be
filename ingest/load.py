"""A folder, file or JSONL -> items to parse, one at a time; what can't be read is refused, what is left out is named."""

import fnmatch
import json
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import DocumentRefused
from ingest.parse import sniff


@dataclass(frozen=True, slots=True)
class Item:
    """One source item, before it is parsed."""

    source: str
    """Path below the root; ``file.jsonl:12`` for a row."""
    uri: str
    raw: bytes
    suffix: str
    row: dict[str, Any] | None = None
    """A JSONL row, as it stands."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that can't be indexed, and why."""

    source: str
    uri: str | None
    """None when it is not even known which document it would be."""
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something left out by a rule."""

    source: str
    rule: str


Found = Item | Refused | Skipped


def read(path: Path, *, source: str | None, exclude: Sequence[str], max_bytes: int) -> Iterator[Found]:
    """Yield every file below ``path`` as an item, a refusal or a skip, in sorted order; never the whole corpus at once.

    Args:
        path: A folder, or a lone file (its folder counts as its root).
        source: First part of the URIs; the root's name when not given.
        exclude: Globs of the file's name or of its path below the root.
        max_bytes: A larger file is refused unread.
    """
    path = path.resolve()
    root = path if path.is_dir() else path.parent
    name = source or root.name
    seen: set[str] = set()
    for found in _walk(root, exclude) if path.is_dir() else _one(path, exclude):
        if isinstance(found, Skipped | Refused):
            yield found
            continue
        below = found.relative_to(root).as_posix()
        uri = unicodedata.normalize("NFC", f"{name}/{below}")
        rows = uri if path.is_dir() else unicodedata.normalize("NFC", path.name)
        for item in _file(found, below, uri, rows, max_bytes):
            if isinstance(item, Item):
                if item.uri in seen:
                    yield Refused(
                        item.source, None, "duplicate", f"The uri {item.uri} was read before in this run; the first one counts."
                    )
                    continue
                seen.add(item.uri)
            yield item


def _walk(folder: Path, exclude: Sequence[str]) -> Iterator[Path | Skipped | Refused]:
    yield from _entries(folder, folder, exclude)


def _entries(root: Path, folder: Path, exclude: Sequence[str]) -> Iterator[Path | Skipped | Refused]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Refused(_below(root, folder), None, "unreadable", f"The folder can't be read: {error.strerror}.")
        return
    for entry in entries:
        path = Path(entry.path)
        below = _below(root, path)
        if rule := _rule(entry.name, below, exclude):
            yield Skipped(below, rule)
        elif entry.is_symlink() and not path.resolve().is_relative_to(root):
            yield Skipped(below, "a link that leads outside the folder")
        elif entry.is_symlink() and path.is_dir():
            yield Skipped(below, "a link to a folder that is read by its own name")
        elif entry.is_dir(follow_symlinks=False):
            yield from _entries(root, path, exclude)
        elif path.is_file() or entry.is_symlink():
            yield path
        else:
            yield Skipped(below, "neither a file nor a folder")


def _one(path: Path, exclude: Sequence[str]) -> Iterator[Path | Skipped | Refused]:
    rule = _rule("", path.name, exclude)  # named by hand: hidden or not, it is wanted
    yield Skipped(path.name, rule) if rule else path


def _rule(name: str, below: str, exclude: Sequence[str]) -> str | None:
    if name.startswith("."):
        return "hidden"
    for glob in exclude:
        if fnmatch.fnmatch(below, glob) or fnmatch.fnmatch(below.rpartition("/")[2], glob):
            return f"--exclude {glob}"
    return None


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _file(path: Path, below: str, uri: str, rows: str, max_bytes: int) -> Iterator[Item | Refused]:
    try:
        size = path.stat().st_size
        if size > max_bytes and path.suffix.lower() != ".jsonl":
            yield Refused(
                below, uri, "too_large", f"It has {size:,} bytes; the limit is {max_bytes:,} (setting ingest.max_document_bytes)."
            )
            return
        if path.suffix.lower() == ".jsonl":
            yield from _rows(path, below, rows, max_bytes)
            return
        raw = path.read_bytes()
        suffix = sniff(raw, path.suffix.lower())
    except OSError as error:
        yield Refused(below, uri, "unreadable", f"The file can't be read: {error.strerror}.")
        return
    except DocumentRefused as refusal:
        yield Refused(below, uri, refusal.reason, refusal.message)
        return
    yield Item(below, uri, raw, suffix)


def _rows(path: Path, below: str, base: str, max_bytes: int) -> Iterator[Item | Refused]:
    """Read one document a line; a bad line refuses itself alone."""
    found = False
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            source = f"{below}:{number}"
            raw = line.strip().removeprefix(b"\xef\xbb\xbf")
            if not raw:
                continue
            found = True
            if len(raw) > max_bytes:
                yield Refused(source, None, "too_large", f"The row has {len(raw):,} bytes; the limit is {max_bytes:,}.")
                continue
            try:
                row = _row(raw)
                uri = unicodedata.normalize("NFC", row.get("uri") or f"{base}#{row['_id']}")
            except DocumentRefused as refusal:
                yield Refused(source, None, refusal.reason, refusal.message)
                continue
            yield Item(source, uri, raw, ".jsonl", row)
    if not found:
        yield Refused(below, None, "empty", "The file holds no rows.")


def _row(raw: bytes) -> dict[str, Any]:
    try:
        row = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise DocumentRefused("undecodable", "The row is not UTF-8.") from None
    except (ValueError, RecursionError) as error:
        raise DocumentRefused("corrupt", f"The row is not JSON: {error}.") from None
    if not isinstance(row, dict):
        raise DocumentRefused("metadata_invalid", "The row is not a JSON object.")
    if row.get("acl") is not None:
        raise DocumentRefused("acl_unsupported", "Rows with `acl` are refused until access lists work, so that none is ignored.")
    for name in ("uri", "title", "text"):
        if not isinstance(row.get(name, ""), str):
            raise DocumentRefused("metadata_invalid", f"`{name}` is not a string.")
    identity = row.get("_id")
    if isinstance(identity, int) and not isinstance(identity, bool):
        row["_id"] = str(identity)
    elif not isinstance(identity, str | None):
        raise DocumentRefused("metadata_invalid", "`_id` is neither a string nor a whole number.")
    if not row.get("uri") and not row.get("_id"):
        raise DocumentRefused("metadata_invalid", "The row has neither `_id` nor `uri`.")
    if "text" not in row:
        raise DocumentRefused("metadata_invalid", "The row has no `text`.")
    return row


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
