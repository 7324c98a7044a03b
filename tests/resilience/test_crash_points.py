"""kill -9 at every point of every flow; the points are counted, not chosen.

A run is stopped at its first point, then at its second, and so on until it comes to its end
unharmed. After each death the service must come to the one right outcome, by itself or because the
customer asks again.
"""

import asyncio
from uuid import uuid4

import aiohttp
import pytest

from scripts.platform.client import Client
from simulator.client import Control
from tests.resilience.conftest import Say
from tests.resilience.flows import Authorize, Cancel, Capture, Flow, Order, Pay, Refund
from tests.resilience.ledger_checks import broken_invariants, until_finished
from tests.support.exchange_proxy import Gate, Point
from tests.support.forks import Fork, Forks
from tests.support.waiting import eventually

DONE = (200, 201)
BEYOND_EVERY_LOCK_S = 150  # a dead request's key and attempt (30 s), a dead completer's lease (120)
MAX_POINTS = 40  # no flow has so many; without it a flow that never ends would be killed for ever
FLOWS = (Order, Pay, Authorize, Capture, Cancel, Refund)


async def killed_at(api: Fork, gate: Gate, wanted: int, flow: Flow, user: str, key: str) -> str:
    """Let a customer ask, and kill the API at a point; return what was asked about."""
    async with api.client(user) as customer:
        subject = await flow.prepare(customer)
        gate.arm(wanted)
        asking = asyncio.create_task(flow.ask(customer, subject, key))
        reaching = asyncio.create_task(gate.reached())
        await asyncio.wait([asking, reaching], return_when=asyncio.FIRST_COMPLETED, timeout=20)
        if not reaching.done():
            reaching.cancel()
            (await asking).expect(*DONE)
            gate.drop()
            return subject
        api.kill()
        gate.drop()
        with pytest.raises(aiohttp.ClientError):
            await asking
        return subject


async def asked_again(customer: Client, flow: Flow, subject: str, key: str) -> None:
    """Repeat the request until it has its answer: 409 says that another one owns the key."""
    reply = await eventually(
        lambda: flow.ask(customer, subject, key), lambda reply: reply.status not in (202, 409)
    )
    assert reply.status in DONE, reply


@pytest.mark.parametrize("first", ["workers", "customer"])
@pytest.mark.parametrize("flow", [kind() for kind in FLOWS], ids=lambda flow: type(flow).__name__)
async def test_every_point_of_a_flow(
    forks: Forks,
    gate: Gate,
    proxied: dict[str, str],
    simulator: Control,
    flow: Flow,
    first: str,
    depth: str,
    say: Say,
) -> None:
    if first == "customer" and depth == "short":
        pytest.skip("needs --resilience=long; the customer asks again after the workers, too")
    points: list[Point] = []
    if first == "workers":
        await forks("worker")
    api = await forks("api", **proxied)
    for wanted in range(1, MAX_POINTS):
        user, key = f"user-{wanted}", str(uuid4())
        subject = await killed_at(api, gate, wanted, flow, user, key)
        if len(gate.passed) < wanted:
            break
        points.append(gate.passed[-1])
        forks.clock.forward(seconds=BEYOND_EVERY_LOCK_S)
        api = await forks("api", **proxied)
        if first == "workers":
            await until_finished(forks)
        async with api.client(user) as customer:
            await asked_again(customer, flow, subject, key)
            await flow.is_finished(customer)
        flow.at_provider(await simulator.state(), rounds=wanted)
    await forks("worker")
    await until_finished(forks)
    assert broken_invariants(forks) == []
    say(f"{type(flow).__name__}, {first} first: killed {len(points)} times, {_listed(points)}")
    whens = [point.when for point in points]
    assert whens.count("before") == whens.count("after") >= flow.exchanges


def _listed(points: list[Point]) -> str:
    exchanges = dict.fromkeys(point.what for point in points)
    return f"before and after each of: {', '.join(exchanges)}"
