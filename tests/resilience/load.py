"""Customers who each buy one game and repeat every request until it has its final answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from uuid import uuid4

import aiohttp

from scripts.platform.client import Client, Reply
from tests.integration.api.conftest import Api

PATIENCE = 120  # repeats; a customer waits half a minute for a database that restarts
WAIT_S = 60  # longer than PostgreSQL takes to start on a busy machine
PAUSE_S = 0.25  # what a client does that is told to come back in a second, in a hurry
AGAIN = (409, 503)


class Load:
    """Customers who come one after the other in several lanes, until told to stop.

    `answers` counts what they were told, `bought` how many have paid.
    """

    def __init__(self, api: Api) -> None:
        self.api = api
        self.answers: Counter[int] = Counter()
        self.statuses: Counter[str] = Counter()
        self.bought = 0
        self._more = asyncio.Condition()
        self._stopping = False

    @asynccontextmanager
    async def running(self, lanes: int) -> AsyncIterator[None]:
        """Buy in so many lanes during the block; afterwards everybody has been served."""
        buying = [asyncio.create_task(self._lane(lane)) for lane in range(lanes)]
        try:
            yield
            self._stopping = True
            await asyncio.gather(*buying)
        finally:
            for lane in buying:
                lane.cancel()

    async def until_bought(self, more: int) -> None:
        """Wait until so many more have bought."""
        goal = self.bought + more
        async with asyncio.timeout(WAIT_S), self._more:
            await self._more.wait_for(lambda: self.bought >= goal)

    async def _lane(self, lane: int) -> None:
        for number in count():
            if self._stopping:
                return
            await self.buy(f"customer-{lane}-{number}")

    async def buy(self, user: str) -> None:
        """Order and pay one game."""
        async with self.api.client(user) as customer:
            order = await self._surely(customer, "/v1/orders", ORDER, key=None)
            body = {"order_id": order.body["id"]}
            paid = await self._surely(customer, "/v1/payments", body, key=str(uuid4()))
        self.statuses[paid.body["status"]] += 1
        async with self._more:
            self.bought += 1
            self._more.notify_all()

    async def _surely(self, customer: Client, path: str, body: object, *, key: str | None) -> Reply:
        for _ in range(PATIENCE):
            try:
                reply = await customer.call("POST", path, json=body, key=key)
            except aiohttp.ClientError:
                continue
            self.answers[reply.status] += 1
            if reply.status not in AGAIN:
                return reply.expect(201, 202)
            await asyncio.sleep(PAUSE_S)
        raise TimeoutError(f"no answer from {path} after {PATIENCE} tries")


ORDER = {"currency": "EUR", "items": [{"game_id": "game-1", "quantity": 1}]}
