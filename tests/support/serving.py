"""Serve an aiohttp application that stands in for somebody else's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from scripts.platform.embedded import LOOPBACK


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """Serve an application on a free port of this machine; give its URL."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
