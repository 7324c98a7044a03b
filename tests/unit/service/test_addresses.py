"""Which addresses may be sent to: none that is ours, in whatever way it is written."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.addresses import is_allowed, networks

METADATA = [
    "169.254.169.254",  # AWS, Azure, Google, Oracle, IBM, DigitalOcean, OpenStack
    "169.254.169.123",  # AWS: time
    "169.254.169.253",  # AWS: DNS
    "169.254.170.2",  # AWS: credentials of a container (ECS)
    "169.254.170.23",  # AWS: credentials of a pod (EKS)
    "169.254.20.10",  # Kubernetes: NodeLocal DNSCache
    "169.254.42.42",  # Scaleway
    "169.254.0.23",  # Tencent
    "168.63.129.16",  # Azure: the host's agent, a public address
    "100.100.100.200",  # Alibaba
    "192.0.0.192",  # Oracle
    "fd00:ec2::254",  # AWS
    "fd00:ec2::23",  # AWS: credentials of a pod (EKS)
    "fd20:ce::254",  # Google
    "fd00:42::42",  # Scaleway
    "fd00:c1::a9fe:a9fe",  # Oracle
]
"""Who reads there has the machine's credentials, or its secrets."""

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
    *METADATA,
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


def inside(text: str) -> list[str]:
    """Return the IPv6 addresses that lead to an IPv4 address, or stand for it."""
    bits = int(IPv4Address(text))
    return [
        str(IPv6Address(int(IPv6Address(prefix)) | bits << shift))
        for prefix, shift in (
            ("::ffff:0:0", 0),  # mapped
            ("::", 0),  # compatible
            ("::ffff:0:0:0", 0),  # SIIT
            ("64:ff9b::", 0),  # NAT64
            ("64:ff9b:1::", 0),  # NAT64 of a network's own
            ("2002::", 80),  # 6to4
        )
    ] + [str(IPv6Address(int(IPv6Address("2001::")) | bits ^ 0xFFFFFFFF))]  # Teredo


@pytest.mark.parametrize(
    "text", [*METADATA, *(way for text in METADATA if "." in text for way in inside(text))]
)
@pytest.mark.parametrize(
    "also",
    ["0.0.0.0/0, ::/0", "169.254.0.0/16, 100.64.0.0/10, 192.0.0.0/24, fd00::/8, 64:ff9b::/96"],
)
def test_a_clouds_metadata_is_refused_whatever_is_allowed(text: str, also: str) -> None:
    assert not is_allowed(text, networks(also))


@pytest.mark.parametrize("text", ["10.0.0.1", "127.0.0.1", "192.168.0.1"])
def test_a_network_of_translated_addresses_leads_to_public_ones_only(text: str) -> None:
    """With NAT64 all of IPv4 is behind such a network, and so is what is ours."""
    also = networks("64:ff9b::/96, 64:ff9b:1::/48, 2002::/16, 2001::/32, ::ffff:0:0/96, ::/96")
    for way in inside(text):
        assert not is_allowed(way, also), way
    assert is_allowed("64:ff9b::808:808", also)
    assert is_allowed("2002:808:808::1", also)
    assert is_allowed("64:ff9b::a00:1", (*also, *networks("10.0.0.0/8")))


def test_networks_can_be_allowed_beside() -> None:
    also = networks("127.0.0.0/8, ::1, fd00::/8")
    assert is_allowed("::1", also)
    assert is_allowed("127.0.0.1", also)
    assert is_allowed("::ffff:127.0.0.1", also)
    assert is_allowed("fd00::1", also)
    assert not is_allowed("10.0.0.1", also)


def test_what_is_no_address_is_an_error() -> None:
    with pytest.raises(ValueError, match="localhost"):
        is_allowed("localhost")
