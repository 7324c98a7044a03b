"""Operators' commands about disputes, as processes."""

import pytest

from scripts.platform.client import Client
from simulator.client import Control
from tests.integration.admin.test_cli import WHY, Cli
from tests.integration.api.conftest import (  # noqa: F401  fixtures
    Api,
    ada,
    api,
    clock,
    start_api,
)
from tests.support.disputes import changed, charge_of, disputed, paid, process_webhooks, rows
from tests.support.services import settings


@pytest.fixture
def cli(database_url: str, simulator: Control) -> Cli:
    """Give the commands on the test's database."""
    return Cli(settings(database_url=database_url, redis_url="", simulator_url=simulator.url))


async def test_disputes_are_listed_and_closed(api: Api, ada: Client, cli: Cli) -> None:  # noqa: F811
    payment = await paid(api, ada)
    dispute = await disputed(api, amount=500)
    listed = await cli("list-disputes", "--json", "--status", "needs_response")
    assert listed.code == 0, listed.err
    [shown] = listed.body["items"]
    assert (shown["provider_ref"], shown["payment_id"]) == (dispute["id"], payment["id"])
    assert (await cli("list-disputes", "--json", "--status", "won")).body["items"] == []

    await changed(api, dispute, "lose")
    review = await cli("list-review")
    assert f"dispute\t{shown['id']}" in review.out
    ended = await cli("close-dispute-review", shown["id"], "--revoke", *WHY)
    assert (ended.code, "status\tlost\n" in ended.out) == (0, True)
    again = await cli("close-dispute-review", shown["id"], *WHY)
    assert again.code == 1
    assert "waiting for a person" in again.err
    assert await api.deliver() == 1
    detail = await cli("get-payment-detail", payment["id"])
    assert dispute["id"] in detail.out
    [row] = await rows(api)
    assert row["review"] is None


async def test_a_warning_is_closed(api: Api, ada: Client, cli: Cli) -> None:  # noqa: F811
    await paid(api, ada)
    await api.simulator.warn(await charge_of(api))
    await process_webhooks(api)
    [row] = await rows(api, "fraud_warnings")
    ended = await cli("close-fraud-warning", row["id"], *WHY)
    assert (ended.code, "status\tclosed\n" in ended.out) == (0, True)
