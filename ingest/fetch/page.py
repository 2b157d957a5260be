"""A web address -> the bytes it stands for, and what kind they are."""

import ssl
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from mimetypes import MimeTypes
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import httpcore

from app.core.errors import DocumentRefused
from ingest.fetch.addresses import Guarded, Lookup, Network, lookup
from ingest.fetch.urls import canonical

_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS: dict[bytes | str, bytes | str] = {
    "User-Agent": f"citewell/{version('citewell')}",
    "Accept": "text/html,application/xhtml+xml,text/markdown,application/pdf,text/plain;q=0.9,*/*;q=0.5",
    "Accept-Encoding": "gzip",  # one that the standard library can undo piece by piece, so that a bomb stays small
    "Connection": "close",
}
"""All that a server is told. No cookies, no credentials, no referrer."""
_SUFFIXES = {
    "text/html": ".html", "application/xhtml+xml": ".html", "text/markdown": ".md", "text/x-markdown": ".md", "application/pdf": ".pdf",
    "application/x-pdf": ".pdf", "application/x-ndjson": ".jsonl", "application/jsonl": ".jsonl", "application/xml": ".xml", "text/xml": ".xml",
}  # fmt: skip
_SAYS_LITTLE = frozenset({"", "text/plain", "application/octet-stream", "binary/octet-stream", "application/x-octet-stream"})
"""Types under which servers send what they don't know; the name says more."""
_TYPES = MimeTypes(filenames=())
"""The standard library's own table, not the machine's: the same everywhere."""
GZIP = b"\x1f\x8b"
_MOST_MEMBERS = 100
"""Of one gzip stream. Honest ones have one; each costs a copy of all that follows."""
FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpcore.ProxyError,
    httpcore.ConnectionNotAvailable,
)
"""Whatever the library raises beside timeouts; a test looks whether that is still all."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be fetched."""

    seconds: float = 60.0
    """For one page, redirects included; the system's own limits hold for looking up names."""
    max_bytes: int = 50_000_000
    """Of one page, as it is sent and unpacked."""
    redirects: int = 5
    ports: frozenset[int] = frozenset({80, 443})
    networks: Sequence[Network] = ()
    """Private networks that may be read beside the public one."""
    pages: int = 10_000
    """Of one sitemap and those it names."""
    sitemaps: int = 200
    """That one sitemap may name."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page as it came."""

    url: str
    """What was asked for, in its canonical form: its identity, which a redirect does not change."""
    source: str
    """Where it came from in the end."""
    raw: bytes
    content_type: str
    """Lower case, without parameters; empty when the server named none."""
    suffix: str
    """Such as ``.html``, by the type, or by the name where the type says little."""
    listed: bool = False
    """A sitemap named it, so that what is not listed any more is gone from the site."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How names are looked up and connections made: the edge that tests replace."""

    lookup: Lookup = lookup
    network: httpcore.NetworkBackend = httpcore.SyncBackend()  # noqa: RUF009  it holds no state


class Answered(DocumentRefused):
    """The site answered, and not with a page."""

    def __init__(self, message: str, http: int) -> None:
        super().__init__("fetch_failed", message)
        self.http = http


def fetch(url: str, limits: Limits, *, reach: Reach | None = None) -> Fetched:
    """Fetch one page, following redirects; each of them is looked at as the first address was.

    A ``rel=canonical`` of the page is not followed: it is the page's own claim, is often wrong (one address for a whole site), and
    would let a page take another's place.

    Args:
        url: An http or https address.
        limits: What it may take, and where it may lead.
        reach: How names are looked up and connections made.

    Raises:
        DocumentRefused: ``fetch_refused`` where it must not be fetched, ``fetch_failed`` where it can't be, ``too_large``.
    """
    deadline = time.monotonic() + limits.seconds
    first = here = canonical(url)
    for _ in range(limits.redirects + 1):
        found = _get(here, limits, reach or Reach(), deadline)
        if isinstance(found, _Body):
            return Fetched(first, here, found.raw, found.kind, _suffix(found.kind, here))
        there = canonical(found, base=here)
        if here.startswith("https:") and there.startswith("http:"):
            raise DocumentRefused(
                "fetch_refused",
                "It leads from https to http, where anybody on the way could change it. Name the http address itself if you trust it.",
            )
        here = there
    raise DocumentRefused("fetch_failed", f"It leads on to other addresses more than {limits.redirects} times.")


@dataclass(frozen=True, slots=True)
class _Body:
    raw: bytes
    kind: str


