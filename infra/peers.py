"""What must be right about the other sides of the pods' connections, in a stack's settings."""

from collections.abc import Iterator
from typing import Final

from infra import ranges
from infra.sections import Network, Peer

HTTPS_PORT: Final = 443
KEY: Final = "coinslot:network"


def problems(network: Network) -> Iterator[str]:
    """Yield sentences that name the key, what is wrong, and what to do."""
    for where, peer in named(network):
        if [peer.cidr is None, peer.namespace is None, not peer.internet].count(False) != 1:
            yield f"{where} needs one of cidr, namespace and internet: true"
        if peer.cidr is not None:
            yield from _wrong_range(f"{where}.cidr", peer.cidr, network)
        if peer.internet and not where.startswith(f"{KEY}.services."):
            yield f"{where} is on the internet; name the range of addresses that it has (cidr)"
        elif peer.internet and peer.port != HTTPS_PORT:
            yield (f"{where}.port is {peer.port}; on the internet only {HTTPS_PORT} is called")
    yield from _lists(network)
    for index, address in enumerate(network.dns_addresses):
        yield from _wrong_name_server(f"{KEY}.dnsAddresses[{index}]", address, network)


def named(network: Network) -> Iterator[tuple[str, Peer]]:
    """Yield every peer under its key; one of several has its place in the list."""
    sides = {"database": network.database, "cache": network.cache}
    sides |= {f"services.{name}": peers for name, peers in network.services.items()}
    for name, peers in sides.items():
        for index, peer in enumerate(peers):
            place = f"[{index}]" if len(peers) > 1 else ""
            yield f"{KEY}.{name}{place}", peer


def _lists(network: Network) -> Iterator[str]:
    if not network.ip_families or len(set(network.ip_families)) != len(network.ip_families):
        yield f"{KEY}.ipFamilies needs IPv4, IPv6 or both, each once; the first is the Services'"
    for name, peers in {"database": network.database, "cache": network.cache}.items():
        if not peers:
            yield f"{KEY}.{name} is empty; name where it is"
    for name, peers in network.services.items():
        if not peers:
            yield f"{KEY}.services.{name} is empty; name where it is, or leave it out"


def _wrong_range(where: str, cidr: str, network: Network) -> Iterator[str]:
    try:
        found = ranges.parsed(cidr)
    except ValueError as error:
        yield f"{where}: {error}; expected a range such as 10.0.0.0/16 or fd00:20::/64"
        return
    widest = ranges.WIDEST[found.version]
    if ranges.too_wide(found):
        yield f"{where} is {cidr}, wider than any network of ours; name one within /{widest}"
    elif ranges.holds_metadata(found):
        yield (
            f"{where} is {cidr}, where the cloud's metadata server is; name the peer's own range "
            f"(a name server on the node: {KEY}.dnsAddresses)"
        )
    yield from _wrong_family(where, cidr, found, network)


def _wrong_name_server(where: str, address: str, network: Network) -> Iterator[str]:
    try:
        found = ranges.parsed(address)
    except ValueError as error:
        yield f"{where}: {error}; expected an address such as 169.254.20.10"
        return
    if not ranges.is_name_server(found):
        yield (
            f"{where} is {address}; expected one address, and none where a cloud has its metadata "
            "server, such as NodeLocal DNSCache's 169.254.20.10"
        )
    yield from _wrong_family(where, address, found, network)


def _wrong_family(where: str, text: str, found: ranges.Network, network: Network) -> Iterator[str]:
    family = f"IPv{found.version}"
    if family not in network.ip_families:
        yield f"{where} is {text}, and {KEY}.ipFamilies has no {family}; add it"
