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
from tests.integration.api.test_merchant_webhooks import buy, tell
from tests.support.merchant import TAKES_LOOPBACK, Merchant, merchant
from tests.support.services import settings


@pytest.fixture
def cli(database_url: str, simulator: Control) -> Cli:
    environ = settings(database_url=database_url, redis_url="", simulator_url=simulator.url)
    return Cli({**environ, **TAKES_LOOPBACK})


@pytest.fixture
async def api(start_api: Start) -> Api:  # noqa: F811  a fixture
    return await start_api(**TAKES_LOOPBACK)


@pytest.fixture
async def harness() -> AsyncIterator[Merchant]:
    async with merchant() as found:
        yield found


async def added(cli: Cli, url: str) -> Any:
    made = await cli("endpoint-add", url, "--event", "payment.succeeded", *WHY, "--json")
    assert made.code == 0, made.err
    return made.body


async def test_an_endpoint_from_its_registration_to_its_end(
    api: Api, cli: Cli, harness: Merchant
) -> None:
    made = await added(cli, harness.url)
    identifier = made["endpoint"]["id"]
    async with api.client() as customer:
        await buy(api, customer)
    await tell(api)
    harness.messages[0].verify(made["secret"])
    [row] = (await cli("deliveries", identifier, "--json")).body["deliveries"]
    assert (row["status"], row["webhook_id"]) == ("succeeded", harness.messages[0].id)

    again = await cli("redeliver", identifier, str(row["id"]), *WHY)
    assert (again.code, "is due now; the worker sends it" in again.out) == (0, True)
    await tell(api)
    assert harness.messages[0].body == harness.messages[1].body
    assert (await cli("endpoint-test", identifier, *WHY)).code == 0

    rotated = await cli("endpoint-rotate", identifier, *WHY)
    assert "secret\twhsec_" in rotated.out
    assert "old secret signs until" in rotated.out
    shown = await cli("endpoint", identifier)
    assert "whsec_" not in shown.out
    assert "status\tenabled" in shown.out
    disabled = await cli("endpoint-set", identifier, "--status", "disabled", *WHY)
    assert disabled.out == f"endpoint {identifier} is disabled: {harness.url}\n"
    assert (await cli("endpoint-test", identifier, *WHY)).code == 1
    assert (await cli("endpoint-close", identifier, *WHY)).code == 0
    listed = await cli("endpoints", "--state", "closed")
    assert listed.out.splitlines()[1].split("\t")[0] == identifier


async def test_what_cannot_be_is_said(cli: Cli) -> None:
    inside = await cli("endpoint-add", "https://10.0.0.1/", *WHY)
    assert (inside.code, "its address is not public" in inside.err) == (1, True)
    unknown = await cli("endpoint-add", "https://shop.example/", "--event", "payment.lost", *WHY)
    assert (unknown.code, "invalid choice" in unknown.err) == (2, True)
    missing = await cli("endpoint-close", str(uuid4()), *WHY)
    assert (missing.code, missing.err) == (1, "service admin: No such webhook endpoint\n")
    bare = await cli("endpoint-add", "https://shop.example/", *WHY, WEBHOOK_MASTER_KEYS="")
    assert (bare.code, "not set up" in bare.err) == (1, True)
