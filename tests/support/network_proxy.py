"""A TCP connection to a server that a test can make slow, silent, or cut."""

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Self

from yarl import URL

from scripts.platform.embedded import LOOPBACK, free_port

CHUNK_BYTES: Final = 65_536
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s: close sends RST


@dataclass
class NetworkProxy:
    """A proxy to the server at `target`; while nothing is done to it, it passes everything on."""

    target: URL
    listens_at: int = field(default_factory=free_port)
    delay_s: float = 0.0
    """How much later everything arrives, in each direction."""

    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _serving: dict[asyncio.Task[None], StreamWriter] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Return the target's URL through this proxy."""
        return str(self.target.with_port(self.listens_at)).rstrip("/")

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Listen until the end."""
        await self.restore()
        try:
            yield self
        finally:
            await self.refuse()

    async def restore(self) -> None:
        """Pass everything on, also what was held back."""
        self.delay_s = 0.0
        self._flows.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, LOOPBACK, self.listens_at)

    def silence(self) -> None:
        """Take connections and bytes, and pass nothing on: a black hole."""
        self._flows.clear()

    async def cut(self) -> None:
        """Reset every connection; new ones are taken."""
        for connection, to_client in list(self._serving.items()):
            client: socket.socket = to_client.get_extra_info("socket")
            with suppress(OSError):  # it may have gone by itself
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            connection.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def refuse(self) -> None:
        """Reset every connection and take no new ones: the server is gone."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    def _accept(self, client: StreamReader, to_client: StreamWriter) -> None:
        connection = asyncio.create_task(self._connected(client, to_client))
        self._serving[connection] = to_client
        connection.add_done_callback(self._serving.pop)

    async def _connected(self, client: StreamReader, to_client: StreamWriter) -> None:
        try:
            await self._flows.wait()
            host, port = str(self.target.host), self.target.port or 0
            server, to_server = await asyncio.open_connection(host, port)
        except (OSError, asyncio.CancelledError):
            to_client.transport.abort()
            return
        pumps = [
            asyncio.create_task(self._pump(client, to_server)),
            asyncio.create_task(self._pump(server, to_client)),
        ]
        with suppress(asyncio.CancelledError):  # cut
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        to_server.transport.abort()
        to_client.transport.abort()

    async def _pump(self, source: StreamReader, sink: StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)  # a slow network; no wait for an event
                await self._flows.wait()
                sink.write(data)
                await sink.drain()
