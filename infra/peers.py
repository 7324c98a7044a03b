"""What must be right about the peers of the pods' connections, in a stack's settings."""

from collections.abc import Iterator
from typing import Final

from infra import ranges
from infra.config_reader import read_or
from infra.sections import Network, Peer, StackConfig

HTTPS_PORT: Final = 443
KEY: Final = "coinslot:network"


def checks(config: StackConfig) -> Iterator[Iterator[str]]:
    """Yield checks, which yield sentences that name the key, what is wrong, and what to do."""
    yield _families(config)
    yield from (_named(config, name) for name in ("database", "cache"))
    yield _services_named(config)
    for where, peer in read_or([], lambda: [*_peers(config)]):
        yield _one_of_three(where, peer)
        yield _range(config, where, peer)
        yield _internet(where, peer)
    addresses = read_or([], lambda: [*config.network.dns_addresses])
    yield from (_name_server(config, number, text) for number, text in enumerate(addresses))


def _peers(config: StackConfig) -> Iterator[tuple[str, Peer]]:
    """Yield every peer under its key; one of several has its place in the list."""
    network = config.network
    flows = {"database": network.database, "cache": network.cache}
    services = read_or({}, lambda: dict(network.services.items()))
    flows |= {f"services.{name}": peers for name, peers in services.items()}
    for name, peers in flows.items():
        for index, peer in enumerate(read_or([], peers.copy)):
            place = f"[{index}]" if len(peers) > 1 else ""
            yield f"{KEY}.{name}{place}", peer


def _one_of_three(where: str, peer: Peer) -> Iterator[str]:
    if [peer.cidr is None, peer.namespace is None, not peer.internet].count(False) != 1:
        yield f"{where} needs one of cidr, namespace and internet: true"


def _range(config: StackConfig, where: str, peer: Peer) -> Iterator[str]:
    if peer.cidr is not None:
        yield from _wrong_range(f"{where}.cidr", peer.cidr, config.network)


def _internet(where: str, peer: Peer) -> Iterator[str]:
    if peer.internet and not where.startswith(f"{KEY}.services."):
        yield f"{where} is on the internet; name the range of addresses that it has (cidr)"
    elif peer.internet and peer.port != HTTPS_PORT:
        yield f"{where}.port is {peer.port}; on the internet only {HTTPS_PORT} is called"


def _families(config: StackConfig) -> Iterator[str]:
    families = config.network.ip_families
    if not families or len(set(families)) != len(families):
        yield f"{KEY}.ipFamilies needs IPv4, IPv6 or both, each once; the first is the Services'"


def _named(config: StackConfig, name: str) -> Iterator[str]:
    if not getattr(config.network, name):
        yield f"{KEY}.{name} is empty; name where it is"


def _services_named(config: StackConfig) -> Iterator[str]:
    for name, peers in config.network.services.items():
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


def _name_server(config: StackConfig, number: int, address: str) -> Iterator[str]:
    where = f"{KEY}.dnsAddresses[{number}]"
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
    yield from _wrong_family(where, address, found, config.network)


def _wrong_family(where: str, text: str, found: ranges.Network, network: Network) -> Iterator[str]:
    family = f"IPv{found.version}"
    if family not in network.ip_families:
        yield f"{where} is {text}, and {KEY}.ipFamilies has no {family}; add it"
