"""A small mixed load: buyers who pay, hesitate, return things, are declined, and come back."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from typing import Any, Final, Self

import aiohttp

from scripts.platform.client import Client, Reply, UnexpectedAnswerError
from scripts.platform.launcher import Platform
from scripts.platform.token import DEFAULT_SCOPES
from simulator.catalog import GAMES, invent
from simulator.client import Control, ControlError

RATE: Final = 4.0
"""Buyers a second: a request or two in each scrape, and half a core at most."""

MOST_AT_ONCE: Final = 80
"""Buyers who wait for an answer: four a second for as long as a request may take, and some."""

KNOWN: Final = tuple(f"game-{number}" for number in range(1, 21))
"""What is bought: cached, so that it can be sold while the Game Catalog is down."""

DEAR: Final = max(KNOWN, key=lambda game: invent(int(game.removeprefix("game-"))).prices["EUR"])
DEAR_QUANTITY: Final = 10
"""Of the dearest game: more than what makes a payment high-value."""

WENT_WRONG: Final = (aiohttp.ClientError, UnexpectedAnswerError, ControlError, TimeoutError)
"""What a fault does to a buyer; it is what the service's metrics are about."""

ADMIN: Final = f"{DEFAULT_SCOPES} payments:admin"


class Load:
    """Buyers who come one after another, each doing the next thing of `flows`.

    `paying`, `returning` and `browsing` switch parts of it off; `api_url` is where they go.
    """

    def __init__(self, running: Platform, control: Control) -> None:
        self.paying = True
        self.returning = True
        self.browsing = True
        self.begun = 0
        self.failed = 0
        self._platform = running
        self._control = control
        self._numbers = count(1)
        self._games = count(len(KNOWN) + 1)
        self._buyers: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        coming = asyncio.create_task(self._come(), name="load")

        async def end() -> None:
            coming.cancel()
            for buyer in self._buyers:
                buyer.cancel()
            await asyncio.gather(coming, *self._buyers, return_exceptions=True)

        self._stack.push_async_callback(end)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def buyer(self) -> tuple[Client, str]:
        """Return somebody new, and the name of the game that they want."""
        number = next(self._numbers)
        client = self._platform.client(f"buyer-{number}", ADMIN)
        return client, KNOWN[number % len(KNOWN)]

    async def _come(self) -> None:
        flows: tuple[Callable[[Client, str], Awaitable[None]], ...] = (
            self.buys,
            self.returns_some,
            self.is_declined,
            self.holds_and_takes,
            self.buys,
            self.holds_and_leaves,
            self.asks_the_bank,
            self.buys_dear,
            self.hesitates,
        )
        while True:
            if len(self._buyers) < MOST_AT_ONCE:
                flow = flows[self.begun % len(flows)]
                self.begun += 1
                buyer = asyncio.create_task(self._visit(flow))
                self._buyers.add(buyer)
                buyer.add_done_callback(self._buyers.discard)
            await asyncio.sleep(1 / RATE)

    async def _visit(self, flow: Callable[[Client, str], Awaitable[None]]) -> None:
        client, game = self.buyer()
        try:
            async with client:
                await self._looks_around(client)
                if self.paying:
                    await flow(client, game)
        except WENT_WRONG:
            self.failed += 1

    async def _looks_around(self, client: Client) -> None:
        await client.call("GET", "/v1/orders?limit=5")
        if self.browsing:
            game = f"game-{next(self._games) % GAMES + 1}"
            await client.call(
                "POST",
                "/v1/orders",
                json={"currency": "EUR", "items": [{"game_id": game, "quantity": 1}]},
            )

    async def buys(self, client: Client, game: str) -> None:
        """Order, pay, look at the order."""
        order = await client.order([game])
        await client.pay(order["id"])
        await client.read(f"/v1/orders/{order['id']}")

    async def buys_dear(self, client: Client, _: str) -> None:
        """Pay for an order of high value."""
        items = [{"game_id": DEAR, "quantity": DEAR_QUANTITY}]
        made = await client.call("POST", "/v1/orders", json={"currency": "EUR", "items": items})
        await client.pay(made.expect(201).body["id"])

    async def returns_some(self, client: Client, game: str) -> None:
        """Pay, and give back a part and then the rest."""
        payment = await self._paid(client, game)
        if self.returning:
            await client.refund(payment["id"], 100)
            await client.refund(payment["id"])
            await client.read(f"/v1/payments/{payment['id']}/timeline")

    async def is_declined(self, client: Client, game: str) -> None:
        """Try a card that the bank refuses."""
        order = await client.order([game])
        await client.pay(order["id"], payment_method="pm_declined")

    async def holds_and_takes(self, client: Client, game: str) -> None:
        """Authorize, and capture."""
        payment = await self._paid(client, game, capture="manual")
        await client.capture(payment["id"])

    async def holds_and_leaves(self, client: Client, game: str) -> None:
        """Authorize, and cancel."""
        payment = await self._paid(client, game, capture="manual")
        await client.cancel(payment["id"])

    async def asks_the_bank(self, client: Client, game: str) -> None:
        """Pay with a card whose bank asks its owner, who says yes."""
        payment = await self._paid(client, game, payment_method="pm_requires_action")
        detail = await client.read(f"/v1/admin/payments/{payment['id']}")
        await self._control.complete(str(detail["provider_ref"]))

    async def hesitates(self, client: Client, game: str) -> None:
        """Order, and cancel the order."""
        order = await client.order([game])
        await client.call("POST", f"/v1/orders/{order['id']}/cancel", json={})

    async def _paid(self, client: Client, game: str, **options: Any) -> dict[str, Any]:
        order = await client.order([game])
        reply: Reply = await client.pay(order["id"], **options)
        return reply.expect(201).body
