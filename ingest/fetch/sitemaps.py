"""A sitemap -> the pages it names: those of sitemaps it names too, without those that robots.txt keeps from programs."""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.parsers import expat

from app.core.errors import DocumentRefused
from ingest.fetch import robots
from ingest.fetch.page import GZIP, Answered, Fetched, Limits, Reach, fetch, gunzip
from ingest.fetch.urls import canonical

# The possessive *+ never takes back a comment that it has passed: without it, a page of a few hundred bytes takes for ever.
_ROOT = re.compile(rb"(?:\s|<\?[^>]*\?>|<!--.*?-->)*+<(?:[\w-]+:)?(?:urlset|sitemapindex)\b", re.DOTALL)
_HEAD = 4096
_DEEPEST = 3
"""Levels of sitemaps that name sitemaps. The protocol has two."""
_AT_ONCE = 1 << 16


@dataclass
class Listed:
    """What a sitemap names."""

    pages: list[str] = field(default_factory=list)
    """Canonical addresses, in the order in which they are named, each once."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Addresses, and the rule that each was left out by."""
    failed: list[tuple[str, DocumentRefused]] = field(default_factory=list)
    """Sitemaps that could not be read, or not to their end: nobody knows which pages they would have named."""


def is_sitemap(found: Fetched) -> bool:
    """Whether what was fetched is a sitemap, packed or not, whatever the server calls it."""
    head = found.raw[:_HEAD]
    if head.startswith(GZIP):
        try:
            head = zlib.decompressobj(wbits=31).decompress(found.raw, _HEAD)
        except zlib.error:
            return False
    return bool(_ROOT.match(head.removeprefix(b"\xef\xbb\xbf")))


def sitemap(found: Fetched, limits: Limits, *, reach: Reach | None = None) -> Listed:
    """Return the pages that a sitemap names.

    Only pages of the sitemap's own site (``www.`` or not): a list that somebody else writes shall not choose what comes from
    elsewhere. What the site's robots.txt keeps from programs is left out, though a person who names such a page gets it.

    Args:
        found: The sitemap.
        limits: How much may be listed, and for each thing that is fetched.
        reach: How names are looked up and connections made.
    """
    listed = Listed()
    try:
        may_read = robots.allows(_robots(found.source, limits, reach))
    except DocumentRefused as refusal:
        message = f"The site's robots.txt can't be read, so nobody knows what it allows. {refusal.message}"
        listed.failed.append((found.url, DocumentRefused(refusal.reason, message, detail=refusal.detail)))
        return listed
    site = _site(found.source)
    seen = {found.url, found.source}
    waiting: list[tuple[str, int]] = [(found.url, 1)]
    for number, (url, depth) in enumerate(waiting, start=1):  # grows while it is walked
        try:
            if depth > _DEEPEST or number > limits.sitemaps:
                raise _TooMany(f"{limits.sitemaps:,} sitemaps on {_DEEPEST} levels", "ingest.fetch_sitemaps")
            here = fetch(url, limits, reach=reach) if number > 1 else found
            for kind, text in _entries(here, limits.max_bytes):
                entry = _canonical(text, here.source)
                if entry in seen:
                    continue
                if (
                    len(listed.pages) + len(listed.left_out) >= limits.pages
                ):  # with those left out: a list of strangers' pages must end too
                    raise _TooMany(f"{limits.pages:,} addresses", "ingest.fetch_pages")
                seen.add(entry)
                if rule := _rule(kind, entry, site, may_read):
                    listed.left_out.append((entry, rule))
                elif kind == "sitemap":
                    waiting.append((entry, depth + 1))
                else:
                    listed.pages.append(entry)
        except DocumentRefused as refusal:
            listed.failed.append((url, refusal))
            if isinstance(refusal, _TooMany):
                break
    return listed


class _TooMany(DocumentRefused):
    """The whole of it is too long."""

    def __init__(self, what: str, setting: str) -> None:
        super().__init__("too_large", f"It names more than {what}; the first ones are read (setting {setting}).")


def _rule(kind: str, entry: str, site: str, may_read: Callable[[str], bool]) -> str | None:
    if not entry.startswith(("http://", "https://")):
        return "no web address"
    if _site(entry) != site:
        return "on another site than its sitemap"
    return "robots.txt" if kind == "url" and not may_read(entry) else None


def _robots(url: str, limits: Limits, reach: Reach | None) -> bytes:
    """Fetch a site's robots.txt; a site that has none allows everything (RFC 9309, section 2.3.1.3)."""
    try:
        return fetch(canonical("/robots.txt", base=url), limits, reach=reach).raw
    except Answered as answered:
        if answered.http != 429 and 400 <= answered.http < 500:
            return b""
        raise


def site_prefixes(url: str) -> tuple[str, ...]:
    """Return how the addresses of all pages of a site begin that a sitemap at ``url`` could name."""
    parts = urlsplit(canonical(url))
    bare = parts.netloc.removeprefix("www.")
    return tuple(f"{scheme}://{host}/" for scheme in ("http", "https") for host in (bare, f"www.{bare}"))


def _site(url: str) -> str:
    return (urlsplit(url).hostname or "").removeprefix("www.")


def _canonical(text: str, base: str) -> str:
    """Return an entry's identity; one that is none as it stands, in short."""
    try:
        return canonical(text, base=base)
    except DocumentRefused:
        return f"entry {text[:200]!r}"


def _entries(found: Fetched, most: int) -> Iterator[tuple[str, str]]:
    """Yield ``url`` or ``sitemap``, and the address of each, piece by piece."""
    raw = gunzip(found.raw, most) if found.raw.startswith(GZIP) else found.raw
    reader = expat.ParserCreate(namespace_separator=" ")
    path: list[str] = []
    text: list[str] = []
    entries: list[tuple[str, str]] = []

    def begin(name: str, _: object) -> None:
        path.append(name.rpartition(" ")[2])
        text.clear()

    def hear(characters: str) -> None:
        if path[-1] == "loc":
            text.append(characters)

    def end(_: str) -> None:
        if path[1:] in (["url", "loc"], ["sitemap", "loc"]):
            entries.append((path[1], "".join(text).strip()))
        path.pop()

    def refuse(*_: object) -> None:  # entities are how a page of XML grows to gigabytes, or reads files
        raise DocumentRefused("fetch_failed", "The sitemap declares a document type, which none needs.")

    reader.StartElementHandler, reader.EndElementHandler = begin, end
    reader.CharacterDataHandler, reader.StartDoctypeDeclHandler = hear, refuse
    try:
        for at in range(0, len(raw), _AT_ONCE):
            reader.Parse(raw[at : at + _AT_ONCE], False)
            yield from entries
            entries.clear()
        reader.Parse(b"", True)
    except expat.ExpatError as error:
        raise DocumentRefused("fetch_failed", "The sitemap is no sound XML.", detail=str(error)) from None
