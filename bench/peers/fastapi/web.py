"""What every request goes through: correlation id, size, metrics, log line, problem documents."""

import json
import re
import secrets
import sys
import time
from http import HTTPStatus
from typing import Self

import structlog
from fastapi import Request, Response
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 65_536
PAY = "/v1/payments"
SAFE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
REQUESTS = Counter("http_requests", "Requests by route and status", ["method", "route", "status"])
DURATION = Histogram("http_request_duration_seconds", "Duration of requests", ["method", "route"])
PAYMENTS = Counter("payments", "Payments by status", ["status", "provider"])

_CORRELATION = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REFUSALS = {
    "key_reused": (422, "idempotency_key_reused", "This key belongs to another request"),
    "in_flight": (409, "idempotency_key_in_flight", "The first request is still running"),
    "not_found": (404, "not_found", "No such order"),
    "live_payment": (409, "live_payment_exists", "The order has a payment"),
    "order_not_payable": (409, "order_not_payable", "The order can't be paid"),
    "owned": (409, "already_owned", "The user owns a game of the order"),
}

structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ],
    logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    cache_logger_on_first_use=True,
)
log = structlog.get_logger()


class ProblemError(Exception):
    """An error that is answered with a problem document."""

    def __init__(
        self, status: int, code: str, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = headers or {}

    @classmethod
    def of(cls, state: str) -> Self:
        return cls(*_REFUSALS[state])


async def answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101  it is registered for nothing else
    return problem(request, error.status, error.code, error.detail, error.headers)


def problem(
    request: Request, status: int, code: str, detail: str, headers: dict[str, str] | None = None
) -> Response:
    body = {
        "type": f"urn:coinslot:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "correlation_id": request.state.correlation_id,
    }
    return Response(json.dumps(body), status, headers, media_type="application/problem+json")


class Observed:
    """The outermost layer; it is plain ASGI, which is cheaper than a middleware function."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PAY:
            await self._app(scope, receive, send)
            return
        started, method = time.perf_counter(), scope["method"]
        headers = Headers(scope=scope)
        given = headers.get("x-correlation-id", "")
        identifier = given if _CORRELATION.fullmatch(given) else secrets.token_hex(16)
        state = scope.setdefault("state", {})
        state["correlation_id"] = identifier
        status = 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["X-Correlation-ID"] = identifier
                for name, value in (SAFE | state.get("headers", {})).items():
                    answer[name] = value
            await send(message)

        if int(headers.get("content-length", "0")) > MAX_BODY or "transfer-encoding" in headers:
            refusal = problem(Request(scope), 413, "payload_too_large", "The body is too large")
            await refusal(scope, receive, observed)
        else:
            try:
                await self._app(scope, receive, observed)
            except Exception:
                log.exception("unexpected_error", correlation_id=identifier)
                refusal = problem(Request(scope), 500, "internal_error", "Something went wrong")
                await refusal(scope, receive, observed)
        took_s = time.perf_counter() - started
        REQUESTS.labels(method, PAY, str(status)).inc()
        DURATION.labels(method, PAY).observe(took_s)
        log.info(
            "http_request",
            correlation_id=identifier,
            method=method,
            route=PAY,
            status=status,
            user_id=state.get("user_id"),
            payment_id=state.get("payment_id"),
            order_id=state.get("order_id"),
            duration_ms=round(took_s * 1_000, 2),
        )
