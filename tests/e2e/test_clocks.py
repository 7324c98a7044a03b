"""Processes whose clocks are apart: each has its own offset, and the leases hold all the same."""

import asyncio

import aiohttp
import pytest

from scripts.client import Client
from service.metric_catalog import WORKER_LAST_ROUND
from simulator.client import Control
from tests.support.late_refusal import late_refusal
from tests.support.services import ADMIN, Service, Services
from tests.support.waiting import eventually

PATIENT = {"PROVIDER_TIMEOUT_S": "12"}  # what is held ends when a test says so
LAST_ROUND = WORKER_LAST_ROUND.name
APART = [40, 300, -300]
"""Seconds; a lease is 30 s long."""


async def paid(ada: Client) -> str:
    """Return a payment that took its money."""
    order = await ada.order(["game-7"])
    return str((await ada.pay(order["id"])).expect(201).body["id"])


async def last_round(worker: Service, name: str) -> float:
    """Return when a worker last got through a round."""
    async with aiohttp.ClientSession() as session, session.get(f"{worker.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    [line] = [line for line in lines if line.startswith(f'{LAST_ROUND}{{worker="{name}"}} ')]
    return float(line.split()[-1])


async def had_its_chance(worker: Service, name: str, takes: str) -> None:
    """Wait until the worker has looked for work twice, or says that it took some.

    Of two rounds the second began when the first had ended, so after now.
    """
    seen = {await last_round(worker, name)}

    async def looked() -> bool:
        seen.add(await last_round(worker, name))
        return len(seen) > 2 or any(worker.records(takes))

    await eventually(looked)


@pytest.mark.parametrize("apart_s", APART)
async def test_a_refund_under_way_is_left_to_its_request(
    start_service: Services, simulator: Control, apart_s: float
) -> None:
    """The request is refused late; a worker that has refunded meanwhile would refund twice."""
    worker = await start_service("worker", clock_offset_s=apart_s)
    async with late_refusal(simulator.url, "/refunds") as way:
        api = await start_service("api", SIMULATOR_URL=way.url, **PATIENT)
        async with api.client("ada", ADMIN) as ada:
            payment = await paid(ada)
            await simulator.fault("provider.refund", "hold_after", times=1)
            refunding = asyncio.create_task(ada.refund(payment, 1000))
            await way.asked.wait()
            await had_its_chance(worker, "completer", "refund_taken_up")
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
