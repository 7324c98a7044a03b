"""The answer given is the answer kept: whatever happens meanwhile, every repeat equals the first.

The provider holds a request after its effect. Meanwhile somebody else looks the outcome up, and the
provider does not say.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from scripts.platform.client import Client, Reply
from tests.integration.api.conftest import Api, Start
from tests.support.webhooks import Hook, Json, event_of

BEYOND_THE_LEASE_S = 31
Send = Callable[[str], Coroutine[Any, Any, Reply]]


@dataclass
class StoreHarness:
    """A buyer, and the two who may look up what became of a request."""

    api: Api
    ada: Client

    async def bought(self, **options: str) -> Json:
        order = await self.ada.order(["game-7"])
        return dict((await self.ada.pay(order["id"], **options)).expect(201).body)

    async def overtaken(
        self, operation: str, send: Send, check_charge: Callable[[], Coroutine[Any, Any, None]]
    ) -> tuple[Reply, Reply]:
        """Send, let `look` fail before the provider answers, and send again; return both."""
        key, simulator = str(uuid4()), self.api.simulator
        await simulator.fault(f"provider.{operation}", "hold_after", times=1)
        request = asyncio.create_task(send(key))
        await simulator.until_held(f"provider.{operation}")
        await simulator.fault("provider.find", "status", status=500, times=None)
        await check_charge()
        await simulator.clear_faults()
        await simulator.release()
        return await request, await send(key)

    async def complete(self) -> None:
        """Let the completer take over what has lost its lease."""
        self.api.clock.forward(seconds=BEYOND_THE_LEASE_S)
        assert await self.api.complete() == 1

    async def process(self) -> None:
        """Let the provider's event of the last refund come."""
        [refund] = (await self.api.simulator.state())["refunds"]
        async with aiohttp.ClientSession() as session:
            await Hook(self.api.url, session).send(event_of(refund))
        assert await self.api.process() == 1


@pytest.fixture
async def harness(start_api: Start) -> AsyncIterator[StoreHarness]:
    api = await start_api(PROVIDER_TIMEOUT_S="12")  # what is held ends when a test says so
    async with api.client() as ada:
        yield StoreHarness(api, ada)


def equal(first: Reply, again: Reply) -> bool:
    return (first.status, first.body) == (again.status, again.body)


async def test_an_event_that_overtakes_a_refund_does_not_answer_it(harness: StoreHarness) -> None:
    payment = await harness.bought()
    first, again = await harness.overtaken(
        "refund", lambda key: harness.ada.refund(payment["id"], 1000, key=key), harness.process
    )
    assert first.expect(201).body["status"] == "succeeded"
    assert equal(first, again), (first, again)
    await harness.api.sound()


async def test_a_refund_that_was_answered_for_meanwhile(harness: StoreHarness) -> None:
    payment = await harness.bought()
    first, again = await harness.overtaken(
        "refund", lambda key: harness.ada.refund(payment["id"], 1000, key=key), harness.complete
    )
    assert equal(first, again), (first, again)
    assert first.expect(202).body["status"] == "unknown"
    assert (await harness.ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 1000
    await harness.api.sound()


async def test_a_payment_that_was_answered_for_meanwhile(harness: StoreHarness) -> None:
    order = await harness.ada.order(["game-7"])
    first, again = await harness.overtaken(
        "charge", lambda key: harness.ada.pay(order["id"], key=key), harness.complete
    )
    assert equal(first, again), (first, again)
    assert first.expect(202).body["status"] == "unknown"
    payment = await harness.ada.read(f"/v1/payments/{first.body['id']}")
    assert payment["status"] == "succeeded"
    await harness.api.sound()


@pytest.mark.parametrize("operation", ["capture", "cancel"])
async def test_an_operation_that_was_answered_for_meanwhile(
    harness: StoreHarness, operation: str
) -> None:
    payment = await harness.bought(capture="manual")
    call = harness.ada.capture if operation == "capture" else harness.ada.cancel
    first, again = await harness.overtaken(
        operation, lambda key: call(payment["id"], key=key), harness.complete
    )
    assert equal(first, again), (first, again)
    assert first.expect(202).body["status"] == "authorized"
    await harness.api.sound()
