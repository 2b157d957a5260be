"""A folder, file or JSONL -> items to parse, one at a time; what can't be read is refused, what is left out is named."""

import fnmatch
import json
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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

_UNSAFE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST_URI = 2_000
_AT_ONCE = 1 << 20
"""Bytes read at once of a row that is too long to be kept."""


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
    name = _shown(source or root.name)
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
                        item.source,
                        item.uri,
                        "duplicate",
                        f"The uri {item.uri} was read before in this run; the first one counts.",
                    )
                    continue
                seen.add(item.uri)
            yield item


def _walk(root: Path, exclude: Sequence[str]) -> Iterator[Path | Skipped | Refused]:
    """Go through all folders, depth first, without recursion: a disk may nest deeper than Python's stack."""
    open_folders = [iter([root])]
    while open_folders:
        folder = next(open_folders[-1], None)
        if folder is None:
            open_folders.pop()
            continue
        if folder != root:
            kind = _kind(root, folder, exclude)
            if kind != "folder":
                yield folder if kind == "file" else kind
                continue
        try:
            open_folders.append(iter(sorted(folder.iterdir(), key=lambda path: path.name)))
        except OSError as error:
            yield Refused(_below(root, folder), None, "unreadable", f"The folder can't be read: {error.strerror}.")


def _kind(root: Path, path: Path, exclude: Sequence[str]) -> Literal["file", "folder"] | Skipped | Refused:
    """Tell whether to read a path, to go into it, or why neither."""
    below = _below(root, path)
    if rule := _rule(path.name, below, exclude):
        return Skipped(below, rule)
    if below != path.relative_to(root).as_posix():
        return Refused(below, None, "unreadable", "Its name is not UTF-8, so no uri can name it. Rename it.")
    try:
        if path.is_symlink():
            if not path.resolve().is_relative_to(root):
                return Skipped(below, "a link that leads outside the folder")
            if path.is_dir():
                return Skipped(below, "a link to a folder that is read by its own name")
            return "file"
        mode = path.lstat().st_mode
    except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself, before Python 3.13
        return "file"  # reading it will fail too, and refuse it with its uri
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else Skipped(below, "neither a file nor a folder")


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
    return _shown(path.relative_to(root).as_posix())


def _shown(name: str) -> str:
    """Return a name fit for a report or a uri: a disk's bytes that are no UTF-8 arrive as lone surrogates."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _file(path: Path, below: str, uri: str, rows: str, max_bytes: int) -> Iterator[Item | Refused]:
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # a pipe would be waited for, a device never ends
            yield Refused(below, uri, "unreadable", "It is no regular file. Save it as one.")
            return
        size = facts.st_size
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
    number = 0
    with path.open("rb") as file:
        while line := file.readline(max_bytes + 1):  # a file without line ends must not come in whole
            number += 1
            source = f"{below}:{number}"
            if len(line) > max_bytes and not line.endswith(b"\n"):
                found = True
                while line and not line.endswith(b"\n"):
                    line = file.readline(_AT_ONCE)
                yield Refused(source, None, "too_large", f"The row has more than {max_bytes:,} bytes, the limit.")
                continue
            raw = line.strip().removeprefix(b"\xef\xbb\xbf")
            if not raw:
                continue
            found = True
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
    row = {name: value for name, value in row.items() if value is not None or name not in ("uri", "title", "text", "_id")}
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


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
