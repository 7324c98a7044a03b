"""Connections to hosts that others choose: only to public addresses, whatever a name resolves to.

The check is made where a socket is about to be connected, on the address that it is connected to.
A name that resolves to another address the next time (DNS rebinding) gains nothing by that.
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from service.addresses import Network, is_allowed

LOOKUPS: Final = 16
"""Names that are looked up at a time. Threads of their own: a slow name server of one merchant
must not keep the worker from finding the Library."""

NAME_CACHE_S: Final = 10


class ForbiddenAddressError(OSError):
    """The address is not public. It is not named: whoever chose the URL learns nothing of ours."""

    def __init__(self) -> None:
        super().__init__("the address is not public")


def public_connector(also: Sequence[Network] = ()) -> aiohttp.TCPConnector:
    """Return a connector that connects to public addresses and to those of `also`."""

    def open_socket(found: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = found
        if family not in (socket.AF_INET, socket.AF_INET6) or not is_allowed(address[0], also):
            raise ForbiddenAddressError
        return socket.socket(family=family, type=kind, proto=protocol)

    return aiohttp.TCPConnector(
        limit=0,  # its user bounds what is under way to each endpoint
        ttl_dns_cache=NAME_CACHE_S,
        resolver=OwnThreads(),
        socket_factory=open_socket,
    )


class OwnThreads(AbstractResolver):
    """Looks names up as the system does, in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the host's addresses; raise OSError if it has none."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Let look-ups that are under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[Any]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family))
