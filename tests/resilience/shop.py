"""A shop that customers use while everything around it breaks, and the truth it is held against."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp import web

from scripts.client import Client, Reply
from service.app import build
from service.http.state import CONTEXT
from service.settings import load
from service.webhooks.signature import HEADER, sign
from service.workers import completer, expiry, inbox, outbox
from simulator.client import Control
from tests.resilience.books import UNFINISHED, broken_invariants, rows
from tests.support.forks import Fork, Forks
from tests.support.services import SIMULATOR_SECRETS

Ask = Callable[[Client], Awaitable[Reply]]

ANSWERS: Final = frozenset({200, 201, 202, 404, 409, 503})
"""All that a customer may be told here: no request is malformed, and nothing may be a 500."""

DASHBOARD_MINOR: Final = 200
MAX_ROUNDS: Final = 40  # two hours each: more than three days, all schedules are through by then
HOLD_S: Final = 5.0  # a request that is to be held reaches the provider in milliseconds

NOBODY: Final = "http://127.0.0.1:1"
"""Webhooks by themselves go nowhere: the stories deliver them, late or twice or not at all."""

WEBHOOK_SECRET: Final = SIMULATOR_SECRETS["SIMULATOR_WEBHOOK_SECRETS"]

PAYMENTS: Final = """
    SELECT p.id::text, json_build_object(
        'order', p.order_id, 'status', p.status, 'captured', p.captured_minor,
        'refunded', p.refunded_minor, 'refund_in_review', EXISTS (
            SELECT FROM refunds r WHERE r.payment_id = p.id AND r.status = 'review'))::text
    FROM payments p
"""
GRANTED: Final = "SELECT user_id, game_id FROM entitlements WHERE status = 'granted'"


@dataclass
class Shop:
    """One API process that can be killed; its workers run in this process when told to."""

    forks: Forks
    simulator: Control
    api: Fork
    workers: web.AppRunner
    steps: int = 0
    crashes: int = 0
    answers: dict[tuple[str, str], Reply] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    heard: set[str] = field(default_factory=set)

    @classmethod
    async def open(cls, forks: Forks, simulator: Control) -> "Shop":
        """Start the API and make the workers ready."""
        api = await forks("api")
        workers = web.AppRunner(build(load(forks.environ), "api", forks.clock))
        await workers.setup()
        await simulator.send_webhooks(NOBODY, WEBHOOK_SECRET)
        return cls(forks, simulator, api, workers)

    async def close(self) -> None:
        """End it all."""
        await self.workers.cleanup()
        self.forks.close()

    async def order(self, user: str, games: Sequence[str]) -> str | None:
        """Order one of each game; return the order's id, or None if that can't be done now."""
        items = [{"game_id": game, "quantity": 1} for game in games]
        async with self.api.client(user) as customer:
            body = {"currency": "EUR", "items": items}
            reply = await customer.call("POST", "/v1/orders", json=body)
        assert reply.status in (201, 409, 503), reply
        return str(reply.body["id"]) if reply.status == 201 else None

    async def ask(self, user: str, key: str, ask: Ask) -> Reply | None:
        """Send a request; None if nobody answers. A replay must be what was answered first."""
        try:
            async with self.api.client(user) as customer:
                reply = await ask(customer)
        except aiohttp.ClientError:
            return None
        assert reply.status in ANSWERS, reply
        if reply.replayed and (first := self.answers.get((user, key))) is not None:
            assert (reply.status, reply.body) == (first.status, first.body)
        if reply.status in (200, 201, 202):
            self.answers.setdefault((user, key), reply)
        self.outcomes[str(reply.body.get("code") or reply.body["status"])] += 1
        return reply

    async def payment(self, user: str, order_id: str) -> str | None:
        """Return the order's latest payment."""
        async with self.api.client(user) as customer:
            found = await customer.read(f"/v1/payments?order_id={order_id}")
        return str(found["payments"][0]["id"]) if found["payments"] else None

    async def happen(self, what: str, back: int) -> None:
        """Do something at the provider past the API, to one of the last charges that allow it."""
        state = await self.simulator.state()
        what, _, part = what.partition("_part")
        allowed = _allowed(what, state)
        if not allowed:
            return
        subject, amount = allowed[-1 - back % len(allowed)], DASHBOARD_MINOR if part else None
        match what:
            case "refund":
                await self.simulator.refund(subject, amount)
            case "capture":
                await self.simulator.capture(subject, amount)
            case "send_back":
                await self.simulator.fail_refund(subject)
            case _:
                await self.simulator.fail_charge(subject)
        self.outcomes[f"provider: {what}"] += 1

    async def hear_all(self) -> None:
        """Deliver what nobody has heard yet, the latest first: all of it comes in the end."""
        for event in reversed((await self.simulator.webhooks())["deliveries"]):
            if event["event_id"] not in self.heard:
                await self._tell(event, times=1)

    async def crash(self) -> None:
        """Kill the API and start it again."""
        self.api.kill()
        self.crashes += 1
        self.api = await self.forks("api")

    async def crash_during(
        self, user: str, key: str, ask: Ask, *, target: str, moment: str
    ) -> None:
        """Kill the API while the provider holds a call of this request, and let that call go on."""
        await self.simulator.clear_faults()
        await self.simulator.fault(target, moment, times=1)
        asking = asyncio.create_task(self.ask(user, key, ask))
        holding = asyncio.create_task(self.simulator.until_held(target, timeout_s=HOLD_S))
        await asyncio.wait([asking, holding], return_when=asyncio.FIRST_COMPLETED)
        await self.crash()
        await asking
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        await self.simulator.clear_faults()

    async def work(self) -> int:
        """Run every worker once; return how much they found to do."""
        context = self.workers.app[CONTEXT]
        done = [await worker.run_once(context) for worker in (completer, expiry, inbox, outbox)]
        return sum(done)

    async def hear(self, back: int, times: int) -> None:
        """Deliver a webhook that the provider has sent, `back` events ago, once more or late."""
        sent = (await self.simulator.webhooks())["deliveries"]
        if not sent:
            return
        await self._tell(sent[-1 - back % len(sent)], times)

    async def _tell(self, event: dict[str, Any], times: int) -> None:
        body = event["body"].encode()
        at_s = int(self.forks.clock().timestamp())
        headers = {
            HEADER: f"t={at_s},v1={sign(WEBHOOK_SECRET, at_s, body)}",
            "Content-Type": "application/json",
        }
        async with aiohttp.ClientSession() as session:
            for _ in range(times):
                url = f"{self.api.url}/v1/webhooks/simulator"
                async with session.post(url, data=body, headers=headers) as answer:
                    assert answer.status in (200, 503), await answer.text()
                    if answer.status == 200:
                        self.heard.add(event["event_id"])
                    self.outcomes[f"webhook {(await answer.json()).get('outcome')}"] += 1

    async def settle(self) -> None:
        """Let everything work again, and time pass until nothing is left to do."""
        await self.simulator.clear_faults()
        await self.simulator.release()
        await self.hear_all()
        for _ in range(MAX_ROUNDS):
            while await self.work():
                pass
            if not rows(self.forks.environ["DATABASE_URL"], UNFINISHED):
                return
            self.forks.clock.forward(hours=2)
        left = rows(self.forks.environ["DATABASE_URL"], UNFINISHED)
        raise AssertionError(f"stuck past every schedule: {left}")

    async def audit(self) -> None:
        """Assert that our books hold, and say what the provider's and the Library's say."""
        broken = broken_invariants(self.forks)
        assert not broken, broken
        state = await self.simulator.state()
        url = self.forks.environ["DATABASE_URL"]
        _money_agrees(dict(rows(url, PAYMENTS)), state["charges"])
        held = {(g["user_id"], g["game_id"]) for g in state["grants"] if not g["revoked"]}
        assert held == set(rows(url, GRANTED))


