"""The server's side of a connection, where aiohttp's own answers and bounds don't fit.

aiohttp answers what is no HTTP by itself, in plain text under its own name and version, and lets a
handler wait for ever for a body that turned out to be none. It offers no hook for either, so its
protocol is subclassed here and nowhere else; tests over raw sockets hold what it relies on
(`tests/unit/service/web/test_bodies.py`).
"""

import asyncio
import secrets
import warnings
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

from service import logs
from service.errors import InternalError, MalformedRequestError
from service.web.middleware import set_headers
from service.web.problem import answer_of

FAREWELL_POLL_S: Final = 0.05
LINGERING_S: Final = 2.0
"""How long the rest of a body that nobody reads is read and dropped, so that the client gets to the
answer before a reset: a round trip and what 64 KiB take on a slow line."""

HANDLER_ARGS: Final = {
    "handler_cancellation": False,  # a client that hangs up must not stop a payment half-way
    "access_log": None,
    "auto_decompress": False,  # a bomb would be inflated in the loop, also if nobody reads it
    "lingering_time": LINGERING_S,
}
"""How every app of ours is served."""

Observe = Callable[[int], None]
"""Called with the status of an answer that no middleware has seen."""

_log = logs.get_logger(__name__)

with warnings.catch_warnings():
    # "Inheritance from web.Application is discouraged": nothing else leads to the protocol.
    warnings.simplefilter("ignore", DeprecationWarning)

    class Application(web.Application):
        """An application whose connections answer all input with our problem documents."""

        ATTRS = web.Application.ATTRS | frozenset(
            {"_observe", "_servers", "_leaving", "farewell_s"}
        )

        farewell_s: float
        """How long idle connections stay open when the application stops; 0 closes them at once."""

        def __init__(self, *, observe: Observe, **options: Any) -> None:
            super().__init__(handler_args=HANDLER_ARGS, **options)
            self._observe = observe
            self._servers: list[_Server] = []
            self._leaving = False
            self.farewell_s = 0.0
            self.on_response_prepare.append(self._say_close)

        def _make_handler(self, **options: Any) -> Server:
            server = _Server(super()._make_handler(**options), self)
            self._servers.append(server)
            return server

        async def farewell(self) -> None:
            """Let each client learn by its next answer that the connection ends.

            One that is closed while a request is on its way to it loses that request, and a client
            can't tell whether it was served (RFC 9112, 9.6). Ends when no connection is left, and
            after `farewell_s`; then those that were idle all the time are closed.
            """
            self._leaving = True
            loop = asyncio.get_running_loop()
            deadline = loop.time() + self.farewell_s
            while self._connected() and loop.time() < deadline:  # noqa: ASYNC110  no event tells
                await asyncio.sleep(FAREWELL_POLL_S)
            for server in self._servers:
                server.close_idle()

        def _connected(self) -> bool:
            return any(server.connections for server in self._servers)

        async def _say_close(self, _request: web.Request, response: web.StreamResponse) -> None:
            if self._leaving:
                response.headers["Connection"] = "close"
                response.force_close()


class _Server(Server):
    """Makes our kind of connection, and is in all else the server that it is made from."""

    def __init__(self, made: Server, application: "Application") -> None:
        super().__init__(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,  # noqa: SLF001  the library has it nowhere else
            **made._kwargs,  # noqa: SLF001
        )
        self._application = application

    def __call__(self) -> RequestHandler:
        observe = self._application._observe  # noqa: SLF001  our own
        return _Connection(self, observe, loop=self._loop, **self._kwargs)

    def pre_shutdown(self) -> None:
        """Close idle connections, unless the application takes its leave of them first."""
        if not self._application.farewell_s:
            self.close_idle()

    def close_idle(self) -> None:
        super().pre_shutdown()


class _Connection(RequestHandler):
    """A connection."""

    __slots__ = ("_observe",)

    def __init__(self, server: Server, observe: Observe, **options: Any) -> None:
        super().__init__(server, **options)
        self._observe = observe

    def data_received(self, data: bytes) -> None:
        """Parse; a body that turns out to be no HTTP ends the wait of who reads it."""
        super().data_received(data)
        if not self._messages or isinstance(self._messages[-1][0], RawRequestMessage):
            return
        bodies = [payload for _, payload in self._messages]
        if self._current_request is not None:
            bodies.append(self._current_request.content)
        for body in bodies:
            if not body.is_eof():
                self._messages.pop()  # the error is this request's: no answer of its own
                body.set_exception(web.RequestPayloadError("no HTTP"))
                body.feed_eof()
                self.close()
                return

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what no middleware has: bytes that are no HTTP, or a defect of a middleware."""
        del status, message
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        identifier = secrets.token_hex(16)
        if isinstance(exc, HttpProcessingError):
            # Any scanner can send it: a note, and no traceback each time.
            _log.info(
                "http_request_unreadable", correlation_id=identifier, error=type(exc).__name__
            )
            error: InternalError | MalformedRequestError = MalformedRequestError()
        else:
            _log.error("unexpected_error", correlation_id=identifier, exc_info=exc)
            error = InternalError()
        self._observe(error.status)
        answer = answer_of(error, identifier)
        set_headers(answer, identifier)
        answer.force_close()
        return answer
