"""The merchants' endpoints: one POST a try, whatever they are and however they behave."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import aiohttp
import msgspec

from service.egress import ForbiddenAddressError

CONNECT_TIMEOUT_S: Final = 5.0
"""Across the internet; three lost SYNs are repeated within it."""

DRAIN_BYTES: Final = 4_096
DRAIN_S: Final = 0.5
"""How much of an answer's body is read, so that its connection can be used again, and how long.
Nothing of it is looked at: the status says it all."""

USER_AGENT: Final = "coinslot-webhooks"


class MerchantResponse(msgspec.Struct, frozen=True):
    """An endpoint's answer; `retry_after` is its Retry-After as it came, or empty."""

    status: int
    retry_after: str


class UnreachableError(Exception):
    """No answer; the message says why without naming addresses, and `outcome` for metrics."""

    def __init__(self, message: str, outcome: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class Merchants:
    """Sends to endpoints over a session that connects to public addresses only."""

    def __init__(self, session: aiohttp.ClientSession, timeout_s: float) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> MerchantResponse:
        """Send once and return the answer; raise UnreachableError. Redirects are answers."""
        fixed = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        try:
            async with self._session.post(
                url,
                data=body,
                headers={**headers, **fixed},
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                await _drain(response)
                return MerchantResponse(response.status, response.headers.get("Retry-After", ""))
        except aiohttp.ClientConnectorError as error:
            raise _not_connected(error) from error
        except TimeoutError as error:
            raise UnreachableError("no answer in time", "timeout") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise UnreachableError(f"no answer: {type(error).__name__}", "error") from error


def _not_connected(error: aiohttp.ClientConnectorError) -> UnreachableError:
    if isinstance(error.os_error, ForbiddenAddressError):
        return UnreachableError(str(error.os_error), "refused")
    return UnreachableError(f"cannot connect: {type(error).__name__}", "error")


async def _drain(response: aiohttp.ClientResponse) -> None:
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(DRAIN_S):
            await response.content.read(DRAIN_BYTES)
