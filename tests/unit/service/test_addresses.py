"""Which addresses may be sent to: none that is ours, in whatever way it is written."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.addresses import is_allowed, networks

OURS = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.170",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("text", OURS)
def test_what_is_not_public_is_refused(text: str) -> None:
    assert not is_allowed(text)


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_public_is_taken(text: str) -> None:
    assert is_allowed(text)


@given(st.ip_addresses())
def test_nothing_is_taken_that_python_holds_for_special(
    address: IPv4Address | IPv6Address,
) -> None:
    special = address.is_private or address.is_loopback or address.is_link_local
    if special or address.is_multicast or address.is_reserved or not address.is_global:
        assert not is_allowed(str(address)) or _mapped_public(address)


def _mapped_public(address: IPv4Address | IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped is not None and bool(ip_address(mapped).is_global)


def test_networks_can_be_allowed_beside() -> None:
    also = networks("127.0.0.0/8, fd00::/8")
    assert is_allowed("127.0.0.1", also)
    assert is_allowed("::ffff:127.0.0.1", also)
    assert is_allowed("fd00::1", also)
    assert not is_allowed("10.0.0.1", also)


def test_what_is_no_address_is_an_error() -> None:
    with pytest.raises(ValueError, match="localhost"):
        is_allowed("localhost")
