"""A request dies on its way from one provider to the next, and its client never comes back."""

import asyncio
from contextlib import suppress
from typing import Final
from uuid import uuid4

import aiohttp

from scripts.platform.client import Client, Reply
from simulator.client import Control
from tests.resilience.conftest import Say
from tests.resilience.ledger_checks import broken_invariants, rows
from tests.support.exchange_proxy import Gate, Point
from tests.support.forks import Fork, Forks
from tests.support.waiting import eventually

BEYOND_THE_LOCK_S: Final = 40
MAX_POINTS: Final = 40
FIRST_IS_DOWN: Final = {
    "PROVIDERS": "stripe,simulator",
    "DEFAULT_PROVIDER": "stripe",
    "STRIPE_API_KEY": "sk_test_x",
    "STRIPE_URL": "http://127.0.0.1:1",
    "BREAKER_FAILURES": "1000",  # each round is to try the first one
}
ABANDONED: Final = """
    SELECT k.caller, k.key FROM idempotency_keys k JOIN payments p ON p.id = k.resource_id
    WHERE k.recovery_point = 'started' AND p.status = 'failed'
"""
Asked = tuple[str, str, str]  # who, about which order, under which key


async def killed_at(api: Fork, gate: Gate, wanted: int) -> tuple[Asked, bool]:
    """Pay, and kill the API at a point; return what was asked, and whether it came that far."""
    user, key = f"user-{wanted}", str(uuid4())
    async with api.client(user) as customer:
        order = (await customer.order(["game-1"]))["id"]
        gate.arm(wanted)
        paying = asyncio.create_task(customer.pay(order, key=key))
        reaching = asyncio.create_task(gate.reached())
        await asyncio.wait([paying, reaching], return_when=asyncio.FIRST_COMPLETED, timeout=20)
        reached = reaching.done()
        if reached:
            api.kill()
        gate.drop()
        reaching.cancel()
        with suppress(aiohttp.ClientError):
            await paying
    return (user, order, key), reached


async def returned(customer: Client, order: str, key: str) -> Reply:
    """Come back with the key until it has its answer."""
    return await eventually(lambda: customer.pay(order, key=key), lambda reply: reply.status != 409)


async def test_a_key_ends_although_nobody_comes_back(
    forks: Forks, gate: Gate, proxied: dict[str, str], simulator: Control, say: Say
) -> None:
    """At every point: the workers end the key, and who comes back much later is served rightly."""
    asked: list[Asked] = []
    points: list[Point] = []
    for wanted in range(1, MAX_POINTS):
        api = await forks("api", **proxied, **FIRST_IS_DOWN)
        one, reached = await killed_at(api, gate, wanted)
        if not reached:
            api.kill()
            break
        asked.append(one)
        points.append(gate.passed[-1])
    abandoned = rows(forks.environ["DATABASE_URL"], ABANDONED)
    assert abandoned, f"no key was left behind at any of: {', '.join(map(str, points))}"
    assert {key for _, key in abandoned} <= {key for _, _, key in asked}

    forks.clock.forward(seconds=BEYOND_THE_LOCK_S)
    worker = await forks("worker", **FIRST_IS_DOWN)
    keys = "SELECT caller, key FROM idempotency_keys WHERE recovery_point = 'started'"

    async def unanswered() -> list[tuple[str, str]]:
        return rows(forks.environ["DATABASE_URL"], keys)

    await eventually(unanswered, lambda left: not left, timeout_s=30)
    assert "idempotency_keys_freed" in worker.log.read_text()

    api = await forks("api", **FIRST_IS_DOWN)
    for user, order, key in asked:
        async with api.client(user) as customer:
            reply = await returned(customer, order, key)
            found = (await customer.read(f"/v1/payments?order_id={order}"))["items"]
            live = [p["status"] for p in found if p["status"] != "failed"]
            assert live in (["succeeded"], ["unknown"]), (reply, found)
            # one that the dead request had begun is found again, and no other is made
            assert reply.status == (202 if live == ["unknown"] else 201)
            if (user, key) in abandoned:
                assert (reply.body["status"], reply.replayed) == ("succeeded", False)
    charged = [charge["reference"] for charge in (await simulator.state())["charges"]]
    assert len(charged) == len(set(charged))
    assert len(charged) <= len(asked)
    assert broken_invariants(forks) == []
    say(f"failover: killed {len(points)} times, {len(abandoned)} keys were left behind and freed")
