"""Merchants' endpoints: one POST a try, to public addresses only, whatever a name resolves to.

The check is made where a socket is about to be connected, on the address that it connects to. So a
name that resolves to another address the next time (DNS rebinding) gains nothing.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from service.addresses import Network, is_allowed

CONNECT_TIMEOUT_S: Final = 5.0
"""Across the internet; three lost SYNs are repeated within it."""

DRAIN_BYTES: Final = 4_096
DRAIN_S: Final = 0.5
"""How much of an answer's body is read, and for how long, so that its connection can be used again.
Only the status counts."""

USER_AGENT: Final = "coinslot-webhooks"
LOOKUPS: Final = 16
"""DNS look-ups at a time, in threads of their own: a slow name server of one merchant must not keep
the worker from finding the Library."""

NAME_CACHE_S: Final = 10


class ForbiddenAddressError(OSError):
    """The address is not public. It is not named: whoever chose the URL learns nothing of ours."""

    def __init__(self) -> None:
        super().__init__("the address is not public")


class MerchantResponse(msgspec.Struct, frozen=True):
    """An endpoint's answer; `retry_after` is its Retry-After as it came, or empty."""

    status: int
    retry_after: str


class UnreachableError(Exception):
    """No answer; the message names no address, and `outcome` is for metrics."""

    def __init__(self, message: str, outcome: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class Merchants:
    """Sends to endpoints over a session that connects to public addresses only."""

    def __init__(self, session: aiohttp.ClientSession, timeout_s: float) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> MerchantResponse:
        """Send once and return the answer; raise UnreachableError. Redirects are answers."""
        fixed = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        try:
            async with self._session.post(
                url,
                data=body,
                headers={**headers, **fixed},
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                await _drain(response)
                return MerchantResponse(response.status, response.headers.get("Retry-After", ""))
        except aiohttp.ClientConnectorError as error:
            raise _not_connected(error) from error
        except TimeoutError as error:
            raise UnreachableError("no answer in time", "timeout") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise UnreachableError(f"no answer: {type(error).__name__}", "error") from error


def _not_connected(error: aiohttp.ClientConnectorError) -> UnreachableError:
    if isinstance(error.os_error, ForbiddenAddressError):
        return UnreachableError(str(error.os_error), "refused")
    return UnreachableError(f"cannot connect: {type(error).__name__}", "error")


async def _drain(response: aiohttp.ClientResponse) -> None:
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(DRAIN_S):
            await response.content.read(DRAIN_BYTES)


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
        resolver=_ThreadedResolver(),
        socket_factory=open_socket,
    )


class _ThreadedResolver(AbstractResolver):
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
        """Let look-ups in flight end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[Any]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family))
