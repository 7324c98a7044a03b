"""The payment provider over HTTP: by httpx in the mode plain, by aiohttp in the mode tuned."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
from payments import Payment

PATH = "/provider/v1/charges"
TIMEOUT_S = 10.0
CONNECTIONS = 1_024  # as many as requests under way: httpx has 100 by default


class OutcomeUnknownError(Exception):
    """The provider may have taken the money, or not."""


class HttpxProvider:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def charge(self, payment: Payment) -> str:
        try:
            answer = await self._client.post(PATH, json=_body(payment), headers=_headers(payment))
            answer.raise_for_status()
            return _reference(payment, answer.json())
        except (httpx.HTTPError, ValueError) as error:
            raise OutcomeUnknownError from error


class AiohttpProvider:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url + PATH

    async def charge(self, payment: Payment) -> str:
        try:
            async with self._session.post(
                self._url, json=_body(payment), headers=_headers(payment)
            ) as answer:
                answer.raise_for_status()
                return _reference(payment, await answer.json())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise OutcomeUnknownError from error


@asynccontextmanager
async def connect(
    url: str, key: str, *, tuned: bool
) -> AsyncIterator[HttpxProvider | AiohttpProvider]:
    headers = {"Authorization": f"Bearer {key}"}
    if tuned:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(
            connector=connector, headers=headers, timeout=timeout
        ) as session:
            yield AiohttpProvider(session, url)
    else:
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=TIMEOUT_S, limits=limits
        ) as client:
            yield HttpxProvider(client)


def _headers(payment: Payment) -> dict[str, str]:
    return {
        "Idempotency-Key": str(payment.attempt_id),
        "X-Correlation-ID": payment.correlation_id,
    }


def _body(payment: Payment) -> dict[str, Any]:
    return {
        "amount": payment.amount_minor,
        "currency": payment.currency,
        "capture": payment.capture == "automatic",
        "payment_method": payment.payment_method,
        "reference": str(payment.id),
    }


def _reference(payment: Payment, charge: dict[str, Any]) -> str:
    if charge["status"] != "succeeded" or charge["amount_captured"] != payment.amount_minor:
        raise ValueError(f"the charge is {charge['status']}")
    return str(charge["id"])
