"""Merchants' endpoints on the command line."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from simulator.client import Control
from tests.integration.admin.test_cli import WHY, Cli
from tests.integration.api.conftest import (  # noqa: F401  fixtures
    Api,
    Start,
    clock,
    start_api,
)
from tests.integration.api.merchant_webhooks.sending import buy, send_due
from tests.support.merchant import TAKES_LOOPBACK, Merchant, merchant
from tests.support.services import settings

ADD = ("register-webhook-endpoint", *WHY, "--url")


@pytest.fixture
def cli(database_url: str, simulator: Control) -> Cli:
    environ = settings(database_url=database_url, redis_url="", simulator_url=simulator.url)
    return Cli({**environ, **TAKES_LOOPBACK})


@pytest.fixture
async def api(start_api: Start) -> Api:  # noqa: F811  a fixture
    return await start_api(**TAKES_LOOPBACK)


@pytest.fixture
async def receiver() -> AsyncIterator[Merchant]:
    async with merchant() as found:
        yield found


async def added(cli: Cli, url: str) -> Any:
    made = await cli(*ADD, url, "--event-types", "payment.succeeded", "--json")
    assert made.code == 0, made.err
    return made.body


async def test_an_endpoint_from_its_registration_to_its_end(
    api: Api, cli: Cli, receiver: Merchant
) -> None:
    made = await added(cli, receiver.url)
    identifier = made["endpoint"]["id"]
    async with api.client() as customer:
        await buy(api, customer)
    await send_due(api)
    receiver.messages[0].verify(made["secret"])
    [row] = (await cli("list-webhook-deliveries", identifier, "--json")).body["items"]
    assert (row["status"], row["webhook_id"]) == ("succeeded", receiver.messages[0].id)

    again = await cli("redeliver-webhook", identifier, str(row["id"]), *WHY)
    assert (again.code, "status\tpending\n" in again.out) == (0, True)
    await send_due(api)
    assert receiver.messages[0].body == receiver.messages[1].body
    assert (await cli("test-webhook-endpoint", identifier, *WHY)).code == 0

    rotated = await cli("rotate-webhook-secret", identifier, *WHY)
    assert "secret\twhsec_" in rotated.out
    assert "previous_until\t20" in rotated.out
    shown = await cli("get-webhook-endpoint", identifier)
    assert "whsec_" not in shown.out
    assert "status\tenabled" in shown.out
    disabled = await cli("change-webhook-endpoint", identifier, "--status", "disabled", *WHY)
    assert "status\tdisabled\n" in disabled.out
    assert (await cli("test-webhook-endpoint", identifier, *WHY)).code == 1
    assert (await cli("close-webhook-endpoint", identifier, *WHY)).code == 0
    listed = await cli("list-webhook-endpoints", "--state", "closed")
    assert listed.out.splitlines()[1].split("\t")[0] == identifier


async def test_what_cannot_be_is_said(cli: Cli) -> None:
    inside = await cli(*ADD, "https://10.0.0.1/")
    assert (inside.code, "its address is not public" in inside.err) == (1, True)
    unknown = await cli(*ADD, "https://shop.example/", "--event-types", "payment.lost")
    assert (unknown.code, "invalid choice" in unknown.err) == (2, True)
    missing = await cli("close-webhook-endpoint", str(uuid4()), *WHY)
    assert (missing.code, missing.err) == (1, "service admin: No such webhook endpoint\n")
    bare = await cli(*ADD, "https://shop.example/", WEBHOOK_MASTER_KEYS="")
    assert (bare.code, "not set up" in bare.err) == (1, True)
