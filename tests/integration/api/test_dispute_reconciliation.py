"""Reconciliation finds disputes whose events never came."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api, Start
from tests.integration.api.test_reconciliation import differences, kinds, run
from tests.support.disputes import charge_of, disputed, paid, rows
from tests.support.services import ADMIN

HOUR = {"hours": 1}


@pytest.fixture
async def api(start_api: Start) -> Api:
    return await start_api(RECONCILIATION_GRACE_S="60")


@pytest.fixture
async def operator(api: Api) -> AsyncIterator[Client]:
    async with api.client("olga", ADMIN) as client:
        yield client


async def dispute_without_event(api: Api, buyer: Client, **options: Any) -> dict[str, Any]:
    """Let a payment be disputed an hour ago, without an event."""
    await paid(api, buyer)
    await api.simulator.send_webhooks("", "")
    dispute = await api.simulator.dispute(await charge_of(api), **options)
    api.clock.forward(**HOUR)
    return dispute


async def test_a_dispute_that_nobody_told_of_is_brought_home(
    api: Api, ada: Client, operator: Client
) -> None:
    dispute = await dispute_without_event(api, ada)
    assert (await run(api, operator))["status"] == "succeeded"
    [row] = await rows(api)
    assert (row["provider_ref"], row["status"]) == (dispute["id"], "needs_response")
    assert await differences(operator) == []
    await api.sound()


async def test_a_status_that_nobody_told_of_is_brought_home(
    api: Api, ada: Client, operator: Client
) -> None:
    """It began long before the window: what is open is asked for by name."""
    await paid(api, ada)
    dispute = await disputed(api)
    await api.simulator.send_webhooks("", "")
    await api.simulator.change_dispute(dispute["id"], "lose")
    api.clock.forward(days=25)
    await run(api, operator)
    [row] = await rows(api)
    assert row["status"] == "lost"
    assert await differences(operator) == []
    await api.sound()


async def test_a_dispute_of_no_payment_of_ours_is_a_difference(
    api: Api, ada: Client, operator: Client
) -> None:
    dispute = await dispute_without_event(api, ada, currency="USD")
    await run(api, operator)
    [found] = await differences(operator)
    assert (found["kind"], found["source"], found["subject"]) == (
        "dispute_missing_here",
        "simulator",
        dispute["id"],
    )
    assert found["ours"] == {}
    assert "USD" in found["theirs"]["error"]
    await run(api, operator)
    [again] = await differences(operator)
    assert (again["id"], again["times_seen"]) == (found["id"], 2)


async def test_a_dispute_that_the_provider_has_lost_is_a_difference(
    api: Api, ada: Client, operator: Client
) -> None:
    await paid(api, ada)
    dispute = await disputed(api)
    shown = await api.simulator.state()
    await api.simulator.reset()
    api.clock.forward(**HOUR)
    await run(api, operator)
    assert "dispute_differs" in await kinds(operator)
    [found] = [d for d in await differences(operator) if d["kind"] == "dispute_differs"]
    assert found["subject"] == dispute["id"] == shown["disputes"][0]["id"]
    assert found["ours"]["status"] == "needs_response"


async def test_a_provider_that_does_not_answer_fails_the_run(
    api: Api, ada: Client, operator: Client
) -> None:
    await paid(api, ada)
    dispute = await disputed(api)
    api.clock.forward(**HOUR)
    await api.simulator.fault("provider.dispute", "status", status=500)
    ended = await run(api, operator)
    assert (ended["status"], "simulator" in ended["error"]) == ("failed", True)
    assert await differences(operator) == []
    await api.simulator.clear_faults()
    await api.simulator.change_dispute(dispute["id"], "submit")
    assert (await run(api, operator))["status"] == "succeeded"
    assert [row["status"] for row in await rows(api)] == ["under_review"]
