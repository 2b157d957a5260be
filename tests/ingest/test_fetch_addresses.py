from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.fetch.addresses import lookup, may_connect

# IANA's registries of special-purpose addresses, those that are not globally reachable, and multicast.
SPECIAL_4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 "
        "198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32"
    ).split()
]
SPECIAL_6 = [
    IPv6Network(text)
    for text in (
        "::/128 ::1/128 ::/96 ::ffff:0:0/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 fc00::/7 "
        "fec0::/10 fe80::/10 ff00::/8"
    ).split()
]


def within(network: IPv4Network | IPv6Network) -> st.SearchStrategy[str]:
    kind = IPv4Address if network.version == 4 else IPv6Address
    return st.integers(int(network.network_address), int(network.broadcast_address)).map(lambda number: str(kind(number)))


special_4 = st.sampled_from(SPECIAL_4).flatmap(within)


@given(special_4)
def test_no_special_address_is_public(address: str):
    assert not may_connect(address)


@given(st.sampled_from(SPECIAL_6).flatmap(within))
def test_no_special_address_of_the_new_kind_is_public(address: str):
    assert not may_connect(address)


@given(special_4 | st.ip_addresses(v=4).map(str))
def test_an_old_address_inside_a_new_one_is_no_way_around(address: str):
    number = int(IPv4Address(address))
    for prefix in ("::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b:1::", "fe80::"):
        assert not may_connect(str(IPv6Address(int(IPv6Address(prefix)) | number)))
    assert not may_connect(str(IPv6Address(int(IPv6Address("2002::")) | number << 80)))
    assert not may_connect(str(IPv6Address(int(IPv6Address("2001::")) | number ^ 0xFFFF_FFFF)))  # Teredo
    # A network without IPv4 reaches it this way: then what counts is the old address.
    assert may_connect(str(IPv6Address(int(IPv6Address("64:ff9b::")) | number))) == may_connect(address)


@given(st.ip_addresses(v=4))
def test_the_rest_is_public(ip: IPv4Address):
    special = any(ip in network for network in SPECIAL_4) or str(ip) == "168.63.129.16"

    assert may_connect(str(ip)) == (not special)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "2606:2800:220:1::1", "2a00:1450::1", "64:ff9b::808:808"],
)
def test_public_ones_are_let_through(address: str):
    assert may_connect(address)


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "010.0.0.1", "8.8.8.8 ", "8.8.8.8/32", "1.2.3.4%eth0", "fe80::1%eth0", "2130706433"]
)
def test_what_is_no_address_is_not_let_through(text: str):
    assert not may_connect(text)


def test_a_named_network_opens_itself_alone():
    intranet = [ip_network("10.1.0.0/16"), ip_network("fd12::/16")]

    assert may_connect("10.1.2.3", intranet)
    assert may_connect("fd12::1", intranet)
    assert not may_connect("10.2.0.1", intranet)
    assert not may_connect("::ffff:10.1.2.3", intranet)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
    ],
)
def test_nothing_opens_where_clouds_hand_out_credentials(address: str):
    assert not may_connect(address, [ip_network("0.0.0.0/0"), ip_network("::/0")])


def test_the_system_is_asked_for_addresses():
    assert "127.0.0.1" in lookup("127.0.0.1", 80)
    with pytest.raises((OSError, UnicodeError)):
        lookup("a" * 64 + ".invalid", 80)  # too long for a name: nobody is asked
