"""The API and the workers under faults, crashes and wrong clocks, until nothing is left to do.

Each process runs on a machine whose clock is off, by a new offset after each crash. Webhooks and
tokens are signed by the true time, which the simulator and the database share.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import aiohttp

from scripts.platform.client import Client, Reply
from service.providers.signature import HEADER, sign
from simulator.client import Control
from tests.resilience import provider_comparison, provider_events
from tests.resilience.ledger_checks import UNFINISHED, broken_invariants, rows
from tests.resilience.provider_events import ACTS, WITHHOLDING
from tests.resilience.rounds import Rounds
from tests.support.forks import Fork, Forks
from tests.support.services import ADMIN, SIMULATOR_SECRETS

Ask = Callable[[Client], Awaitable[Reply]]

ANSWERS: Final = frozenset({200, 201, 202, 404, 409, 503})
"""The answers that a customer may get: no request is malformed, and nothing may be a 500."""

RECORDS: Final = ("charges", "refunds", "disputes")
MAX_ROUNDS: Final = 40  # two hours each: more than three days, all schedules are through by then
REPLAYS: Final = 2  # of each parked event: on a busy machine one may time out
HOLD_S: Final = 5.0  # a request that is to be held reaches the provider in milliseconds

NOBODY: Final = "http://127.0.0.1:1"
"""The simulator's webhooks reach nobody: scenarios deliver them, late, twice or not at all."""

WEBHOOK_SECRET: Final = SIMULATOR_SECRETS["SIMULATOR_WEBHOOK_SECRETS"]


