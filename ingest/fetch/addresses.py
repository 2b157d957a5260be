"""A host's name -> a connection to an address that was looked at first, or a refusal.

What a page, a redirect or a name server says must not lead into the network that this runs in. So the addresses are judged, not
the name; the connection goes to the judged address itself, so that a name that answers differently the second time gains nothing;
and TLS and ``Host`` keep the name, so that certificates hold.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore

from app.core.errors import DocumentRefused

Network = IPv4Network | IPv6Network
Lookup = Callable[[str, int], Sequence[str]]
"""Name and port -> its addresses, best first."""

_CONNECT_S = 10.0
_MOST_TRIED = 4

_PUBLIC_6 = IPv6Network("2000::/3")
"""All that was ever given out; everything else is loopback, private, link-local, multicast or unknown."""
_NAT64 = IPv6Network("64:ff9b::/96")
"""How networks without IPv4 reach it: the last 32 bits are what counts."""
_NOT_PUBLIC: Sequence[Network] = [
    ip_network(text)
    for text in (
        "100.64.0.0/10",  # behind a provider's NAT; a cloud's metadata at 100.100.100.200
        "168.63.129.16/32",  # a cloud's metadata, in the middle of the public range
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata at 192.0.0.192
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # protocol assignments; Teredo, which holds an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",
    )
]
"""Beside what ``ipaddress`` knows, which differs from one Python to the next."""
_NEVER: Sequence[Network] = [
    ip_network(text)
    for text in ("169.254.0.0/16", "fe80::/10", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::/32", "fd20:ce::254/128")
]  # fmt: skip
"""Link-local, and where clouds hand out their machines' credentials: no setting opens these."""


def lookup(host: str, port: int) -> list[str]:
    """Ask the system for a host's addresses. How long that may take is the system's setting.

    Raises:
        OSError: There are none.
        UnicodeError: It can't be a name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def may_connect(address: str, networks: Sequence[Network] = ()) -> bool:
    """Whether an address is public, or in one of the networks that the operator named.

    Args:
        address: As the system writes it.
        networks: Private ones that may be read too.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if any(ip in network for network in _NEVER if network.version == ip.version):
        return False
    return _is_public(ip) or any(ip in network for network in networks if network.version == ip.version)


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv6Address):
        if ip in _NAT64:
            return _is_public(IPv4Address(int(ip) & 0xFFFF_FFFF))
        if ip not in _PUBLIC_6:
            return False
    known = not any(ip in network for network in _NOT_PUBLIC if network.version == ip.version)
    return known and ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


class Guarded(httpcore.NetworkBackend):
    """Connects only to addresses that were judged, and lets nothing last longer than until a deadline.

    Args:
        lookup: How names become addresses: asked once for each connection.
        networks: Private ones that may be read too.
        deadline: On ``time.monotonic``'s clock.
        network: What connects in the end.
    """

    def __init__(self, *, lookup: Lookup, networks: Sequence[Network], deadline: float, network: httpcore.NetworkBackend) -> None:
        self._lookup, self._networks, self._deadline, self._network = lookup, networks, deadline, network

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers.

        Raises:
            DocumentRefused: ``fetch_refused`` when even one of the name's addresses is not public: an honest name has none such.
            DocumentRefused: ``fetch_failed`` when there is no such name.
        """
        try:
            addresses = list(self._lookup(host, port))
        except (OSError, UnicodeError) as error:
            raise DocumentRefused(
                "fetch_failed", "There is no site of that name, or it can't be found now.", detail=str(error)
            ) from None
        if not addresses:
            raise DocumentRefused("fetch_failed", "There is no site of that name.")
        for address in addresses:
            if not may_connect(address, self._networks):
                raise DocumentRefused(
                    "fetch_refused",
                    "Its name leads to an address that is not public: this machine, a private network, or a cloud's own. If you mean "
                    "it, name the network in the setting ingest.fetch_networks.",
                    detail=f"{host} is {address}",
                )
        for number, address in enumerate(addresses[:_MOST_TRIED], start=1):
            try:
                left = _left(self._deadline, timeout or _CONNECT_S, httpcore.ConnectTimeout)
                stream = self._network.connect_tcp(address, port, left, local_address, socket_options)
                return _Timed(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == min(len(addresses), _MOST_TRIED):
                    raise
        raise AssertionError("unreachable")


class _Timed(httpcore.NetworkStream):
    """A stream whose every wait ends at the deadline: a byte now and then does not keep it open."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, timeout, httpcore.ConnectTimeout)
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, timeout: float | None, late: type[httpcore.TimeoutException]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise late("the time for it is over")
    return left if timeout is None else min(left, timeout)
