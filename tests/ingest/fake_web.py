"""A web without a network: names, addresses, and what each server says, byte for byte."""

import gzip
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpcore

from ingest.fetch import Reach

PUBLIC = "93.184.216.34"


def answer(
    body: bytes | str = b"",
    *,
    status: int = 200,
    kind: str | None = "text/html; charset=utf-8",
    length: int | None = None,
    **headers: str,
) -> bytes:
    """Write an HTTP response; ``length`` may lie."""
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Length: {len(raw) if length is None else length}"]
    if kind is not None:
        lines.append(f"Content-Type: {kind}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def to(place: str, status: int = 302) -> bytes:
    return answer(status=status, Location=place)


def packed(body: bytes) -> bytes:
    """Gzip without the time of day, which would give a parametrized test another name in each of pytest's workers."""
    return gzip.compress(body, mtime=0)


@dataclass
class Web(httpcore.NetworkBackend):
    """Answers by URL; keeps every name that was looked up, every address connected to, and every request."""

    pages: dict[str, bytes | Iterable[bytes]] = field(default_factory=dict)
    """Canonical URL -> the whole response, or its pieces."""
    names: dict[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    """Name -> its addresses at the first lookup, the second, …; the last ones stay. Unknown names are public."""
    dead: set[str] = field(default_factory=set)
    """Addresses that nobody answers at."""
    looked_up: list[str] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    tls: list[str | None] = field(default_factory=list)

    @property
    def reach(self) -> Reach:
        return Reach(self._lookup, self)

    def _lookup(self, host: str, port: int) -> Sequence[str]:
        answers = self.names.get(host, [[PUBLIC]])
        self.looked_up.append(host)
        return answers[min(self.looked_up.count(host), len(answers)) - 1]

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None, socket_options: Any = None
    ) -> httpcore.NetworkStream:
        self.connected.append((host, port))
        if host in self.dead:
            raise httpcore.ConnectError("nobody there")
        return _Stream(self, "http", port)


class _Stream(httpcore.NetworkStream):
    def __init__(self, web: Web, scheme: str, port: int) -> None:
        self._web, self._scheme, self._port = web, scheme, port
        self._request = b""
        self._pieces: Iterator[bytes] | None = None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._request += buffer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._pieces is None:
            self._web.requests.append(self._request)
            head = self._request.decode("ascii").split("\r\n")
            host = next(line.split(": ")[1] for line in head if line.lower().startswith("host:"))
            found = self._web.pages.get(f"{self._scheme}://{host}{head[0].split(' ')[1]}", answer("gone", status=404))
            self._pieces = iter([found] if isinstance(found, bytes) else found)
        started = time.monotonic()
        piece = next(self._pieces, b"")
        if timeout is not None and time.monotonic() - started > timeout:
            raise httpcore.ReadTimeout("too slow")
        if len(piece) > max_bytes:
            rest, before = piece[max_bytes:], self._pieces
            self._pieces = (one for many in ([rest], before) for one in many)
        return piece[:max_bytes]

    def close(self) -> None:
        pass

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        assert ssl_context.verify_mode == ssl.CERT_REQUIRED
        assert ssl_context.check_hostname
        self._web.tls.append(server_hostname)
        return _Stream(self._web, "https", self._port)

    def get_extra_info(self, info: str) -> Any:
        return None
