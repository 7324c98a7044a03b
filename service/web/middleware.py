"""What every request goes through: its correlation id, its log line, its metrics, its deadline."""

import asyncio
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from service import logs
from service.errors import RequestTimeoutError, UnsupportedMediaTypeError
from service.metric_catalog import HTTP_DURATION, HTTP_REQUESTS
from service.metrics import Metrics

CORRELATION_ID: Final = "X-Correlation-ID"
TRACEPARENT: Final = "traceparent"
IDENTITY: Final = "identity"
"""The only content coding of a request's body: none (RFC 9110, 12.5.3)."""

OTHER: Final = "other"
"""The `method` of requests by a method that HTTP doesn't know."""
UNMATCHED: Final = "unmatched"
"""The `route` of requests that no route took, so that a scanner can't make up label values."""

QUIET: Final = re.compile(r"/health/|/metrics$")
"""Routes that machines ask every few seconds; their lines are at level debug."""

RETRY_AFTER_TIMEOUT_S: Final = 2
"""Long enough for the shielded writes of the first request, which go on, to be through."""

_SAFE: Final = (
    (hdrs.SERVER, "coinslot"),  # not which Python and which library
    (hdrs.CACHE_CONTROL, "no-store"),  # answers belong to one user
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Frame-Options", "DENY"),  # for browsers that don't know frame-ancestors
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
)
"""Security headers of every answer, unless it sets them itself."""

_METHODS: Final = hdrs.METH_ALL
_CORRELATION: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})"
    r"-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-.*)?"
)

_log = logs.get_logger(__name__)


def correlation_of(header: str | None) -> str:
    """Return the caller's correlation id if it is fit for a log line, else a new one."""
    if header is not None and _CORRELATION.fullmatch(header):
        return header
    return secrets.token_hex(16)


def trace_of(header: str | None) -> str | None:
    """Return the trace id of a W3C traceparent (Trace Context, 3.2), or None if it is invalid."""
    match = _TRACEPARENT.fullmatch(header) if header else None
    if match is None or (match["version"] == "00" and match["more"]):
        return None
    return match["trace"]


def observe(metrics: Metrics) -> Middleware:
    """Return the outermost middleware: it sees every request and the answer that it gets."""
    log = _log.bind()  # assembled once, and not for each line of each request

    @web.middleware
    async def observed(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        identifier = correlation_of(request.headers.get(CORRELATION_ID))
        logs.bind(correlation_id=identifier)
        if trace := trace_of(request.headers.get(TRACEPARENT)):
            logs.bind(trace_id=trace)
        try:
            answer = await handler(request)
        except asyncio.CancelledError:
            log.warning("http_request_canceled", method=request.method, route=route_of(request))
            raise
        set_headers(answer, identifier)
        duration_s = time.perf_counter() - started
        _count(metrics, request, answer.status, duration_s)
        _log_request(log, request, answer.status, duration_s)
        return answer

    return observed


def route_of(request: web.Request) -> str:
    """Return the template of the route that took a request, or UNMATCHED."""
    resource = request.match_info.route.resource
    return UNMATCHED if resource is None else resource.canonical


@web.middleware
async def plain_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a body with a content coding, on every route, before anything reads it.

    A small one can unpack into gigabytes, and no client of ours has a reason to send one.
    """
    for coding in ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, ())).split(","):
        if coding.strip().lower() not in ("", IDENTITY):
            raise UnsupportedMediaTypeError("Send the body without a Content-Encoding")
    return await handler(request)


class Deadline:
    """The end of what a request may take, without what its client takes to send the body."""

    def __init__(self, limit: asyncio.Timeout, timeout_s: float) -> None:
        self._limit = limit
        self._timeout_s = timeout_s

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Count nothing meanwhile, and all of the time again from the end on."""
        self._reschedule(None)
        yield
        self._reschedule(asyncio.get_running_loop().time() + self._timeout_s)

    def _reschedule(self, when: float | None) -> None:
        if not self._limit.expired():  # else the next wait is canceled anyway
            self._limit.reschedule(when)


DEADLINE: Final = web.RequestKey("deadline", Deadline)


def deadline(timeout_s: float) -> Middleware:
    """Return a middleware that answers 503 when a request takes longer than `timeout_s`.

    Reading the body has a bound of its own (service/web/parse.py): what a slow client takes is
    not what we take.
    """

    @web.middleware
    async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
        limit = asyncio.timeout(timeout_s)
        request[DEADLINE] = Deadline(limit, timeout_s)
        try:
            async with limit:
                return await handler(request)
        except TimeoutError:
            if limit.expired():
                raise RequestTimeoutError(retry_after_s=RETRY_AFTER_TIMEOUT_S) from None
            raise  # somebody else's timeout that nobody foresaw

    return limited


def set_headers(answer: web.StreamResponse, identifier: str) -> None:
    """Set the headers that every answer has."""
    headers = answer.headers
    headers[CORRELATION_ID] = identifier
    for name, value in _SAFE:
        headers.setdefault(name, value)


def count_unmatched(metrics: Metrics, status: int) -> None:
    """Count an answer to what no middleware has seen, because it was no HTTP."""
    metrics.inc(HTTP_REQUESTS, method=OTHER, route=UNMATCHED, status=str(status))


def _count(metrics: Metrics, request: web.Request, status: int, duration_s: float) -> None:
    route, method = route_of(request), _method(request)
    metrics.inc(HTTP_REQUESTS, method=method, route=route, status=str(status))
    metrics.observe(HTTP_DURATION, duration_s, method=method, route=route)


def _log_request(log: logs.Logger, request: web.Request, status: int, duration_s: float) -> None:
    route = route_of(request)
    emit = log.debug if QUIET.match(route) else log.info
    emit(
        "http_request",
        method=_method(request),
        route=route,
        status=status,
        duration_ms=round(duration_s * 1000, 2),
    )


def _method(request: web.Request) -> str:
    return request.method if request.method in _METHODS else OTHER
