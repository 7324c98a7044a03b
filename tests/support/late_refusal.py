"""A way to the provider on which refunds and charges are refused, as late as a test likes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from scripts.platform.embedded import LOOPBACK

SURELY_NOT_SENT: Final = 429
"""The provider's gateway says so before it looks at the request."""
PASSED_ON: Final = ("Authorization", "Idempotency-Key", "Content-Type")


class LateRefusal:
    """Passes everything on but the requests that end like `refused`; those wait for `answer`."""

    def __init__(self, target: str, refused: str) -> None:
        self.url = ""
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self._target = target
        self._refused = refused

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        if request.method == "POST" and request.path.endswith(self._refused):
            self.asked.set()
            await self.answer.wait()
            return web.json_response({"error": {"code": "busy"}}, status=SURELY_NOT_SENT)
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(
                request.method, self._target + request.path_qs, data=await request.read()
            ) as found,
        ):
            return web.Response(
                status=found.status, body=await found.read(), content_type=found.content_type
            )


@asynccontextmanager
async def late_refusal(target: str, refused: str) -> AsyncIterator[LateRefusal]:
    """Serve one until the end."""
    refusal, app = LateRefusal(target, refused), web.Application()
    app.router.add_route("*", "/{path:.*}", refusal.handle)
    async with TestServer(app, host=LOOPBACK) as server:
        refusal.url = str(server.make_url("")).rstrip("/")
        yield refusal
