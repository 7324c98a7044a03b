"""The database takes no writes for a while: every role says so, loses nothing, and heals."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial

import aiohttp
import pytest

from scripts.platform.client import Client
from tests.support.own_server import OwnServer, own_server_in
from tests.support.services import Service, Services
from tests.support.waiting import eventually

HEALED_S = 45.0
"""Longer than a worker's longest pause."""
BUYERS = 10


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    with own_server_in(tmp_path_factory.mktemp("readonly")) as server:
        yield server


@pytest.fixture
async def server(own_server: OwnServer) -> AsyncIterator[OwnServer]:
    yield own_server
    await own_server.read_only("off")


async def ready(service: Service) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{service.url}/health/ready") as answer,
    ):
        return answer.status


async def until_ready(status: int, *services: Service) -> None:
    """Wait until readiness is answered so."""
    for service in services:
        await eventually(partial(ready, service), lambda seen: seen == status)


async def status_of(client: Client, order_id: str) -> str:
    return str((await client.read(f"/v1/orders/{order_id}"))["status"])


@pytest.mark.timeout(180)
async def test_every_role_answers_for_it_and_heals(
    server: OwnServer, start_service: Services
) -> None:
    start_service.environ["DATABASE_URL"] = server.url
    api, worker = await start_service("api"), await start_service("worker")
    async with api.client("ada") as ada:
        before = await ada.order(["game-1"])
        await server.read_only("on")
        replies = await asyncio.gather(
            *(ada.call("POST", "/v1/orders", json=ORDER) for _ in range(BUYERS)),
            ada.pay(before["id"], key="once"),
        )
        for reply in replies:
            reply.expect(503)
            assert reply.body["code"] == "store_unavailable"
            assert int(reply.headers["Retry-After"]) >= 1
        assert await status_of(ada, before["id"]) == "pending", "what only reads is answered"
        await until_ready(503, api, worker)

        async def failures() -> list[object]:
            return list(worker.records("worker_failed"))

        assert await eventually(failures)
        assert list(api.records("unexpected_error")) == []
        await one_line(api, server)

        await server.read_only("off")
        await until_ready(200, api, worker)
        (await ada.pay(before["id"], key="once")).expect(201)
        await eventually(
            lambda: status_of(ada, before["id"]), lambda s: s == "fulfilled", timeout_s=HEALED_S
        )


ORDER = {"currency": "EUR", "items": [{"game_id": "game-2", "quantity": 1}]}


async def one_line(api: Service, server: OwnServer) -> None:
    """Assert that the operators' command line says it in one sentence."""
    why = ("--as", "olga", "--note", "asked for")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "admin", "replay-message", "1", *why),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**api.environ, "DATABASE_URL": server.url},
    )
    async with asyncio.timeout(60):
        _, err = await process.communicate()
    assert (process.returncode, err.decode()) == (
        1,
        "service admin: The database takes no writes now: it is a standby, or"
        " default_transaction_read_only is on; try again later\n",
    )
