"""A relay before PostgreSQL that counts: statements, round trips and transactions.

It reads the server's side of the protocol (PostgreSQL's documentation, "Message Formats"): every
statement ends with CommandComplete, or with PortalSuspended if its client wants no more rows, and
every round trip with ReadyForQuery, which says whether a transaction is still open. It runs in a
thread of its own, in passes that are not timed.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from scripts.platform.embedded import LOOPBACK

CHUNK_BYTES: Final = 65_536
START_TIMEOUT_S: Final = 10.0
STATEMENT_ENDS: Final = b"Cs"
"""CommandComplete and PortalSuspended."""
READY_FOR_QUERY: Final = ord("Z")
IDLE: Final = ord("I")
_HEAD_BYTES: Final = 5
_ENCRYPTION_REQUESTS: Final = (80877103, 80877104)
"""SSLRequest and GSSENCRequest; both are refused with one byte."""


@dataclass
class Counts:
    """What went through, in all connections together."""

    statements: int = 0
    round_trips: int = 0
    transactions: int = 0


class Reader:
    """Reads the server's messages on one connection, in whatever pieces they come."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Count the messages that are complete now."""
        rest, at = self._rest + data, 0
        while len(rest) - at >= _HEAD_BYTES:
            end = at + 1 + int.from_bytes(rest[at + 1 : at + _HEAD_BYTES])
            if len(rest) < end:
                break
            if rest[at] in STATEMENT_ENDS:
                self._counts.statements += 1
            elif rest[at] == READY_FOR_QUERY:
                self._counts.round_trips += 1
                self._counts.transactions += rest[at + _HEAD_BYTES] == IDLE
            at = end
        self._rest = rest[at:]


class Relay:
    """Where to connect instead, and what has gone through."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._counts = Counts()
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0

    def counts(self) -> Counts:
        """Return a copy of the counts."""
        return replace(self._counts)

    async def serve(self, started: threading.Event, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        server = await asyncio.start_server(self._accepted, LOOPBACK, 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._relay(reader, writer)
        writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(8)
        while int.from_bytes(first[4:]) in _ENCRYPTION_REQUESTS:
            writer.write(b"N")
            first = await reader.readexactly(8)
        there, upstream = await asyncio.open_connection(*self._upstream)
        upstream.write(first)
        ways = {
            asyncio.create_task(_copy(reader, upstream)),
            asyncio.create_task(_copy(there, writer, Reader(self._counts))),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            upstream.close()


async def _copy(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, counted: Reader | None = None
) -> None:
    with suppress(OSError):  # one of both has closed its connection
        while data := await source.read(CHUNK_BYTES):
            if counted is not None:
                counted.feed(data)
            target.write(data)
            await target.drain()


@contextmanager
def relay(database_url: str) -> Iterator[tuple[Relay, str]]:
    """Run a relay; give it with the URL that leads through it."""
    parts = urlsplit(database_url)
    made = Relay(parts.hostname or LOOPBACK, parts.port or 5432)
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(made.serve(started, stop),))
    thread.start()
    try:
        if not started.wait(START_TIMEOUT_S):
            raise RuntimeError("the relay before PostgreSQL did not start")
        login = parts.netloc.rpartition("@")[0]
        host = f"{login}@{LOOPBACK}:{made.port}"
        yield made, urlunsplit(parts._replace(netloc=host))
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_TIMEOUT_S)
        loop.close()
