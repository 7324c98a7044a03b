"""The demo's scenario: what a customer does, and what must be true after each step."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from scripts.platform.client import Client, UnexpectedAnswerError
from scripts.platform.launcher import Report
from simulator.client import Control, ControlError

GAMES: Final = ("game-7", "game-42")
PART_MINOR: Final = 500
NO_MINOR_UNIT: Final = frozenset({"JPY"})


class ExpectationError(Exception):
    """Something in the scenario came out differently than it must."""


WENT_WRONG: Final = (ExpectationError, UnexpectedAnswerError, ControlError)


@dataclass
class Record:
    """Everything that the scenario has shown; amounts are minor units."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    payment: dict[str, Any] = field(default_factory=dict)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    invariants: dict[str, int] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)
    pulumi: dict[str, Any] = field(default_factory=dict)


class Scenario:
    def __init__(self, report: Report) -> None:
        self.record = Record()
        self._report = report

    def done(self, name: str, seconds: float, detail: str = "") -> None:
        step = {"name": name, "seconds": round(seconds, 3), "detail": detail}
        self.record.steps.append(step)
        self._report(name, seconds, detail)

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[list[str]]:
        details: list[str] = []
        started = time.monotonic()
        try:
            yield details
        except (*WENT_WRONG, TimeoutError) as error:
            raise ExpectationError(f"{name}: {error}") from error
        self.done(name, time.monotonic() - started, "".join(details))

    async def a_game_is_sold_and_refunded(self, ada: Client, world: Control) -> None:
        """Order, pay, repeat, receive, refund a part, refund the rest."""
        order = await self._order(ada)
        payment = await self._pay(ada, world, order)
        async with self.step("grant") as details:
            await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
            shelf = await world.shelf("ada")
            expect(len(shelf) == len(GAMES), f"{len(GAMES)} games at the Library, not {shelf}")
            details.append(f"{len(shelf)} games in the customer's Library; the order is fulfilled")
        await self._refund(ada, world, order, payment)
        self.record.payment = await ada.read(f"/v1/payments/{payment['id']}")
        timeline = await ada.until(
            f"/v1/payments/{payment['id']}/timeline",
            lambda body: body["items"][-1]["event"] == "games_revoked",
        )
        self.record.timeline = timeline["items"]

    async def an_answer_is_lost(self, bob: Client, world: Control) -> None:
        """Let the provider charge and its answer never arrive: nobody may guess."""
        async with self.step("lost answer") as details:
            charges = (await world.state())["counts"]["charges"]
            await world.fault("provider.charge", "reset_after")
            order = await bob.order(GAMES[:1])
            unknown = (await bob.pay(order["id"])).expect(202).body
            expect(unknown["status"] == "unknown", f"unknown, not {unknown['status']}")
            await bob.until_status(f"/v1/payments/{unknown['id']}", "succeeded")
            await bob.until_status(f"/v1/orders/{order['id']}", "fulfilled")
            made = (await world.state())["counts"]["charges"] - charges
            expect(made == 1, f"one charge, not {made}")
            details.append("unknown, not failed; the provider was asked: one charge, game granted")

    async def the_money_is_counted(self, admin: Client) -> None:
        async with self.step("invariants") as details:
            body = await admin.until(
                "/v1/admin/invariants", lambda body: not any(body["pending"].values())
            )
            self.record.invariants, self.record.pending = body["invariants"], body["pending"]
            broken = {name: count for name, count in body["invariants"].items() if count}
            expect(bool(body["invariants"]) and not broken, f"broken: {broken}")
            path = f"/v1/admin/ledger?payment_id={self.record.payment['id']}"
            self.record.ledger = (await admin.read(path))["items"]
            total = sum(entry["amount"] for entry in self.record.ledger)
            expect(total == 0, f"the ledger sums to 0, not {total}")
            details.append(f"{len(body['invariants'])} money invariants hold, the ledger balances")

    async def _order(self, ada: Client) -> dict[str, Any]:
        async with self.step("order") as details:
            order = await ada.order(GAMES)
            expect(order["status"] == "pending", f"pending, not {order['status']}")
            titles = " and ".join(item["title"] for item in order["items"])
            details.append(f"{titles}: {money(order['total'], order['currency'])}")
        return order

    async def _pay(self, ada: Client, world: Control, order: dict[str, Any]) -> dict[str, Any]:
        key = str(uuid4())
        async with self.step("payment") as details:
            payment = (await ada.pay(order["id"], key=key)).expect(201).body
            expect(payment["status"] == "succeeded", f"succeeded, not {payment['status']}")
            expect(payment["captured"] == order["total"], "all of the order is captured")
            details.append(f"succeeded at provider {payment['provider']}")
        async with self.step("replay") as details:
            again = (await ada.pay(order["id"], key=key)).expect(201)
            expect(again.replayed and again.body == payment, "the same answer, marked as replayed")
            charges = (await world.state())["counts"]["charges"]
            expect(charges == 1, f"one charge, not {charges}")
            details.append("same Idempotency-Key: the stored answer, still one charge")
        return payment

    async def _refund(
        self, ada: Client, world: Control, order: dict[str, Any], payment: dict[str, Any]
    ) -> None:
        currency = order["currency"]
        async with self.step("part refund") as details:
            part = (await ada.refund(payment["id"], PART_MINOR)).expect(201).body
            expect(part["status"] == "succeeded", f"succeeded, not {part['status']}")
            kept = len(await world.shelf("ada"))
            expect(kept == len(GAMES), "a part refunded takes no game away")
            details.append(f"{money(part['amount'], currency)}; the customer keeps the games")
        async with self.step("full refund") as details:
            over = await ada.refund(payment["id"], order["total"])
            code = over.body.get("code")
            expect(code == "refund_exceeds_captured", f"an over-refund to be refused, not {code}")
            rest = (await ada.refund(payment["id"])).expect(201).body
            expect(rest["amount"] == order["total"] - PART_MINOR, f"the rest, not {rest}")
            details.append(f"{money(rest['amount'], currency)} left; more than that is refused")
        async with self.step("revoke") as details:
            await world.until("revoked", len(GAMES))
            await ada.until_status(f"/v1/orders/{order['id']}", "refunded")
            details.append("the games are gone from the Library; the order is refunded")


def expect(condition: bool, sentence: str) -> None:  # noqa: FBT001  reads as a sentence
    if not condition:
        raise ExpectationError(f"expected {sentence}")


def money(minor: int, currency: str) -> str:
    """Return an amount for people, such as 12.34 EUR; integers only."""
    if currency in NO_MINOR_UNIT:
        return f"{minor:,} {currency}"
    sign, (whole, part) = "-" if minor < 0 else "", divmod(abs(minor), 100)
    return f"{sign}{whole:,}.{part:02} {currency}"
