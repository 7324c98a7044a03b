"""The address that a request comes from, as far as it can be believed.

X-Forwarded-For is written by whoever sends it, so only what trusted proxies have added counts: read
from its end, the first address that is none of theirs is the client's (RFC 7239, 8.1).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from aiohttp import web

from service.addresses import Network

FORWARDED: Final = "X-Forwarded-For"
MAX_HOPS: Final = 10
"""Addresses of a header that count; nobody has that many proxies of their own."""
MAX_HOP: Final = 64
"""Characters of one: an IPv6 address with brackets and a port has 47."""
CACHED: Final = 4_096
NOBODY: Final = "unknown"
"""A peer without an address (a UNIX socket); all such share one quota."""

Address = IPv4Address | IPv6Address
Locate = Callable[[web.Request], str]


def locator(trusted: Sequence[Network]) -> Locate:
    """Return a function that names the network a request comes from.

    An IPv4 address is a network of its own. Of an IPv6 address the first 64 bits count: a
    subscriber has all of the rest, and could send each request from another one (RFC 6177).
    """

    @lru_cache(maxsize=CACHED)
    def name(peer: str, hops: tuple[str, ...]) -> str:
        found = _parse(peer)
        for hop in hops:
            if found is None or not _among(found, trusted):
                break
            found = _parse(hop) or found
            if _parse(hop) is None:
                break  # what can't be read, and all before it, was not added by ours
        return NOBODY if found is None else _network(found)

    def locate(request: web.Request) -> str:
        if not trusted:
            return name(request.remote or "", ())
        return name(request.remote or "", _hops(request))

    return locate


def _hops(request: web.Request) -> tuple[str, ...]:
    """Return the last hops of all X-Forwarded-For headers, the nearest first."""
    text = ",".join(request.headers.getall(FORWARDED, ()))
    return tuple(hop.strip()[:MAX_HOP] for hop in reversed(text.rsplit(",", MAX_HOPS)[-MAX_HOPS:]))


def _among(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _parse(text: str) -> Address | None:
    """Return an address that may have a port, brackets or a zone, or None."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _network(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, 64), strict=False))