def _get(url: str, limits: Limits, reach: Reach, deadline: float) -> _Body | str:
    """Make one request; return what came, or where it leads."""
    port = urlsplit(url).port or (443 if url.startswith("https:") else 80)
    if port not in limits.ports:
        raise DocumentRefused(
            "fetch_refused", f"Port {port} is not read. If you mean it, name it in the setting ingest.fetch_ports."
        )
    guarded = Guarded(lookup=reach.lookup, networks=limits.networks, deadline=deadline, network=reach.network)
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_trust(), network_backend=guarded) as pool,
            pool.stream("GET", url, headers=_HEADERS) as response,
        ):
            headers = {name.decode("ascii").lower(): _text(value) for name, value in response.headers}
            if response.status in _REDIRECTS and headers.get("location"):
                return headers["location"]
            _check(response.status)
            return _Body(_read(response, headers, limits.max_bytes), _kind(headers))
    except httpcore.TimeoutException as error:
        raise DocumentRefused(
            "fetch_failed",
            f"It took more than {limits.seconds:g} s (setting ingest.fetch_seconds). Try again later.",
            detail=repr(error),
        ) from None
    except FAILURES as error:
        if isinstance(error.__context__, ssl.SSLCertVerificationError):
            message = "Its certificate does not hold, so nobody knows who would answer."
        else:
            message = "The connection failed, or broke off before the end. Try again later."
        raise DocumentRefused("fetch_failed", message, detail=repr(error)) from None


def _text(value: bytes) -> str:
    """Decode a header: addresses in it are UTF-8 as often as not, though the standard knows only escapes."""
    try:
        return value.decode().strip()
    except UnicodeDecodeError:
        return value.decode("latin-1").strip()


@cache
def _trust() -> ssl.SSLContext:
    """The system's authorities and certifi's; read once, since that takes 20 ms."""
    return httpcore.default_ssl_context()


def _check(status: int) -> None:
    if status in (200, 203):
        return
    if status in (401, 403, 407, 451):
        what = "The site does not let us read it. Pages behind a login can't be fetched: save it as a file and ingest that."
    elif status in (404, 410):
        what = "There is no such page."
    elif status == 429 or status >= 500:
        what = "The site is busy or has a fault. Try again later."
    else:
        what = "The answer is no page."
    raise Answered(f"{what} (HTTP {status})", status)


def _read(response: httpcore.Response, headers: dict[str, str], most: int) -> bytes:
    """Read a body, and never more of it than may be kept."""
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise too_large(most)
    raw = bytearray()
    for piece in response.iter_stream():
        raw += piece
        if len(raw) > most:
            raise too_large(most)
    match headers.get("content-encoding", "").lower():
        case "" | "identity":
            return bytes(raw)
        case "gzip" | "x-gzip":
            return gunzip(bytes(raw), most)
        case other:
            raise DocumentRefused("fetch_failed", "The site packed it in a way that was not asked for.", detail=other)


def gunzip(packed: bytes, most: int) -> bytes:
    """Unpack gzip, all its members, and never more of it than may be kept.

    Raises:
        DocumentRefused: ``too_large``, or ``fetch_failed`` where it is damaged.
    """
    out = bytearray()
    for _ in range(_MOST_MEMBERS):
        if not packed.startswith(GZIP):
            break
        member = zlib.decompressobj(wbits=31)
        try:
            out += member.decompress(packed, most + 1 - len(out))
        except zlib.error as error:
            raise DocumentRefused("fetch_failed", "What came is damaged. Try again later.", detail=str(error)) from None
        if len(out) > most:
            raise too_large(most)
        if not member.eof:
            raise DocumentRefused("fetch_failed", "What came breaks off before its end. Try again later.")
        packed = member.unused_data
    if packed:
        raise DocumentRefused("fetch_failed", "What came is damaged. Try again later.", detail="more behind the end of gzip")
    return bytes(out)


def too_large(most: int) -> DocumentRefused:
    """Return the refusal of what has more bytes than may be kept."""
    return DocumentRefused("too_large", f"It has more than {most:,} bytes, the limit (setting ingest.max_document_bytes).")


def _kind(headers: dict[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _suffix(kind: str, url: str) -> str:
    name = PurePosixPath(unquote(urlsplit(url).path)).suffix.lower()
    if kind in _SUFFIXES:
        return _SUFFIXES[kind]
    if kind in _SAYS_LITTLE:
        return name or (".txt" if kind == "text/plain" else "")
    return _TYPES.guess_extension(kind) or name
