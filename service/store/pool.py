"""A pool of connections that knows when one is of no use any more (ADR-50).

aiopg's own holds its lock while it connects, so that nobody gets a connection that is free; hands
out connections that broke meanwhile (AssertionError); and forgets one whose setting up failed.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import aiopg
import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from service.store.dns import Resolver, Target

RETIRE_PAUSE_S: Final = 1.0
"""All connections are replaced once a second at most: as soon as clients are asked to come back,
and no storm on a server that stays as it is."""

REFUSED_PAUSE_S: Final = 1.0
"""Statements that an address won't prepare, in a database without its schema, are not tried there
again at once: connections would be made faster than a busy server ends those that failed."""

Connect = Callable[[], Awaitable[aiopg.Connection]]
_READ_ONLY: Final = ("in_hot_standby", "default_transaction_read_only")
"""What a server reports of itself, at the start of a session and at each change."""


class Pool:
    """At most `size` connections; whoever finds none waits, no longer than `timeout_s`."""

    def __init__(self, connect: Connect, *, size: int, timeout_s: float) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(size)
        self._free: deque[aiopg.Connection] = deque()
        self._used: set[aiopg.Connection] = set()
        self._retired: set[aiopg.Connection] = set()
        self._connecting = 0
        self._retired_at = -RETIRE_PAUSE_S
        self._closed = False
        self._emptied = asyncio.Event()

    @property
    def in_use(self) -> int:
        """Connections that are lent out, or being made for somebody."""
        return len(self._used) + self._connecting

    @property
    def free(self) -> int:
        """Connections that wait for somebody."""
        return len(self._free)

    async def acquire(self) -> aiopg.Connection:
        """Lend a connection; raises TimeoutError, or OSError or psycopg2.Error if none is made."""
        async with asyncio.timeout(self._timeout_s):
            await self._places.acquire()
            try:
                connection = self._next_free() or await self._made()
            except BaseException:
                self._returned()
                raise
            self._used.add(connection)
            return connection

    def release(self, connection: aiopg.Connection) -> None:
        """Take a connection back, and close it if it is broken, retired or in a transaction."""
        self._used.remove(connection)
        unfit = self._closed or connection in self._retired
        self._retired.discard(connection)
        if not connection.closed:
            status = connection.raw.get_transaction_status()
            if unfit or status != TRANSACTION_STATUS_IDLE:
                connection.close()
            else:
                self._free.append(connection)
        self._returned()

    def retire(self) -> None:
        """Have no connection of now lent out again: their server is not what it was."""
        if time.monotonic() - self._retired_at < RETIRE_PAUSE_S:
            return
        self._retired_at = time.monotonic()
        self._close_free()
        self._retired |= self._used

    async def close(self) -> None:
        """Close every connection; those in use are waited for as long as a statement may take."""
        self._closed = True
        self._close_free()
        if self.in_use:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    await self._emptied.wait()
        for connection in self._used:
            connection.close()

    def _next_free(self) -> aiopg.Connection | None:
        if self._closed:
            raise psycopg2.InterfaceError("the pool is closed")
        while self._free:
            connection = self._free.popleft()
            if not connection.closed:  # the server may have ended it meanwhile
                return connection
        return None

    async def _made(self) -> aiopg.Connection:
        self._connecting += 1
        try:
            return await self._connect()
        finally:
            self._connecting -= 1

    def _returned(self) -> None:
        self._places.release()
        if self._closed and not self.in_use:
            self._emptied.set()

    def _close_free(self) -> None:
        while self._free:
            self._free.popleft().close()


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What an address has said to the statements of a new connection, and when."""

    error: psycopg2.ProgrammingError
    at: float


class Connector:
    """Makes connections to the first of the server's addresses that answers and takes writes."""

    def __init__(self, url: str, *, timeout_s: float, set_up: str) -> None:
        self._url = url
        self._resolver = Resolver(url)
        self._timeout_s = timeout_s
        self._set_up = set_up
        self._refusals: dict[Target, _Refusal] = {}

    async def __call__(self) -> aiopg.Connection:
        """Return a connection; raises OSError or psycopg2.Error, the last address's."""
        deadline = time.monotonic() + self._timeout_s
        targets = await self._resolver.targets(self._timeout_s)
        *first, last = targets
        for left, target in zip(range(len(targets), 1, -1), first, strict=True):
            share_s = (deadline - time.monotonic()) / left
            if connection := await self._tried(target, share_s):
                return connection
        return await self._connected(last)

    async def _tried(self, target: Target, timeout_s: float) -> aiopg.Connection | None:
        """Connect to an address while there are others; None if that one won't do."""
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connected(target)
        except (psycopg2.Error, OSError):
            return None
        if _takes_writes(connection):
            return connection
        connection.close()
        return None

    async def _connected(self, target: Target) -> aiopg.Connection:
        self._raise_if_refused(target)
        connection = await aiopg.connect(
            self._url,
            timeout=self._timeout_s,
            enable_json=False,
            enable_hstore=False,
            **target.parameters(),
        )
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(self._set_up)
        except BaseException as error:
            connection.close()
            if isinstance(error, psycopg2.ProgrammingError):
                self._refusals[target] = _Refusal(error, time.monotonic())
            raise
        return connection

    def _raise_if_refused(self, target: Target) -> None:
        """Raise what an address has just refused, as it did: its class and code say what it is."""
        since = time.monotonic() - REFUSED_PAUSE_S
        self._refusals = {way: each for way, each in self._refusals.items() if each.at > since}
        if refusal := self._refusals.get(target):
            raise refusal.error.with_traceback(None)  # or it grows with each of those who raise it


def _takes_writes(connection: aiopg.Connection) -> bool:
    return all(connection.raw.get_parameter_status(name) != "on" for name in _READ_ONLY)
