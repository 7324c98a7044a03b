"""Which addresses are public: what a merchant's webhook may reach, and the pods' network policy.

From IANA's registries of special-purpose addresses (RFC 6890) and of multicast. The lists are
ours, so that they are the same under every version of Python and in the cluster.
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

Network = IPv4Network | IPv6Network

NOT_PUBLIC_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
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


def is_allowed(text: str, also: Sequence[Network] = ()) -> bool:
    """Tell whether an address is public, or in one of the networks that are allowed as well."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # a connection to it goes out as IPv4
    return _is_public(address) or any(address in network for network in also)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_V4)
    return address in EVERYWHERE_V6 and not any(address in network for network in NOT_PUBLIC_V6)


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a comma-separated list; raise ValueError naming what is none."""
    return tuple(ip_network(item.strip()) for item in text.split(",") if item.strip())