@dataclass
class PlatformHarness:
    """A process of the API, and one of the workers, which work when asked; both can be killed."""

    forks: Forks
    simulator: Control
    api: Fork
    workers: Rounds
    steps: int = 0
    crashes: int = 0
    answers: dict[tuple[str, str], Reply] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    delivered: set[str] = field(default_factory=set)
    before: set[str] = field(default_factory=set)

    @classmethod
    async def open(cls, forks: Forks, simulator: Control) -> "PlatformHarness":
        """Start the API and the workers, with right clocks."""
        api, workers = await forks("api"), await Rounds.start(forks, 0)
        await simulator.send_webhooks(NOBODY, WEBHOOK_SECRET)
        return cls(forks, simulator, api, workers)

    async def close(self) -> None:
        """End it all."""
        self.workers.kill()
        self.forks.close()

    async def begin(self, *, api_clock_s: float, workers_clock_s: float) -> None:
        """Begin a scenario on machines whose clocks are off; earlier records are left alone."""
        self.before = {each["id"] for each in _records(await self.simulator.state())}
        self.api.kill()
        self.api, _ = await asyncio.gather(
            self.forks("api", clock_offset_s=api_clock_s), self._replace_workers(workers_clock_s)
        )

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
        return str(found["items"][0]["id"]) if found["items"] else None

    async def provider_event(self, what: str, back: int) -> None:
        """Act at the provider, past the API, on one of the last records that allow it."""
        act = ACTS[what]
        allowed = list(act.subjects(await self._own_records()))
        if not allowed:
            return
        await act.do(self.simulator, allowed[-1 - back % len(allowed)])
        self.outcomes[f"provider: {what.removesuffix('_part')}"] += 1

    async def dispute(self, payment_id: str) -> None:
        """Let the buyer of a payment dispute it, if there is anything to dispute."""
        charge = provider_events.of_charge(await self._own_records(), payment_id)
        if charge is not None:
            await self.simulator.dispute(charge)
            self.outcomes["provider: dispute"] += 1

    async def refund_code(self, user: str, payment_id: str) -> str | None:
        """Return the code with which a refund must be refused now, as far as the API knows."""
        async with self.api.client(user) as customer:
            disputes = await customer.read(f"/v1/payments/{payment_id}/disputes")
            payment = await customer.read(f"/v1/payments/{payment_id}")
        if not any(each["status"] in WITHHOLDING for each in disputes["items"]):
            return None
        return "payment_disputed" if payment["status"] == "succeeded" else "illegal_transition"

    async def deliver_all(self) -> None:
        """Deliver what has not been delivered yet, the latest first."""
        for event in reversed((await self.simulator.webhooks())["deliveries"]):
            if event["event_id"] not in self.delivered:
                await self._deliver(event, times=1)

    async def crash_during(
        self, user: str, key: str, ask: Ask, *, target: str, moment: str, clock_s: float
    ) -> None:
        """Kill the API while the provider holds a call of this request, and start another one."""
        async with self._held(target, moment, self.ask(user, key, ask)):
            self.api.kill()
            self.crashes += 1
            self.api = await self.forks("api", clock_offset_s=clock_s)

    async def crash_workers_during(self, *, target: str, moment: str, clock_s: float) -> None:
        """Kill the workers while a call of theirs is held, and start others."""
        async with self._held(target, moment, self.workers()):
            self.workers.kill()
            self.crashes += 1
            await self._replace_workers(clock_s)

    async def work(self) -> int:
        """Run every worker once; return how much they found to do."""
        return await self.workers()

    async def deliver_webhook(self, back: int, times: int) -> None:
        """Deliver a webhook that the provider has sent, `back` events ago, once more or late."""
        sent = (await self.simulator.webhooks())["deliveries"]
        if not sent:
            return
        await self._deliver(sent[-1 - back % len(sent)], times)

    @asynccontextmanager
    async def _held(
        self, target: str, moment: str, doing: Coroutine[Any, Any, object]
    ) -> AsyncIterator[None]:
        """Do something until it is held at `target`, or done; leave it held at the end."""
        await self.simulator.clear_faults()
        await self.simulator.fault(target, moment, times=1)
        done = asyncio.create_task(doing)
        holding = asyncio.create_task(self.simulator.until_held(target, timeout_s=HOLD_S))
        await asyncio.wait([done, holding], return_when=asyncio.FIRST_COMPLETED)
        yield
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        with suppress(EOFError):  # from the killed workers
            await done
        await self.simulator.clear_faults()

    async def _replace_workers(self, clock_s: float) -> None:
        self.workers.kill()
        self.workers = await Rounds.start(self.forks, clock_s)

    async def _own_records(self) -> provider_events.State:
        """Return the provider's records of this scenario, so that it can be repeated."""
        state = await self.simulator.state()
        return {
            kind: [each for each in found if each["id"] not in self.before]
            for kind, found in state.items()
            if kind in RECORDS
        }

    async def _deliver(self, event: dict[str, Any], times: int) -> None:
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
                        self.delivered.add(event["event_id"])
                    self.outcomes[f"webhook {(await answer.json()).get('outcome')}"] += 1

    async def drain(self) -> None:
        """Let everything work again, and time pass until nothing is left to do."""
        await self.simulator.clear_faults()
        await self.simulator.release()
        await self.deliver_all()
        await self._finish()
        for _ in range(REPLAYS):
            await self._end_parked("replay")
            await self._finish()
        await self._end_parked("dismiss")

    async def _finish(self) -> None:
        for _ in range(MAX_ROUNDS):
            while await self.work():
                pass
            if not rows(self.forks.environ["DATABASE_URL"], UNFINISHED):
                return
            self.forks.clock.forward(hours=2)
        left = rows(self.forks.environ["DATABASE_URL"], UNFINISHED)
        raise AssertionError(f"stuck past every schedule: {left}")

    async def _end_parked(self, action: str) -> None:
        """Replay or dismiss every parked event, as an operator does."""
        async with self.api.client("olga", ADMIN) as operator:
            for event in (await operator.read("/v1/admin/webhooks/parked"))["items"]:
                named = {name: event[name] for name in ("provider", "event_id")}
                body = {**named, "note": "all events are delivered"}
                reply = await operator.call("POST", f"/v1/admin/webhooks/{action}", json=body)
                assert reply.status == 200, reply

    async def audit(self) -> None:
        """Assert that the invariants hold and that the provider and the Library agree."""
        broken = broken_invariants(self.forks)
        assert not broken, broken
        state = await self.simulator.state()
        provider_comparison.compare(self.forks.environ["DATABASE_URL"], state)


def _records(state: provider_events.State) -> Iterator[dict[str, Any]]:
    return chain.from_iterable(state[kind] for kind in RECORDS)
