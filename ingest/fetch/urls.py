"""A web address as somebody wrote it -> the one form under which the page is known."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote

import httpx

from app.core.errors import DocumentRefused

_LONGEST = 2_000
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_IN_PATHS = "!$&'()*+,;=:@/?%[]-._~"
"""RFC 3986, section 3.3, and brackets, which are common in queries."""
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\Z")
_NUMBER = re.compile(r"(?:\d+|0x[0-9a-f]*)\Z")


def canonical(url: str, *, base: str | None = None) -> str:
    """Return a page's identity: RFC 3986, section 6.2, for http and https.

    Scheme and host in lower case, the host in IDNA and without a last dot, no default port, no dot segments, ``%7e`` as ``~`` and
    ``%2f`` as ``%2F``, an empty path as ``/``, no fragment, no empty query. Query parameters stay as they are and where they are:
    which of them only track the reader, nobody can know for every site.

    Args:
        url: As written; a reference such as ``../b`` where there is a base.
        base: What it stands in.

    Raises:
        DocumentRefused: ``fetch_refused``: it is none, is not for the web, or holds a user or password.
    """
    try:
        url.encode()  # half a character is none
        found = httpx.URL(unescape(url.strip()))
        if base is not None:
            found = httpx.URL(base).join(found)
    except (httpx.InvalidURL, UnicodeEncodeError, TypeError, ValueError) as error:
        raise DocumentRefused("fetch_refused", "It is no web address.", detail=str(error)) from None
    if found.scheme not in _DEFAULT_PORTS:
        raise DocumentRefused("fetch_refused", "Only http and https addresses are fetched.")
    if found.userinfo:
        raise DocumentRefused(
            "fetch_refused",
            "The address holds a user or a password, which would be stored with the document and shown with each citation. "
            "Pages behind a login can't be fetched: save them as files and ingest those.",
        )
    if found.port is not None and not 0 < found.port < 65536:
        raise DocumentRefused("fetch_refused", "The address names a port that there is none of.")
    port = "" if found.port in (None, _DEFAULT_PORTS[found.scheme]) else f":{found.port}"
    path = quote(found.raw_path.decode("ascii"), safe=_IN_PATHS)
    if not found.query:
        path = path.removesuffix("?")
    whole = f"{found.scheme}://{_host(found.raw_host.decode('ascii'))}{port}{path or '/'}"
    if len(whole) > _LONGEST:
        raise DocumentRefused("fetch_refused", f"The address has more than {_LONGEST:,} characters.")
    return whole


def unescape(text: str) -> str:
    """Return text with ``%7e`` as ``~``, since that needs no escape, and ``%2f`` as ``%2F``, since that does; a lone ``%`` as ``%25``."""
    return _ESCAPE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    if match[1] is None:
        return "%25"
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else match[0].upper()


def _host(host: str) -> str:
    """Return a host's one spelling; of numbers only the usual one, since programs disagree on what ``010.1`` is."""
    try:
        if ":" in host:
            if "%" in host:
                raise AddressValueError("it holds a zone")
            return f"[{IPv6Address(host)}]"
        host = host.lower().removesuffix(".")
        if _NUMBER.match(host.rpartition(".")[2]):
            return str(IPv4Address(host))
    except AddressValueError as error:
        raise DocumentRefused(
            "fetch_refused", "The address holds a number that is no usual IP address.", detail=str(error)
        ) from None
    if not _NAME.match(host) or len(host) > 253:
        raise DocumentRefused("fetch_refused", "The address has no host, or one that can't be a name.")
    return host
