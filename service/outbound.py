"""HTTP calls to providers and integrations: time-outs, correlation id, metrics.

An error says whether the call may have had an effect. No connection: surely not. Anything later
(a time-out, a reset, a 5xx, an answer that can't be read): nobody knows.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import hdrs
from yarl import URL

from service.call_results import CallError, CallOutcome, OutboundResponse
from service.retry import retry_after_s

CONNECT_TIMEOUT_S: Final = 2.0
"""Within a cluster a connection takes milliseconds; two seconds is one lost SYN retried."""

MAX_ANSWER_BYTES: Final = 1_048_576
"""No answer of a provider or an integration comes near a megabyte."""

_NUL: Final = rb"\u0000"
"""JSON's only spelling of NUL, which PostgreSQL's text can't hold; no code or id has one."""


_ANSWERS: Final = {
    400: CallOutcome.REFUSED,
    402: CallOutcome.DECLINED,  # by a buyer's bank
    404: CallOutcome.OK,  # "no such thing" is an answer
    409: CallOutcome.REFUSED,
    422: CallOutcome.REFUSED,
}
"""Answers about one request. What concerns all requests (401, 403, 429) is an error."""


Observe = Callable[[str, CallOutcome, float], None]
"""Called with the operation, its outcome and its duration in seconds."""


class Outbound:
    """Calls to one remote service."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        observe: Observe,
        correlation_id: Callable[[], str],
    ) -> None:
        self._session = session
        self._base = base_url.rstrip("/")
        self._headers = dict(headers)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_TIMEOUT_S)
        self._observe = observe
        self._correlation_id = correlation_id

    async def call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> OutboundResponse:
        """Call and return the answer, whatever its status below 500; raise CallError otherwise.

        `body` is sent as JSON, or `form` as an HTML form is.
        """
        started = time.perf_counter()
        outcome = CallOutcome.ERROR
        payload, kind = _payload(body, form)
        try:
            answer = await self._send(method, path, payload, query, {**kind, **(headers or {})})
            outcome = _outcome(answer.status)
        except CallError as error:
            outcome = error.outcome
            raise
        else:
            return answer
        finally:
            self._observe(operation, outcome, time.perf_counter() - started)

    async def _send(
        self,
        method: str,
        path: str,
        payload: bytes | None,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> OutboundResponse:
        url = URL(self._base + path, encoded=False)
        try:
            async with self._session.request(
                method,
                url,
                params=query,
                data=payload,
                headers={**self._headers, "X-Correlation-ID": self._correlation_id(), **headers},
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                return await _read(response)
        except aiohttp.ClientConnectorError as error:
            raise CallError(f"cannot connect: {error}", sent=False) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise CallError(
                "no connection in time", sent=False, outcome=CallOutcome.TIMEOUT
            ) from error
        except TimeoutError as error:
            raise CallError("no answer in time", sent=True, outcome=CallOutcome.TIMEOUT) from error
        except aiohttp.ClientError as error:
            raise CallError(f"connection broke: {type(error).__name__}", sent=True) from error


def _payload(body: Any, form: Mapping[str, str] | None) -> tuple[bytes | None, dict[str, str]]:
    """Return the bytes to send and the header that names their type."""
    if form is not None:
        return urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    if body is not None:
        return msgspec.json.encode(body), {"Content-Type": "application/json"}
    return None, {}


def _outcome(status: int) -> CallOutcome:
    """Return how a call ended."""
    if status < 400:  # noqa: PLR2004
        return CallOutcome.OK
    return _ANSWERS.get(status, CallOutcome.ERROR)


async def _read(response: aiohttp.ClientResponse) -> OutboundResponse:
    raw = await response.content.read(MAX_ANSWER_BYTES + 1)
    while not response.content.at_eof() and len(raw) <= MAX_ANSWER_BYTES:
        raw += await response.content.read(MAX_ANSWER_BYTES + 1 - len(raw))
    if len(raw) > MAX_ANSWER_BYTES:
        raise CallError("the answer is too large", sent=True)
    if response.status >= 500:  # noqa: PLR2004
        raise CallError(f"status {response.status}", sent=True)
    if _NUL in raw:
        raise CallError("the answer holds NUL", sent=True)
    rest_s = retry_after_s(response.headers.get(hdrs.RETRY_AFTER, ""), datetime.now(UTC))
    try:
        return OutboundResponse(response.status, msgspec.json.decode(raw) if raw else None, rest_s)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallError("the answer is not JSON", sent=True) from error
