"""A process is killed where it hurts most: between the provider's charge and the commit."""

import asyncio
import signal
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from scripts.platform import embedded
from scripts.platform.client import Client
from simulator.client import Control
from tests.support.leases import end_leases
from tests.support.services import ADMIN, Service, Services
from tests.support.waiting import eventually


async def killed_while_held(
    api: Service, simulator: Control, fault: str, key: str
) -> dict[str, str]:
    """Pay an order and kill the API while the provider holds the charge; return the order.

    The charge is held still: it takes effect, or has taken it, and nobody hears of it.
    """
    await simulator.fault("provider.charge", fault)
    async with api.client("ada") as ada:
        order = await ada.order(["game-7"])
        paying = asyncio.create_task(ada.pay(order["id"], key=key))
        await simulator.until_held("provider.charge")
        api.child.kill()
        with pytest.raises(aiohttp.ClientError):
            await paying
    await end_leases(api.environ["DATABASE_URL"])
    return order


async def exactly_one_of_everything(client: Client, simulator: Control, order_id: str) -> None:
    await client.until_status(f"/v1/orders/{order_id}", "fulfilled")
    payments = (await client.read(f"/v1/payments?order_id={order_id}"))["items"]
    assert [payment["status"] for payment in payments] == ["succeeded"]
    state = await simulator.state()
    assert [charge["status"] for charge in state["charges"]] == ["succeeded"], state["charges"]
    assert [grant["revoked"] for grant in state["grants"]] == [False]
    entries = (await client.read(f"/v1/admin/ledger?payment_id={payments[0]['id']}"))["items"]
    assert sum(entry["amount"] for entry in entries) == 0
    assert len({entry["transaction_id"] for entry in entries}) == 1
    money = await client.until(
        "/v1/admin/invariants", lambda body: not any(body["pending"].values())
    )
    assert set(money["invariants"].values()) == {0}


@pytest.mark.parametrize("fault", ["hold_after", "hold_before"])
async def test_killed_between_charge_and_commit(
    start_service: Services, simulator: Control, fault: str
) -> None:
    """The workers find out by themselves; the customer need not come back."""
    order = await killed_while_held(await start_service("api"), simulator, fault, str(uuid4()))
    assert await simulator.release() == 1
    await start_service("worker")
    again = await start_service("api")
    async with again.client("ada", ADMIN) as ada:
        await exactly_one_of_everything(ada, simulator, order["id"])


async def test_a_charge_that_arrives_after_its_repair_is_the_same_charge(
    start_service: Services, simulator: Control
) -> None:
    """The provider has no record when it is asked: the request is still on its way."""
    key = str(uuid4())
    order = await killed_while_held(await start_service("api"), simulator, "hold_before", key)
    await start_service("worker")
    again = await start_service("api")
    async with again.client("ada", ADMIN) as ada:
        await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
        assert await simulator.release() == 1
        await exactly_one_of_everything(ada, simulator, order["id"])


async def test_the_customer_repeats_the_request_after_the_crash(
    start_service: Services, simulator: Control
) -> None:
    """The key leads to the payment that was begun, and not to a second charge."""
    key = str(uuid4())
    order = await killed_while_held(await start_service("api"), simulator, "hold_after", key)
    assert await simulator.release() == 1
    again = await start_service("api")
    async with again.client("ada", ADMIN) as ada:
        reply = await eventually(
            lambda: ada.pay(order["id"], key=key), lambda reply: reply.status != 409
        )
        assert reply.expect(201, 202).body["order_id"] == order["id"]
        await start_service("worker")
        await exactly_one_of_everything(ada, simulator, order["id"])


async def test_a_worker_killed_after_the_grant_grants_once(
    start_service: Services, simulator: Control
) -> None:
    api, worker = await start_service("api"), await start_service("worker")
    await simulator.fault("library.grant", "hold_after")
    async with api.client("ada", ADMIN) as ada:
        order = await ada.order(["game-7"])
        (await ada.pay(order["id"])).expect(201)
        await simulator.until_held("library.grant")
        worker.child.kill()
        await end_leases(worker.environ["DATABASE_URL"])
        assert await simulator.release() == 1
        await start_service("worker")
        await exactly_one_of_everything(ada, simulator, order["id"])


async def test_sigterm_drains_what_has_begun(start_service: Services, simulator: Control) -> None:
    api = await start_service("api")
    await simulator.fault("provider.charge", "hold_before")
    async with api.client("ada") as ada:
        order = await ada.order(["game-7"])
        paying = asyncio.create_task(ada.pay(order["id"]))
        await simulator.until_held("provider.charge")
        api.child.signal(signal.SIGTERM)
        await until_logged(api, "draining")
        assert await simulator.release() == 1
        assert (await paying).expect(201).body["status"] == "succeeded"
    assert await asyncio.wait_for(api.child.exited(), 20) == 0


async def until_logged(service: Service, event: str) -> None:
    async def logged() -> bool:
        return any(service.records(event))

    await eventually(logged)


@pytest.mark.parametrize("fault", ["hold_before", "hold_after"])
async def test_killed_in_a_refund(start_service: Services, simulator: Control, fault: str) -> None:
    """The money goes back once, whether or not the provider had it already."""
    api = await start_service("api")
    await simulator.fault("provider.refund", fault)
    async with api.client("ada") as ada:
        order = await ada.order(["game-7"])
        paid = (await ada.pay(order["id"])).expect(201).body
        refunding = asyncio.create_task(ada.refund(paid["id"], 100))
        await simulator.until_held("provider.refund")
        api.child.kill()
        with pytest.raises(aiohttp.ClientError):
            await refunding
    await end_leases(api.environ["DATABASE_URL"])
    assert await simulator.release() == 1
    await start_service("worker")
    again = await start_service("api")
    async with again.client("ada", ADMIN) as ada:
        await ada.until(f"/v1/payments/{paid['id']}", lambda body: body["refunded"] == 100)
        money = await ada.until(
            "/v1/admin/invariants", lambda body: not any(body["pending"].values())
        )
        assert set(money["invariants"].values()) == {0}
        refunds = (await ada.read(f"/v1/payments/{paid['id']}/refunds"))["items"]
        assert [refund["status"] for refund in refunds] == ["succeeded"]
    assert [refund["amount"] for refund in (await simulator.state())["refunds"]] == [100]


async def test_without_the_cache_everything_goes_on(
    start_service: Services, simulator: Control, tmp_path: Path
) -> None:
    with embedded.valkey(tmp_path / "valkey", environ={}) as cache:
        api = await start_service("api", REDIS_URL=cache.url)
        await start_service("worker", REDIS_URL=cache.url)
        async with api.client("ada", ADMIN) as ada:
            await ada.order(["game-7"])
            assert cache.child is not None
            cache.child.kill()
            order = await ada.order(["game-7"])
            (await ada.pay(order["id"])).expect(201)
            await exactly_one_of_everything(ada, simulator, order["id"])
