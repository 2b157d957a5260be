"""A place that documents come from -> what it is called, what is read of it, and which documents of the index are its own."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.core.config import IngestSettings
from app.core.errors import DocumentRefused, Misconfigured
from ingest import load, remote
from ingest.files import printable
from ingest.load import Found
from ingest.place import Place, place

if TYPE_CHECKING:
    from ingest import fetch

_PARTED = re.compile("[/:]")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where documents come from, under the name that the index knows it by."""

    place: Place
    name: str
    """How URIs begin; of the web, where a page's address is its URI, the site."""
    root: str
    """The folder, site or URL that the name stands for."""
    target: str
    """What to ingest to read it again: the same from any working folder."""
    prefixes: tuple[str, ...]
    """How the URIs of its documents begin."""
    uri: str | None = None
    """A lone file's: another file's may begin with it."""
    store: remote.Root | None = None

    @property
    def holds_all(self) -> bool:
        """Whether all under its name lies below it: so of a folder, not of a part of one, nor of a list of pages."""
        return self.place.kind != "web" and self.place.glob is None and self.uri is None

    def check(self, known: Mapping[str, str], *, explicit: bool) -> None:
        """See that the name stands for no other place.

        Raises:
            Misconfigured: It does, and was not given on purpose.
        """
        if known.get(self.name, self.root) != self.root and not explicit:
            raise Misconfigured(
                f"The source `{self.name}` of this collection was {known[self.name]}; {self.root} is another place of the same "
                f"name. Give one of them a name of its own with `--source NAME`, or say `--source {self.name}` if it is the same "
                "one, moved."
            )

    def owns(self, uri: str) -> bool:
        """Whether a document of the index is one of its own."""
        return uri == self.uri or uri.startswith(self.prefixes)

    def read(self, settings: IngestSettings, *, exclude: Sequence[str], only: Set[str] | None) -> Iterator[Found]:
        """Yield what it holds.

        Args:
            settings: Limits.
            exclude: Globs of what to leave out.
            only: Places that are looked at, with what lies below them; all when not given.
        """
        if self.place.kind == "web":
            return load.read_web(self.target, _limits(settings), exclude=exclude, only=only)
        most, glob = settings.max_document_bytes, self.place.glob
        if self.store is not None:
            found = load.read_remote(self.store, source=self.name, exclude=exclude, max_bytes=most, glob=glob)
        else:
            found = load.read(Path(self.place.root), source=self.name, exclude=exclude, max_bytes=most, glob=glob)
        return found if only is None else (one for one in found if _is_at(one.source, only))

    def weigh(self, exclude: Sequence[str]) -> int:
        """Return how many bytes there are to read, about; 0 where looking costs as much as reading."""
        return load.weigh(Path(self.place.root), exclude, self.place.glob) if self.place.kind == "local" else 0


def origin_of(text: str, *, source: str | None = None, whole: bool = False) -> Origin:
    """Open a path, URL or glob.

    Args:
        text: As a person wrote it.
        source: The name; that of the folder or site when not given.
        whole: Whether what is not found in it counts as gone.

    Raises:
        Misconfigured: There is nothing, or it can't be opened under that name or to that end.
    """
    named = place(text)
    if whole and named.glob is not None:
        raise Misconfigured(
            f"`--sync` drops what a source holds no more, and {named.glob.pattern} means a part of it. Name the folder, and leave "
            "files out with `--exclude`."
        )
    match named.kind:
        case "local":
            return _local(named, source)
        case "remote":
            return _remote(named, source)
        case "web":
            return _web(named, source)


def _local(named: Place, source: str | None) -> Origin:
    path = Path(named.root).resolve()
    lone = None if path.is_dir() else path.name
    root = path if lone is None else path.parent
    return _files(named, source or root.name, str(root), str(path), lone)


def _remote(named: Place, source: str | None) -> Origin:
    store = remote.open_root(named.root)
    root = store.url if store.lone is None else store.url.removesuffix(f"/{store.lone}")
    return _files(named, source or store.name, root, store.url, store.lone, store)


def _files(named: Place, name: str, root: str, target: str, lone: str | None, store: remote.Root | None = None) -> Origin:
    name = printable(name)
    if named.glob is not None:
        target = f"{target.rstrip('/')}/{named.glob.pattern}"
    uri = None if lone is None else _nfc(f"{name}/{printable(lone)}")
    # The rows of a lone file begin with its own name.
    prefixes = (_nfc(f"{name}/") if lone is None else _nfc(f"{printable(lone)}#"),)
    return Origin(named, name, root, target, prefixes, uri, store)


def _web(named: Place, source: str | None) -> Origin:
    from ingest import fetch  # a client of HTTP takes longer to import than an unchanged folder to read

    try:
        address = fetch.canonical(named.root)
    except DocumentRefused as refusal:
        shown = named.root.rpartition("@")[2]  # what stands before it may be a password
        raise Misconfigured(f"{shown}: {refusal.message}", detail=refusal.detail) from None
    site = urlsplit(address).netloc.removeprefix("www.")
    if source not in (None, site):
        raise Misconfigured("A page is known by its address, not by a source: leave `--source` out.")
    return Origin(named, site, f"https://{site}/", address, fetch.site_prefixes(address))


def _limits(settings: IngestSettings) -> "fetch.Limits":
    from ingest import fetch

    return fetch.Limits(
        seconds=settings.fetch_seconds,
        max_bytes=settings.max_document_bytes,
        ports=frozenset(settings.fetch_ports),
        networks=settings.fetch_networks,
        pages=settings.fetch_pages,
        sitemaps=settings.fetch_sitemaps,
    )


def _is_at(source: str, places: Set[str]) -> bool:
    """Whether something is one of these places, a row of one, or lies below one that could not be listed."""
    return source in places or "." in places or any(source[: mark.start()] in places for mark in _PARTED.finditer(source))


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
