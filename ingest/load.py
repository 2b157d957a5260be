"""A source -> items to parse, one at a time; what can't be read is refused, what is left out is named."""

import fnmatch
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from app.core.errors import DocumentRefused
from ingest import files, folder, remote
from ingest.files import File, LeftOut, Rule, Unreadable, printable
from ingest.globs import Glob
from ingest.parse import sniff
from ingest.rows import BadRow, rows

if TYPE_CHECKING:
    from ingest import fetch


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
    listed: bool = False
    """A sitemap named it: what it does not name any more is gone."""

    @property
    def acl(self) -> list[str] | None:
        """The principals that may read it, where the source says so."""
        return self.row.get("acl") if self.row else None


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


def read(path: Path, *, source: str | None, exclude: Sequence[str], max_bytes: int, glob: Glob | None = None) -> Iterator[Found]:
    """Yield every file below ``path`` as an item, a refusal or a skip, in sorted order; never the whole corpus at once.

    Args:
        path: A folder, or a lone file (its folder counts as its root).
        source: First part of the URIs; the root's name when not given.
        exclude: Globs of the file's name or of its path below the root.
        max_bytes: A larger file is refused unread.
        glob: Which files are meant; all when not given.
    """
    path = path.resolve()
    lone = not path.is_dir()
    name = printable(source or (path.parent if lone else path).name)
    return _once(_items(_on_disk(path, exclude, glob), name, lone, max_bytes))


def read_remote(
    root: remote.Root, *, source: str | None, exclude: Sequence[str], max_bytes: int, glob: Glob | None = None
) -> Iterator[Found]:
    """Yield every file below a root in remote storage, as ``read`` does."""
    lone = root.lone is not None
    return _once(_items(remote.files(root, _rule(exclude, glob, lone=lone)), source or root.name, lone, max_bytes))


def read_web(
    url: str,
    limits: "fetch.Limits",
    *,
    exclude: Sequence[str] = (),
    only: Set[str] | None = None,
    reach: "fetch.Reach | None" = None,
) -> Iterator[Found]:
    """Yield the page at an address, or each page that a sitemap there names; a page's uri is its canonical address.

    Args:
        url: An http or https address.
        limits: What may be fetched.
        exclude: Globs of a page's path below the site, or of the last part of it.
        only: Places that earlier runs refused: nothing else is fetched of a sitemap, where that can be told; all when not given.
        reach: How names are looked up and connections made.
    """
    return _once(_pages(url, limits, exclude, only, reach))


def weigh(path: Path, exclude: Sequence[str], glob: Glob | None = None) -> int:
    """Return how many bytes there are to read below ``path``, about: what can't be looked at counts nothing."""
    return sum(found.size or 0 for found in _on_disk(path.resolve(), exclude, glob) if isinstance(found, File))


def _once(found: Iterator[Found]) -> Iterator[Found]:
    seen: set[str] = set()
    for item in found:
        if isinstance(item, Item):
            if item.uri in seen:
                yield duplicate(item)
                continue
            seen.add(item.uri)
        yield item


def duplicate(item: Item) -> Refused:
    """Return the refusal of an item whose uri was read before."""
    return Refused(item.source, item.uri, "duplicate", f"The uri {item.uri} was read before in this run; the first one counts.")


def _on_disk(path: Path, exclude: Sequence[str], glob: Glob | None) -> Iterable[files.Found]:
    if path.is_dir():
        return folder.files(path, _rule(exclude, glob))
    left_out = _rule(exclude, None, lone=True)(path.name, False)
    return [LeftOut(printable(path.name), left_out) if left_out else folder.file(path.parent, path)]


def _rule(exclude: Sequence[str], glob: Glob | None, *, lone: bool = False) -> Rule:
    def rule(below: str, folder: bool) -> str | None:
        name = below.rpartition("/")[2]
        if name.startswith(".") and not lone:  # named by hand: hidden or not, it is wanted
            return "hidden"
        if pattern := next((one for one in exclude if fnmatch.fnmatch(below, one) or fnmatch.fnmatch(name, one)), None):
            return f"--exclude {pattern}"
        if glob is not None and not lone and not (glob.enters(below) if folder else glob.wants(below)):
            return f"not meant by {glob.pattern}"
        return None

    return rule


