"""Ranges of addresses: how wide one of ours may be, and where a cloud's metadata server is.

What the checks of a stack's file refuse, and what the policy refuses in a manifest.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

WIDEST: Final = {4: 8, 6: 32}
"""Bits of the widest range that is a network of ours: 10.0.0.0/8, and what a provider is given."""

LINK_LOCAL: Final = IPv4Network("169.254.0.0/16")
METADATA: Final[tuple[Network, ...]] = (
    LINK_LOCAL,  # AWS, Azure, Google, OpenStack and most others
    IPv6Network("fe80::/10"),  # link-local; OpenStack
    IPv6Network("fd00:ec2::/32"),  # AWS
    IPv6Network("fd20:ce::/64"),  # Google
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("168.63.129.16/32"),  # Azure's wire server
)
"""Where a pod could ask for its node's credentials."""

SERVERS: Final[tuple[Network, ...]] = (
    IPv4Network("169.254.169.0/24"),
    IPv4Network("169.254.170.0/24"),  # AWS: credentials of tasks and pods
    *METADATA[1:],
)
"""What of METADATA is never a name server on the node."""


def parsed(text: str) -> Network:
    """Return a range; raise ValueError saying what is wrong with it."""
    return ip_network(text)


def too_wide(network: Network) -> bool:
    return network.prefixlen < WIDEST[network.version]


def too_many(networks: Iterable[Network]) -> bool:
    """Say whether ranges that are each narrow enough are everybody together."""
    found = list(networks)
    first = [each for each in found if isinstance(each, IPv4Network)]
    second = [each for each in found if isinstance(each, IPv6Network)]
    return any(
        sum(each.num_addresses for each in alone) > 1 << (bits - WIDEST[version])
        for version, bits, alone in (
            (4, 32, list[Network](collapse_addresses(first))),
            (6, 128, list[Network](collapse_addresses(second))),
        )
    )


def holds_metadata(network: Network) -> bool:
    return any(_overlap(network, each) for each in METADATA)


def is_name_server(network: Network) -> bool:
    """Say whether a range is one address that a cluster's name server may have."""
    alone = network.prefixlen == network.max_prefixlen
    return alone and not any(_overlap(network, each) for each in SERVERS)


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)
