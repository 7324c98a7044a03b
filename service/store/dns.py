"""Where PostgreSQL listens: names are looked up beside the event loop, within bounds.

libpq looks a name up in the thread that connects. Here that is the event loop, which would stand
still for as long as the resolver takes. So libpq is given addresses; it keeps the name for TLS.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from threading import Thread
from typing import Final

from psycopg2.extensions import parse_dsn

from service.logs import get_logger

LOOKUP_SHARE: Final = 0.5
"""Of the time to connect; the rest is for connecting, to the addresses known before if need be."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """One way to the server, in libpq's words; an empty one means what libpq takes by default."""

    host: str = ""
    hostaddr: str = ""
    port: str = ""

    @property
    def name(self) -> str:
        """Return the name that has to be looked up, or nothing: for an address or a socket."""
        if self.hostaddr or not self.host or self.host.startswith(("/", "@")):
            return ""
        with suppress(ValueError):
            ip_address(self.host)
            return ""
        return self.host

    def parameters(self) -> dict[str, str]:
        """Return what replaces the places in the URL."""
        given = {"host": self.host, "hostaddr": self.hostaddr, "port": self.port}
        return {name: value for name, value in given.items() if value}


class Resolver:
    """Looks up the names in a URL of PostgreSQL.

    A name is looked up by one thread at a time, however many wait for it: a resolver that hangs
    holds one thread. While it fails, the addresses that it gave last stand.
    """

    def __init__(self, url: str) -> None:
        self._targets = targets_of(url)
        self._known: dict[str, Sequence[str]] = {}
        self._looking: dict[str, asyncio.Future[Sequence[str]]] = {}

    async def targets(self, timeout_s: float) -> Sequence[Target]:
        """Return the ways to the server in the URL's order, and for a name in the resolver's.

        A name without an address is passed over. Raises OSError if no way is left.
        """
        share_s = timeout_s * LOOKUP_SHARE
        found = await asyncio.gather(
            *(self._resolved(target, share_s) for target in self._targets), return_exceptions=True
        )
        failed = [each for each in found if isinstance(each, BaseException)]
        ways = [way for each in found if not isinstance(each, BaseException) for way in each]
        if not ways:
            raise failed[0]
        return ways

    async def _resolved(self, target: Target, timeout_s: float) -> Sequence[Target]:
        name = target.name
        if not name:
            return [target]
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._look_up(name))
        except OSError as error:  # TimeoutError is one
            _log.warning(
                "database_lookup_failed",
                host=name,
                error=f"{type(error).__name__}: {error}",
                known=name in self._known,
            )
            if name not in self._known:
                raise
        return [Target(target.host, address, target.port) for address in self._known[name]]

    def _look_up(self, name: str) -> "asyncio.Future[Sequence[str]]":
        """Return the look-up of a name that is under way, or begin one."""
        if name not in self._looking:
            self._looking[name] = future = _addresses(name)
            future.add_done_callback(lambda done: self._looked_up(name, done))
        return self._looking[name]

    def _looked_up(self, name: str, done: "asyncio.Future[Sequence[str]]") -> None:
        del self._looking[name]
        if not done.cancelled() and done.exception() is None:
            self._known[name] = done.result()  # also if it came too late for who asked


def targets_of(url: str) -> Sequence[Target]:
    """Return the places that a URL names, one by one; raises psycopg2.ProgrammingError.

    libpq takes lists, and tries one after the other on changing sockets, which aiopg can't follow.
    """
    given = parse_dsn(url)
    hosts, addresses, ports = (
        given.get(key, "").split(",") for key in ("host", "hostaddr", "port")
    )
    count = max(len(hosts), len(addresses))
    return [
        Target(_nth(hosts, number), _nth(addresses, number), _nth(ports, number))
        for number in range(count)
    ]


def _nth(values: Sequence[str], number: int) -> str:
    """Return a place's own value; a single one is everybody's, as with libpq's ports."""
    return values[number] if number < len(values) else values[0] if len(values) == 1 else ""


def _addresses(name: str) -> "asyncio.Future[Sequence[str]]":
    """Look a name up in a thread of its own, which keeps no process from ending.

    The loop's own threads are few, and shared with all that is looked up for others.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Sequence[str]] = loop.create_future()

    def deliver(found: Sequence[str] | OSError) -> None:
        if future.done():
            return
        if isinstance(found, OSError):
            future.set_exception(found)
        else:
            future.set_result(found)

    def look_up() -> None:
        found: Sequence[str] | OSError
        try:
            answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(address[0]) for *_, address in answers))
        except OSError as error:
            found = error
        except UnicodeError as error:  # a label that is too long
            found = OSError(str(error))
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(deliver, found)

    Thread(target=look_up, name=f"look up {name}", daemon=True).start()
    return future
