"""A server that stops takes leave of its connections: no request is lost on its way."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from scripts.platform.embedded import LOOPBACK
from service.metrics import Metrics
from service.settings import Settings
from service.web import app_factory
from service.web.ops import Lifecycle
from service.web.server import Application
from tests.support.raw_http import connected, request

FAREWELL_S = 0.5
ALIVE = request("GET", "/health/live")


@pytest.fixture
def leaving() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def served(
    settings: Settings, leaving: asyncio.Event
) -> AsyncIterator[tuple[str, web.AppRunner, Application]]:
    app = app_factory.build_ops(settings, Metrics(version="test", role="api"), Lifecycle())
    app.farewell_s = FAREWELL_S

    async def leave(_: web.Application) -> None:
        leaving.set()
        await app.farewell()

    app.on_shutdown.append(leave)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    yield f"http://{LOOPBACK}:{runner.addresses[0][1]}", runner, app
    await runner.cleanup()


async def test_a_request_on_an_open_connection_is_answered_and_told_to_close(
    served: tuple[str, web.AppRunner, Application], leaving: asyncio.Event
) -> None:
    url, runner, _ = served
    async with connected(url) as connection:
        await connection.send(ALIVE)
        assert "close" not in (await connection.answer()).headers.get("connection", "")
        stopping = asyncio.create_task(runner.cleanup())
        await leaving.wait()
        await connection.send(ALIVE)
        answer = await connection.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await connection.closed()
        began = asyncio.get_running_loop().time()
        await stopping
        assert asyncio.get_running_loop().time() - began < FAREWELL_S, "nobody is left to wait for"


async def test_a_connection_that_stays_idle_is_closed_in_the_end(
    served: tuple[str, web.AppRunner, Application],
) -> None:
    url, runner, _ = served
    async with connected(url) as connection:
        await connection.send(ALIVE)
        await connection.answer()
        await runner.cleanup()
        assert await connection.closed()


async def test_without_a_farewell_idle_connections_are_closed_at_once(
    served: tuple[str, web.AppRunner, Application],
) -> None:
    url, runner, app = served
    app.farewell_s = 0.0
    async with connected(url) as connection:
        await connection.send(ALIVE)
        await connection.answer()
        await runner.cleanup()
        assert await connection.closed()