def _allowed(what: str, state: dict[str, Any]) -> list[str]:
    """Return the charges, or refunds, with which that can be done now, the latest last."""
    charges, refunds = state["charges"], state["refunds"]
    match what:
        case "refund":
            left = [(c["id"], c["amount_captured"] - c["amount_refunded"]) for c in charges]
            return [charge for charge, minor in left if minor >= DASHBOARD_MINOR]
        case "capture":
            return [charge["id"] for charge in charges if charge["status"] == "authorized"]
        case "send_back":
            return [refund["id"] for refund in refunds if refund["status"] == "succeeded"]
        case _:
            return [charge["id"] for charge in charges if charge["status"] == "succeeded"]


def _money_agrees(payments: dict[str, str], charges: list[dict[str, Any]]) -> None:
    """Compare payment by payment; what a person has to decide has no answer yet."""
    made = defaultdict(list)
    for charge in charges:
        made[charge["reference"]].append(charge)
    assert set(made) <= set(payments), "the provider has charged what we know nothing of"
    paid: dict[str, int] = defaultdict(int)
    for payment_id, text in payments.items():
        payment = json.loads(text)
        mine = made[payment_id]
        assert len(mine) <= 1, f"charged twice: {mine}"
        if payment["status"] == "review" or payment["refund_in_review"]:
            continue
        taken = sum(charge["amount_captured"] for charge in mine)
        returned = sum(charge["amount_refunded"] for charge in mine)
        standing = 0 if payment["status"] == "reversed" else payment["captured"]
        kept = standing - payment["refunded"]
        assert taken - returned == kept, (payment, mine)
        paid[payment["order"]] += bool(taken) and payment["status"] == "succeeded"
        still_held = [charge for charge in mine if charge["status"] == "authorized"]
        assert bool(still_held) == (payment["status"] == "authorized"), (payment, mine)
    assert all(times <= 1 for times in paid.values()), "an order was paid twice"
