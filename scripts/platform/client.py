"""A customer of the shop, over HTTP: what the demo and the end-to-end tests speak."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import uuid4

import aiohttp

TIMEOUT_S: Final = 30.0  # above the service's own limit of a request
POLL_S: Final = 0.05


class UnexpectedAnswerError(Exception):
    """The service answered with another status than the caller expected."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def replayed(self) -> bool:
        return self.headers.get("Idempotent-Replayed") == "true"

    def expect(self, *statuses: int) -> Self:
        if self.status not in statuses:
            raise UnexpectedAnswerError(f"{self.status}, not {statuses}: {self.body}")
        return self


class Client:
    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        own = {"Idempotency-Key": key} if key is not None else {}
        async with self._session.request(
            method, self._url + path, json=json, headers={**own, **(headers or {})}
        ) as response:
            body = await response.json(content_type=None)
            return Reply(response.status, dict(response.headers), body)

    async def order(self, games: Sequence[str], currency: str = "EUR") -> dict[str, Any]:
        items = [{"game_id": game, "quantity": 1} for game in games]
        body = {"currency": currency, "items": items}
        return (await self.call("POST", "/v1/orders", json=body)).expect(201).body

    async def post(self, path: str, body: Mapping[str, Any], key: str | None) -> Reply:
        return await self.call("POST", path, json=body, key=key or str(uuid4()))

    async def pay(self, order_id: str, *, key: str | None = None, **options: Any) -> Reply:
        """Pay an order; options are `capture`, `payment_method` and `provider`."""
        return await self.post("/v1/payments", {"order_id": order_id, **options}, key)

    async def capture(
        self, payment_id: str, amount: int | None = None, *, key: str | None = None
    ) -> Reply:
        body = {} if amount is None else {"amount": amount}
        return await self.post(f"/v1/payments/{payment_id}/capture", body, key)

    async def cancel(self, payment_id: str, *, key: str | None = None) -> Reply:
        return await self.post(f"/v1/payments/{payment_id}/cancel", {}, key)

    async def refund(
        self, payment_id: str, amount: int | None = None, *, key: str | None = None
    ) -> Reply:
        body = {"reason": "requested_by_customer"} | ({} if amount is None else {"amount": amount})
        return await self.post(f"/v1/payments/{payment_id}/refunds", body, key)

    async def read(self, path: str) -> dict[str, Any]:
        return (await self.call("GET", path)).expect(200).body

    async def until(
        self, path: str, holds: Callable[[dict[str, Any]], bool], *, timeout_s: float = 15.0
    ) -> dict[str, Any]:
        """Read a path again and again until something holds; raise TimeoutError with the last."""
        deadline = time.monotonic() + timeout_s
        while not holds(body := await self.read(path)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} after {timeout_s:g} s: {body}")
            await asyncio.sleep(POLL_S)
        return body

    async def until_status(self, path: str, status: str) -> dict[str, Any]:
        return await self.until(path, lambda body: body["status"] == status)
