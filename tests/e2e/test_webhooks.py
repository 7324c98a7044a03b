"""Webhooks between real processes: acknowledged by one, processed by another, killed in between."""

import asyncio

import aiohttp

from simulator.client import Control
from tests.support.services import ADMIN, SIMULATOR_SECRETS, Service, Services

SECRET = SIMULATOR_SECRETS["SIMULATOR_WEBHOOK_SECRETS"]


async def start_api(start_service: Services, simulator: Control) -> Service:
    """Start an API that the simulator tells of every change."""
    api = await start_service("api")
    await simulator.send_webhooks(f"{api.url}/v1/webhooks/simulator", SECRET)
    return api


async def test_a_buyer_acts_at_the_provider_and_gets_the_game(
    start_service: Services, simulator: Control
) -> None:
    api, _ = await start_api(start_service, simulator), await start_service("worker")
    async with api.client("ada", ADMIN) as ada:
        order = await ada.order(["game-7"])
        payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
        [charge] = (await simulator.state())["charges"]
        await simulator.complete(charge["id"])
        await ada.until_status(f"/v1/payments/{payment['id']}", "succeeded")
        await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
        money = await ada.read("/v1/admin/invariants")
    assert set(money["invariants"].values()) == {0}


async def test_killed_between_the_acknowledgement_and_the_work(
    start_service: Services, simulator: Control
) -> None:
    """The event is on disk: whoever comes next processes it, and the buyer need not come back."""
    api = await start_api(start_service, simulator)
    async with api.client("ada") as ada:
        order = await ada.order(["game-7"])
        payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    [charge] = (await simulator.state())["charges"]
    await simulator.complete(charge["id"])
    await simulator.until("webhooks", 2)
    api.child.kill()
    worker = await start_service("worker")
    again = await start_service("api")
    async with again.client("ada", ADMIN) as ada:
        await ada.until_status(f"/v1/payments/{payment['id']}", "succeeded")
        money = await ada.read("/v1/admin/invariants")
    assert set(money["invariants"].values()) == {0}
    assert any(worker.records("webhook_processed"))


async def test_late_money_is_given_back_and_said_so(
    start_service: Services, simulator: Control
) -> None:
    api, worker = await start_api(start_service, simulator), await start_service("worker")
    async with api.client("ada") as ada:
        order = await ada.order(["game-7"])
        payment = (await ada.pay(order["id"], payment_method="pm_declined")).expect(201).body
        [charge] = (await simulator.state())["charges"]
        await simulator.complete(charge["id"], late=True)
        await simulator.until("refunds", 1)
        assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "failed"

        async def counted() -> str:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{worker.ops_url}/metrics") as m,
            ):
                return await m.text()

        assert 'orphan_captures_total{provider="simulator"} 1.0' in await counted()
    [said] = worker.records("orphan_capture_recorded")
    assert (said["level"], said["payment_id"]) == ("error", payment["id"])
    assert said["amount_minor"] == order["total"]


async def test_a_hundred_payments_and_their_webhooks_are_each_recorded_once(
    start_service: Services, simulator: Control
) -> None:
    start_service.environ["BREAKER_FAILURES"] = "1000"  # so many lost answers would open it
    api, _ = await start_api(start_service, simulator), await start_service("worker")
    for fault in ("duplicate", "reorder"):
        await simulator.fault("provider.webhook", fault, times=20)
    await simulator.fault("provider.charge", "reset_after", times=30)

    async def buy(number: int) -> None:
        async with api.client(f"user-{number}") as buyer:
            order = await buyer.order(["game-7"])
            payment = (await buyer.pay(order["id"])).expect(201, 202).body
            assert payment["status"] in ("succeeded", "unknown"), payment
            await buyer.until_status(f"/v1/orders/{order['id']}", "fulfilled")

    await asyncio.gather(*map(buy, range(100)))
    state = await simulator.state()
    assert len(state["charges"]) == 100
    assert state["refunds"] == []
    async with api.client("auditor", ADMIN) as auditor:
        money = await auditor.read("/v1/admin/invariants")
    assert set(money["invariants"].values()) == {0}
