"""Proxies that see every exchange between a process and a server, and can stop all traffic.

From outside, a process can die only before a request is sent or after its answer has arrived. The
proxies count these points and stop at one.
"""

import asyncio
import re
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from scripts.platform.embedded import LOOPBACK

MAX_LINE_BYTES: Final = 1_048_576  # of an HTTP head, or of what is read at once
_ID: Final = re.compile(r"\b(ch|re)_\w+")  # each charge has another one
_OVERHEAD: Final = ("SET statement_timeout", "SELECT clock_timestamp()")
"""Statements that belong to no request: a connection's settings, and the time."""


class Point(NamedTuple):
    """A moment of an exchange: `when` is "before" its request goes on or "after" its answer."""

    what: str
    when: str

    def __str__(self) -> str:
        return f"{self.when} {self.what}"


class DroppedError(Exception):
    """The exchange ends here: its process was killed."""


@dataclass
class Gate:
    """Counts points, and stops at the one that is wanted until `drop`."""

    wanted: int = 0
    passed: list[Point] = field(default_factory=list)
    _reached: asyncio.Event = field(default_factory=asyncio.Event)
    _dropped: asyncio.Event = field(default_factory=asyncio.Event)
    _armed: bool = False

    def arm(self, wanted: int) -> None:
        """Count from now; stop at point number `wanted`, the first being 1."""
        self.wanted, self.passed, self._armed = wanted, [], True
        self._reached, self._dropped = asyncio.Event(), asyncio.Event()

    def drop(self) -> None:
        """Drop the stopped exchanges, and stop counting."""
        self._armed = False
        self._dropped.set()

    async def reached(self) -> Point:
        """Wait for the wanted point; return it."""
        await self._reached.wait()
        return self.passed[-1]

    async def pass_by(self, what: str, when: str) -> None:
        """Count a point. Raises DroppedError at the wanted one."""
        if not self._armed or not what:
            return
        if self._reached.is_set():  # all traffic is stopped
            await self._dropped.wait()
            raise DroppedError
        self.passed.append(Point(what, when))
        if len(self.passed) == self.wanted:
            self._reached.set()
            await self._dropped.wait()
            raise DroppedError


Requests = Callable[[StreamReader], AsyncIterator[tuple[str, bytes]]]
"""Yields each message of a client with its name; an empty name begins no exchange."""

Answers = Callable[[StreamReader], AsyncIterator[tuple[bool, bytes]]]
"""Yields each message of a server, and whether it ends an answer."""


@dataclass
class ExchangeProxy:
    """A proxy to one server whose exchanges pass a gate."""

    gate: Gate
    host: str
    port: int
    requests: Requests
    answers: Answers
    listens_at: int = 0
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Listen on a free port."""
        server = await asyncio.start_server(self._accept, LOOPBACK, 0, limit=MAX_LINE_BYTES)
        self.listens_at = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.gate.drop()
            for connection in self._serving:
                connection.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, client: StreamReader, to_client: StreamWriter) -> None:
        connection = asyncio.create_task(self._connected(client, to_client))
        self._serving.add(connection)
        connection.add_done_callback(self._serving.discard)

    async def _connected(self, client: StreamReader, to_client: StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self.host, self.port)
        current = [""]
        pumps = [
            asyncio.create_task(self._up(client, to_server, current)),
            asyncio.create_task(self._down(server, to_client, current)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            to_server.transport.abort()
            to_client.transport.abort()

    async def _up(self, client: StreamReader, server: StreamWriter, current: list[str]) -> None:
        with suppress(DroppedError, IncompleteReadError, OSError):
            async for what, message in self.requests(client):
                current[0] = what or current[0]
                await self.gate.pass_by(what, "before")
                server.write(message)
                await server.drain()

    async def _down(self, server: StreamReader, client: StreamWriter, current: list[str]) -> None:
        waiting: list[bytes] = []
        with suppress(DroppedError, IncompleteReadError, OSError):
            async for is_last, message in self.answers(server):
                waiting.append(message)
                if current[0] and not is_last:
                    continue
                if is_last:
                    await self.gate.pass_by(current[0], "after")
                    current[0] = ""
                client.write(b"".join(waiting))
                waiting.clear()
                await client.drain()


def postgres_proxy(gate: Gate, host: str, port: int) -> ExchangeProxy:
    """Return a proxy to PostgreSQL; the connection must not ask for TLS."""
    return ExchangeProxy(gate, host, port, _statements, _results)


def http_proxy(gate: Gate, host: str, port: int) -> ExchangeProxy:
    """Return a proxy to a server of HTTP/1.1 whose messages have a Content-Length."""
    return ExchangeProxy(gate, host, port, _http_requests, _http_answers)


async def _statements(client: StreamReader) -> AsyncIterator[tuple[str, bytes]]:
    size = await client.readexactly(4)  # the first message has no type
    yield "", size + await client.readexactly(int.from_bytes(size, "big") - 4)
    while True:
        kind, message = await _postgres_message(client)
        sql = message[5:-1].decode() if kind == b"Q" else ""
        yield "" if sql.startswith(_OVERHEAD) else _summary(sql), message


async def _results(server: StreamReader) -> AsyncIterator[tuple[bool, bytes]]:
    while True:
        kind, message = await _postgres_message(server)
        yield kind == b"Z", message


async def _postgres_message(reader: StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)


def _summary(sql: str) -> str:
    """Return a statement's beginning, as its name."""
    return " ".join(sql.split("(", 1)[0].split())[:60] if sql else ""


async def _http_requests(client: StreamReader) -> AsyncIterator[tuple[str, bytes]]:
    while True:
        message = await _http_message(client)
        method, path, _ = message.split(b"\r\n", 1)[0].decode().split(" ")
        yield f"{method} {_ID.sub('{id}', path.split('?')[0])}", message


async def _http_answers(server: StreamReader) -> AsyncIterator[tuple[bool, bytes]]:
    while True:
        yield True, await _http_message(server)


async def _http_message(reader: StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            raise ValueError("a message in chunks: this proxy counts lengths")
    return head + await reader.readexactly(length)
