"""Payments through the Stripe adapter in real processes: a whole life, and a crash."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from scripts.platform.embedded import free_port
from simulator.client import Control
from tests.support.leases import end_leases
from tests.support.recorded import Asked, Recorded, page, paid, recorded_server
from tests.support.services import ADMIN, Services
from tests.support.stripe_mock import stripe_mock

KEY = "sk_test_ofthetests"
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
async def stripe() -> AsyncIterator[Recorded]:
    async with recorded_server() as recorded:
        yield recorded


async def test_order_payment_and_refund_at_stripe_mock(
    start_service: Services, tmp_path: Path
) -> None:
    port = free_port()
    start_service.environ |= {
        "PROVIDERS": "stripe",
        "DEFAULT_PROVIDER": "stripe",
        "STRIPE_API_KEY": KEY,
        "STRIPE_URL": f"http://127.0.0.1:{port}",
    }
    api, _worker = await start_service("api"), await start_service("worker")
    async with api.client("ada", ADMIN) as ada:
        order = await ada.order(["game-1"])
        fixture = {"status": "succeeded", "amount_received": order["total"]}
        with stripe_mock(tmp_path, port=port, intent=fixture):
            pay = ada.pay(order["id"], payment_method="pm_card_visa")
            payment = (await pay).expect(201).body
            assert (payment["status"], payment["provider"]) == ("succeeded", "stripe")
            await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
            refund = (await ada.refund(payment["id"])).expect(201).body
            assert refund["status"] == "succeeded"
            await ada.until_status(f"/v1/orders/{order['id']}", "refunded")
        money = await ada.read("/v1/admin/invariants")
        assert set(money["invariants"].values()) == {0}
    logged = "".join(s.child.log.read_text() for s in start_service.running)
    assert KEY not in logged


async def test_killed_after_the_failover_while_the_stand_in_charges(
    start_service: Services, simulator: Control, stripe: Recorded
) -> None:
    """The first provider is down, the second holds the charge, and then the process is gone."""
    start_service.environ |= {
        "PROVIDERS": "simulator,stripe",
        "SIMULATOR_URL": NOBODY,
        "STRIPE_API_KEY": KEY,
        "STRIPE_URL": stripe.url,
    }
    made: dict[str, Any] = {}

    def answer(asked: Asked) -> tuple[int, Any]:
        """Answer as Stripe: one PaymentIntent a key, and a search that does not find it yet."""
        if asked.method == "GET":
            return 200, page()
        key = asked.headers["Idempotency-Key"]
        made.setdefault(key, paid(asked))
        status, body = made[key]
        return status, body

    api, key = await start_service("api"), str(uuid4())
    stripe.will("silence")
    async with api.client("ada") as ada:
        order = await ada.order(["game-7"])
        paying = asyncio.create_task(ada.pay(order["id"], key=key))
        await asyncio.wait_for(stripe.arrived.wait(), 10)
        api.child.kill()
        with pytest.raises(aiohttp.ClientError):
            await paying
    await end_leases(api.environ["DATABASE_URL"])
    stripe.otherwise = answer
    await start_service("worker")
    again = await start_service("api")
    async with again.client("ada", ADMIN) as ada:
        await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
        found = (await ada.read(f"/v1/payments?order_id={order['id']}"))["items"]
        assert sorted((p["provider"], p["status"]) for p in found) == [
            ("simulator", "failed"),
            ("stripe", "succeeded"),
        ]
        money = await ada.until(
            "/v1/admin/invariants", lambda body: not any(body["pending"].values())
        )
        assert set(money["invariants"].values()) == {0}
    assert len(made) == 1
    charges = [asked for asked in stripe.asked if asked.method == "POST"]
    assert {asked.headers["Idempotency-Key"] for asked in charges} == set(made)
    assert (await simulator.state())["charges"] == []
