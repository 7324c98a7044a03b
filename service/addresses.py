"""Which addresses are public: what a merchant's webhook may reach, and the pods' network policy.

From IANA's registries of special-purpose addresses (RFC 6890) and of multicast. The lists are
ours, so that they are the same under every version of Python and in the cluster.
A cloud's metadata addresses are refused whatever is allowed beside them: Azure's 168.63.129.16 is
public by its number, and 100.64.0.0/10 and fd00::/8, which clusters use, hold those of others.
"""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from service.setting_types import listed, read_each

Network = IPv4Network | IPv6Network

NOT_PUBLIC_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure: the host's agent, on an address in a public range
        "169.254.0.0/16",  # link-local: a cloud's metadata service
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast
    )
)

EVERYWHERE_V6: Final = IPv6Network("2000::/3")
"""All that is global unicast; so neither loopback, link-local, unique local, multicast, nor what
holds an IPv4 address: ::/96, ::ffff:0:0/96, 64:ff9b::/96."""
NOT_PUBLIC_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo holds an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 holds an IPv4 address
        "3fff::/20",  # documentation
    )
)


METADATA: Final[tuple[Network, ...]] = (
    IPv4Network("169.254.0.0/16"),  # most clouds, and their credentials of containers and pods
    IPv4Network("168.63.129.16/32"),  # Azure
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("192.0.0.192/32"),  # Oracle
    IPv6Network("fe80::/10"),
    IPv6Network("fd00:ec2::/112"),  # AWS
    IPv6Network("fd20:ce::254/128"),  # Google
    IPv6Network("fd00:c1::a9fe:a9fe/128"),  # Oracle
    IPv6Network("fd00:42::42/128"),  # Scaleway
)
"""Where a machine asks for its own credentials. Never allowed: who allows the wide network that one
of them lies in (100.64.0.0/10, fd00::/8) means the pods there, and not this."""

_LEADS_TO_IPV4: Final = tuple(
    (IPv6Network(text), shift)
    for text, shift in (
        ("::/96", 0),  # IPv4-compatible (RFC 4291, 2.5.5.1)
        ("::ffff:0:0:0/96", 0),  # SIIT (RFC 2765)
        ("64:ff9b::/96", 0),  # NAT64 (RFC 6052)
        ("64:ff9b:1::/48", 0),  # NAT64 of a network's own (RFC 8215)
        ("2002::/16", 80),  # 6to4 (RFC 3056)
    )
)
"""Networks whose addresses hold an IPv4 address, and how many bits follow it."""
_LOOPBACK: Final = IPv6Address("::1")


def is_allowed(text: str, also: Sequence[Network] = ()) -> bool:
    """Tell whether an address is public, or in one of the networks that are allowed as well.

    An IPv6 address that leads to an IPv4 address is only allowed if that one is, too: behind an
    allowed NAT64 lies all of IPv4.
    """
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return _is_allowed(address, also)
    if address.ipv4_mapped is not None:  # a connection to it goes out as IPv4
        return _is_allowed(address.ipv4_mapped, also)
    inner = _leads_to(address)
    return _is_allowed(address, also) and (inner is None or _is_allowed(inner, also))


def _is_allowed(address: IPv4Address | IPv6Address, also: Sequence[Network]) -> bool:
    if any(address in network for network in METADATA):
        return False
    return _is_public(address) or any(address in network for network in also)


def _leads_to(address: IPv6Address) -> IPv4Address | None:
    if address.teredo is not None:
        return address.teredo[1]
    if address <= _LOOPBACK:  # :: and ::1 have the form of the first and mean another thing
        return None
    for network, shift in _LEADS_TO_IPV4:
        if address in network:
            return IPv4Address(int(address) >> shift & 0xFFFF_FFFF)
    return None


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_V4)
    return address in EVERYWHERE_V6 and not any(address in network for network in NOT_PUBLIC_V6)


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a comma-separated list; raise ValueError naming all that are none."""
    found, wrong = read_each(listed(text), ip_network)
    if wrong:
        raise ValueError(f"{', '.join(wrong)}; give networks such as 10.0.0.0/8,fd00::/8")
    return tuple(found)
