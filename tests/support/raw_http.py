"""Requests that no HTTP library would send, and the meter of what they do to an event loop."""

import asyncio
import socket
import struct
import time
import zlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from yarl import URL

ANSWER_TIMEOUT_S: Final = 20.0
"""For an answer that should take milliseconds, on a machine that others keep busy."""

RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s: close sends RST
TICK_S: Final = 0.001
BLOCK: Final = b" " * 1_048_576


@dataclass(frozen=True)
class RawAnswer:
    """An answer as it arrived."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """Return the problem document."""
        assert self.headers["content-type"] == "application/problem+json", self.headers
        document: dict[str, Any] = msgspec.json.decode(self.body)
        return document


@dataclass
class Stall:
    """The longest time that the loop turned for nobody else, in seconds of its thread's CPU."""

    longest_s: float = 0.0


@dataclass(frozen=True)
class RawConnection:
    """A connection over which a test sends bytes."""

    reader: StreamReader
    writer: StreamWriter

    async def send(self, data: bytes) -> None:
        """Send, unless the server has closed."""
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def answer(self) -> RawAnswer:
        """Return the next answer."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").rstrip().split("\r\n")
            pairs = (line.split(": ", 1) for line in lines)
            headers = {name.lower(): value for name, value in pairs}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return RawAnswer(int(first.split()[1]), headers, body)

    async def closed(self) -> bool:
        """Wait until the server closes; return whether it sent nothing more."""
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            with suppress(ConnectionError):
                return await self.reader.read() == b""
            return True

    def reset(self) -> None:
        """Close with a RST, as a client that crashes does."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.writer.transport.abort()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[RawConnection]:
    """Connect to a server."""
    at = URL(url)
    reader, writer = await asyncio.open_connection(str(at.host), at.port)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.transport.abort()


def request(method: str, path: str, *lines: str, body: bytes = b"") -> bytes:
    """Return a request with further header lines; its length is added unless a line gives it."""
    framed = any(line.lower().startswith(("content-length", "transfer-encoding")) for line in lines)
    length = () if framed else (f"Content-Length: {len(body)}",)
    head = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: x", *lines, *length))
    return head.encode() + b"\r\n\r\n" + body


def bomb(megabytes: int) -> bytes:
    """Return a gzip stream that unpacks into so many megabytes, a thousandth of that long."""
    packer = zlib.compressobj(9, wbits=31)
    head = packer.compress(BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * (megabytes - 1)  # no end: who waits for it has unpacked all the rest


@asynccontextmanager
async def longest_stall() -> AsyncIterator[Stall]:
    """Measure the longest stall of this thread's loop; of its CPU, so that no neighbour counts."""
    stall = Stall()

    async def tick() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(TICK_S)
            stall.longest_s = max(stall.longest_s, time.thread_time() - before)

    ticking = asyncio.create_task(tick())
    try:
        yield stall
        await asyncio.sleep(2 * TICK_S)  # what has just happened counts too
    finally:
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
