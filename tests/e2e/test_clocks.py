"""Processes whose machines' clocks are minutes apart: leases, locks and expiry hold all the same.

Each test gives what is under way to one process and lets another one, to whose own clock the lease
has ended, look for work. It must leave it alone.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from scripts.platform.client import Client
from service.metric_catalog import CLOCK_OFFSET, WORKER_LAST_ROUND
from simulator.client import Control
from tests.support.late_refusal import late_refusal
from tests.support.leases import end_leases
from tests.support.services import ADMIN, SIMULATOR_SECRETS, Service, Services
from tests.support.waiting import eventually
from tests.support.webhooks import Hook, charge_event

PATIENT = {  # what is held ends when a test says so
    "PROVIDER_TIMEOUT_S": "12",
    "INTEGRATION_TIMEOUT_S": "12",
}
VERY_PATIENT = {"PROVIDER_TIMEOUT_S": "50", "REQUEST_TIMEOUT_S": "60", "IDEMPOTENCY_LOCK_S": "120"}
ENDS = ("reconciliation_finished", "reconciliation_taken_over", "reconciliation_failed")
FAST_S = 300
"""A clock that is ahead so far has seen every lease end: the longest is three minutes."""
LAST_ROUND = WORKER_LAST_ROUND.name
SECRET = SIMULATOR_SECRETS["SIMULATOR_WEBHOOK_SECRETS"]


async def paid(ada: Client, **options: str) -> dict[str, Any]:
    """Return a payment that took its money, if it is not to be held."""
    order = await ada.order(["game-7"])
    return dict((await ada.pay(order["id"], **options)).expect(201).body)


async def measured(service: Service, series: str) -> float:
    """Return what a gauge of the process stands at; its labels are written out."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{service.ops_url}/metrics") as answer,
    ):
        lines = (await answer.text()).splitlines()
    [line] = [line for line in lines if line.startswith(f"{series} ")]
    return float(line.split()[-1])


async def last_round(worker: Service, name: str) -> float:
    """Return when a worker last got through a round."""
    return await measured(worker, f'{LAST_ROUND}{{worker="{name}"}}')