def _items(found: Iterable[files.Found], name: str, lone: bool, max_bytes: int) -> Iterator[Found]:
    for one in found:
        below = printable(one.below) or "."
        match one:
            case LeftOut():
                yield Skipped(below, one.rule)
            case Unreadable():
                yield Refused(below, None, "unreadable", one.message)
            case File():
                uri = unicodedata.normalize("NFC", f"{name}/{below}")
                base = unicodedata.normalize("NFC", below) if lone else uri
                yield from _content(replace(one, below=below), uri, base, PurePosixPath(below).suffix.lower(), max_bytes)


def _pages(
    url: str, limits: "fetch.Limits", exclude: Sequence[str], only: Set[str] | None, reach: "fetch.Reach | None"
) -> Iterator[Found]:
    from ingest import fetch  # a client of HTTP takes longer to import than an unchanged folder to read

    rule = _rule(exclude, None, lone=True)
    for found in fetch.pages(url, limits, rule=lambda below: rule(below, False), only=only, reach=reach):
        match found:
            case fetch.LeftOut():
                yield Skipped(found.url, found.rule)
            case fetch.Failed():
                yield Refused(found.url, found.url if found.is_page else None, found.refusal.reason, found.refusal.message)
            case fetch.Fetched():
                page = File(found.url, len(found.raw), lambda raw=found.raw: io.BytesIO(raw))  # type: ignore[misc]
                for item in _content(page, found.url, found.url, found.suffix, limits.max_bytes):
                    if isinstance(item, Item) and item.uri.partition("#")[0] != found.url:
                        # Its own `uri` would let a stranger's file take the place of any document.
                        yield Refused(item.source, None, "metadata_invalid", "A row from the web can't choose a `uri` elsewhere.")
                    else:
                        yield replace(item, listed=found.listed) if isinstance(item, Item) else item


def _content(file: File, uri: str, base: str, suffix: str, max_bytes: int) -> Iterator[Item | Refused]:
    """Read a file, wherever it lies: whole, or one document a line."""
    # Which documents a file of rows would have held is not known.
    known = None if suffix == ".jsonl" else uri
    try:
        if suffix == ".jsonl":
            with file.open() as lines:
                yield from _rows(lines, file.below, base, max_bytes)
            return
        raw = _raw(file, max_bytes)
        kind = sniff(raw, suffix)
    except OSError as error:
        yield Refused(file.below, known, "unreadable", f"The file can't be read: {error.strerror or error}.")
        return
    except DocumentRefused as refusal:
        yield Refused(file.below, known, refusal.reason, refusal.message)
        return
    yield Item(file.below, uri, raw, kind)


def _raw(file: File, max_bytes: int) -> bytes:
    raw = b""
    if file.size is None or file.size <= max_bytes:
        with file.open() as content:
            raw = content.read(max_bytes + 1)  # it may have grown, and not every store says a size
    if len(raw) > max_bytes or (file.size or 0) > max_bytes:
        has = f"{file.size:,} bytes" if file.size and file.size > max_bytes else "more bytes"
        raise DocumentRefused("too_large", f"It has {has}; the limit is {max_bytes:,} (setting ingest.max_document_bytes).")
    return raw


def _rows(lines: IO[bytes], below: str, base: str, max_bytes: int) -> Iterator[Item | Refused]:
    found = False
    for row in rows(lines, max_bytes):
        found = True
        source = f"{below}:{row.number}"
        if isinstance(row, BadRow):
            yield Refused(source, None, row.refusal.reason, row.refusal.message)
            continue
        uri = unicodedata.normalize("NFC", row.fields.get("uri") or f"{base}#{row.fields['_id']}")
        yield Item(source, uri, row.raw, ".jsonl", row.fields)
    if not found:
        yield Refused(below, None, "empty", "The file holds no rows.")
