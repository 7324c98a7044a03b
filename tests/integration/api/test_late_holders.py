"""A request that comes to an end after its lease has: what it only supposes does not count.

The request goes to the provider by a way on which it is refused late, as "surely not sent". A
worker, which takes the work over when the lease has run out, has a way of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from scripts.platform.client import Client, Reply
from tests.integration.api.conftest import Api, Start
from tests.integration.api.test_failover import BOTH
from tests.support.late_refusal import LateRefusal, late_refusal
from tests.support.recorded import paid, recorded_server
from tests.support.webhooks import Json, orphans

PATIENT = {"PROVIDER_TIMEOUT_S": "12"}  # what is held ends when a test says so
BEYOND_THE_LEASE_S = 31
Send = Callable[[Client, str], Coroutine[Any, Any, Reply]]


@dataclass
class Race:
    """A request whose provider refuses it late, and a worker."""

    api: Api
    worker: Api
    way: LateRefusal

    async def lose(self, ada: Client, send: Send, operation: str) -> tuple[Reply, Reply]:
        """Let the worker take over and the provider refuse the request; then the worker ends.

        Return the request's answer, and that of its repeat.
        """
        key, simulator = str(uuid4()), self.api.simulator
        request = asyncio.create_task(send(ada, key))
        await self.way.asked.wait()
        self.api.clock.forward(seconds=BEYOND_THE_LEASE_S)
        await simulator.fault(f"provider.{operation}", "hold_after", times=1)
        working = asyncio.create_task(self.worker.complete())
        await simulator.until_held(f"provider.{operation}")
        self.way.answer.set()
        answer = await request
        await simulator.release()
        assert await working == 1
        return answer, await send(ada, key)


@asynccontextmanager
async def race(start_api: Start, refused: str, **environ: str) -> AsyncIterator[Race]:
    worker = await start_api(**PATIENT)
    async with late_refusal(worker.simulator.url, refused) as way:
        api = await start_api(SIMULATOR_URL=way.url, **PATIENT, **environ)
        yield Race(api, worker, way)


async def bought(ada: Client, **options: str) -> Json:
    order = await ada.order(["game-7"])
    return dict((await ada.pay(order["id"], **options)).expect(201).body)


async def test_a_refund_is_not_failed_while_another_makes_it(start_api: Start) -> None:
    async with race(start_api, "/refunds") as late, late.api.client() as ada:
        payment = await bought(ada)
        answer, again = await late.lose(
            ada, lambda ada, key: ada.refund(payment["id"], 1000, key=key), "refund"
        )
        assert answer.expect(409).body["code"] == "idempotency_key_in_flight"
        assert again.expect(201).body["status"] == "succeeded"
        assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 1000
    assert [refund["amount"] for refund in (await late.api.simulator.state())["refunds"]] == [1000]
    await late.api.sound()


@pytest.mark.parametrize("providers", [{}, BOTH], ids=["one provider", "another provider"])
async def test_a_payment_is_neither_failed_nor_charged_elsewhere(
    start_api: Start, providers: dict[str, str]
) -> None:
    async with recorded_server() as stripe:
        stripe.otherwise = paid
        environ = {**providers, "STRIPE_URL": stripe.url}
        async with race(start_api, "/charges", **environ) as late, late.api.client() as ada:
            order = await ada.order(["game-7"])
            answer, again = await late.lose(
                ada, lambda ada, key: ada.pay(order["id"], key=key), "charge"
            )
            assert answer.expect(409).body["code"] == "idempotency_key_in_flight"
            assert again.expect(201).body["status"] == "succeeded"
            assert again.body["provider"] == "simulator"
        assert stripe.asked == []
        assert await orphans(late.api.context.db) == []
    await late.api.sound()


@pytest.mark.parametrize(
    ("operation", "status"), [("capture", "succeeded"), ("cancel", "canceled")]
)
async def test_an_operation_is_not_given_up_while_another_does_it(
    start_api: Start, operation: str, status: str
) -> None:
    async with race(start_api, f"/{operation}") as late, late.api.client() as ada:
        payment = await bought(ada, capture="manual")

        async def send(ada: Client, key: str) -> Reply:
            call = ada.capture if operation == "capture" else ada.cancel
            return await call(payment["id"], key=key)

        answer, again = await late.lose(ada, send, operation)
        assert answer.expect(409).body["code"] == "idempotency_key_in_flight"
        assert again.expect(200).body["status"] == status
    await late.api.sound()