async def had_its_chance(worker: Service, name: str, took: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the worker has looked for work twice, or took what it should have left alone.

    Of two rounds the second began when the first had ended, so after now.
    """
    seen = {await last_round(worker, name)}

    async def looked() -> bool:
        seen.add(await last_round(worker, name))
        return len(seen) > 2 or await took()

    await eventually(looked, timeout_s=25)


def held(simulator: Control, target: str, count: int) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether so many requests are held."""

    async def look() -> bool:
        return len(await simulator.until_held(target, count=0)) >= count

    return look


@pytest.mark.parametrize("apart_s", [40, FAST_S, -FAST_S])
async def test_a_refund_under_way_is_left_to_its_request(
    start_service: Services, simulator: Control, apart_s: float
) -> None:
    """The request is refused late; a worker that has refunded meanwhile would refund twice."""
    worker = await start_service("worker", clock_offset_s=apart_s)

    async def taken() -> bool:
        return any(worker.records("refund_taken_up"))

    async with late_refusal(simulator.url, "/refunds") as way:
        api = await start_service("api", SIMULATOR_URL=way.url, **PATIENT)
        async with api.client("ada", ADMIN) as ada:
            payment = (await paid(ada))["id"]
            await simulator.fault("provider.refund", "hold_after", times=1)
            refunding = asyncio.create_task(ada.refund(payment, 1000))
            await way.asked.wait()
            await had_its_chance(worker, "completer", taken)
            way.answer.set()
            first = (await refunding).expect(201).body
    again = await start_service("api")
    await simulator.clear_faults()
    await simulator.release()
    assert first["status"] == "failed"
    async with again.client("ada", ADMIN) as ada:
        (await ada.refund(payment, 1000)).expect(201)
        await ada.until(f"/v1/payments/{payment}", lambda body: body["refunded"] == 1000)
        state = await simulator.state()
        assert [refund["amount"] for refund in state["refunds"]] == [1000]


async def test_a_process_that_stood_still_beyond_its_lease_writes_nothing(
    start_service: Services, simulator: Control
) -> None:
    """No clock helps a process that is stopped while another one takes over: the fence does."""
    async with late_refusal(simulator.url, "/refunds") as way:
        api = await start_service("api", SIMULATOR_URL=way.url, **PATIENT)
        async with api.client("ada", ADMIN) as ada:
            payment, key = (await paid(ada))["id"], str(uuid4())
            await simulator.fault("provider.refund", "hold_after", times=1)
            refunding = asyncio.create_task(ada.refund(payment, 1000, key=key))
            await way.asked.wait()
            api.child.signal(signal.SIGSTOP)
            await end_leases(api.environ["DATABASE_URL"])
            await start_service("worker", **PATIENT)
            await simulator.until_held("provider.refund")
            way.answer.set()
            api.child.signal(signal.SIGCONT)
            (await refunding).expect(409)
            await simulator.release()
            await ada.until(f"/v1/payments/{payment}", lambda body: body["refunded"] == 1000)
            assert (await ada.refund(payment, 1000, key=key)).expect(201).replayed
    assert [refund["amount"] for refund in (await simulator.state())["refunds"]] == [1000]


async def test_a_key_is_its_first_requests(start_service: Services, simulator: Control) -> None:
    first, key = await start_service("api", **PATIENT), str(uuid4())
    second = await start_service("api", clock_offset_s=FAST_S)
    await simulator.fault("provider.charge", "hold_before", times=1)
    async with first.client("ada") as ada, second.client("ada") as again:
        order = await ada.order(["game-7"])
        paying = asyncio.create_task(ada.pay(order["id"], key=key))
        await simulator.until_held("provider.charge")
        refused = (await again.pay(order["id"], key=key)).expect(409)
        assert refused.body["code"] == "idempotency_key_in_flight"
        await simulator.release()
        assert (await paying).expect(201).body["status"] == "succeeded"


async def test_a_grant_is_sent_by_one_worker(start_service: Services, simulator: Control) -> None:
    await simulator.fault("library.grant", "hold_before", times=None)
    await start_service("worker", **PATIENT)
    api = await start_service("api")
    async with api.client("ada") as ada:
        await paid(ada)
    await simulator.until_held("library.grant")
    fast = await start_service("worker", clock_offset_s=FAST_S, **PATIENT)
    await had_its_chance(fast, "outbox", held(simulator, "library.grant", 2))
    assert len(await simulator.until_held("library.grant")) == 1


async def test_an_event_is_processed_by_one_worker(
    start_service: Services, simulator: Control
) -> None:
    api = await start_service("api")
    async with api.client("ada") as ada:
        await paid(ada, payment_method="pm_requires_action")
    await simulator.send_webhooks(f"{api.url}/v1/webhooks/simulator", SECRET)
    await simulator.fault("provider.find", "hold_before", times=None)
    await start_service("worker", **PATIENT)
    [charge] = (await simulator.state())["charges"]
    await simulator.complete(charge["id"])
    await simulator.until_held("provider.find")
    fast = await start_service("worker", clock_offset_s=FAST_S, **PATIENT)
    await had_its_chance(fast, "inbox", held(simulator, "provider.find", 2))
    assert len(await simulator.until_held("provider.find")) == 1


async def test_a_reconciliation_is_not_taken_for_dead(
    start_service: Services, simulator: Control
) -> None:
    await simulator.fault("provider.list", "hold_before", times=1)
    first = await start_service("worker", **VERY_PATIENT)
    await simulator.until_held("provider.list")
    fast = await start_service("worker", clock_offset_s=FAST_S)
    await had_its_chance(fast, "reconciliation", held(simulator, "provider.list", 2))
    await simulator.release()

    async def ends() -> list[str]:
        return [line["event"] for line in first.records() if line["event"] in ENDS]

    assert await eventually(ends) == ["reconciliation_finished"]


async def test_an_order_lives_as_long_as_it_was_promised(start_service: Services) -> None:
    start_service.environ["ORDER_TTL_S"] = "200"
    api = await start_service("api")
    fast = await start_service("worker", clock_offset_s=FAST_S)
    async with api.client("ada") as ada:
        order = await ada.order(["game-7"])

        async def expired() -> bool:
            return bool((await ada.read(f"/v1/orders/{order['id']}"))["status"] == "expired")

        await had_its_chance(fast, "expiry", expired)
        assert not await expired()
        (await ada.pay(order["id"])).expect(201)


@pytest.mark.parametrize("offset_s", [400, -400])
async def test_a_provider_is_heard_by_a_machine_whose_clock_is_wrong(
    start_service: Services, simulator: Control, offset_s: float
) -> None:
    """A signature is good for five minutes, by the clock that the service goes by."""
    right = await start_service("api")
    async with right.client("ada") as ada:
        await paid(ada)
    wrong = await start_service("api", clock_offset_s=offset_s)
    async with aiohttp.ClientSession() as session:
        status, body = await Hook(wrong.url, session).send(await charge_event(simulator))
    assert status == 200, body
    assert await measured(wrong, CLOCK_OFFSET.name) == pytest.approx(offset_s, abs=2)


@pytest.mark.parametrize("offset_s", [FAST_S, -FAST_S])
async def test_a_buyer_is_served_by_a_machine_whose_clock_is_wrong(
    start_service: Services, offset_s: float
) -> None:
    """A token is good from when it is made until it expires, by the same clock."""
    api = await start_service("api", clock_offset_s=offset_s)
    async with api.client("ada") as ada:
        payment = await paid(ada)
    assert payment["status"] == "succeeded"
