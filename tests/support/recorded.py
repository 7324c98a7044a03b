"""A small HTTP server that answers as Stripe does, one by one, and keeps what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web


@dataclass
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    raw_path: str = ""


@dataclass
class Recorded:
    """The next answers, in order: a status and a body, or what else the server does.

    `retry_after` is the Retry-After of every answer that has the status 429.
    """

    url: str = ""
    answers: list[tuple[int, Any] | str] = field(default_factory=list)
    otherwise: "Callable[[Asked], tuple[int, Any]] | None" = None
    retry_after: str | None = None
    asked: list[Asked] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def will(self, *answers: tuple[int, Any] | str) -> None:
        """Answer so from now on; "reset" and "silence" are no answers."""
        self.answers = list(answers)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Give the next answer."""
        text = (await request.read()).decode()
        asked = Asked(
            request.method,
            request.path,
            dict(request.query),
            dict(parse_qsl(text, keep_blank_values=True)),
            dict(request.headers),
            request.raw_path.partition("?")[0],
        )
        self.asked.append(asked)
        self.arrived.set()
        match self._next(asked):
            case "reset":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "silence":
                await self.closing.wait()
                return web.Response()
            case (int(status), str(body)):
                return web.Response(status=status, text=body, content_type="application/json")
            case (int(status), bytes(raw)):
                return web.Response(status=status, body=raw, content_type="application/json")
            case (int(status), body):
                answer = web.json_response(body, status=status)
                if status == 429 and self.retry_after is not None:
                    answer.headers["Retry-After"] = self.retry_after
                return answer
        raise AssertionError("no such answer")

    def _next(self, asked: Asked) -> tuple[int, Any] | str:
        if self.answers or self.otherwise is None:
            return self.answers.pop(0)
        return self.otherwise(asked)


@asynccontextmanager
async def recorded_server() -> AsyncIterator[Recorded]:
    """Give a running server."""
    recorded = Recorded()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorded.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        recorded.url = f"http://{host}:{port}"
        yield recorded
    finally:
        recorded.closing.set()
        await runner.cleanup()


def intent(status: str, **more: Any) -> dict[str, Any]:
    """Return a PaymentIntent over 19.99 EUR, shortened to what we and a reader need."""
    received = 1999 if status == "succeeded" else 0
    return {
        "id": "pi_3PgafyB7WZ01zgkW",
        "object": "payment_intent",
        "amount": 1999,
        "amount_received": received,
        "currency": "eur",
        "created": 1_790_000_000,
        "metadata": {},
        "client_secret": "pi_3PgafyB7WZ01zgkW_secret_Dm43xiq1k0",
        "last_payment_error": None,
        "next_action": None,
        "latest_charge": None,
        "livemode": False,
        "status": status,
        **more,
    }


def paid(asked: Asked) -> tuple[int, Any]:
    """Answer a charge as Stripe does when all is well, with what was asked for."""
    minor = int(asked.form["amount"])
    key = asked.headers["Idempotency-Key"]
    done = intent("succeeded", id=f"pi_{key}", amount=minor, amount_received=minor)
    return 200, {**done, "currency": asked.form["currency"]}


def error(kind: str, code: str | None = None, **more: Any) -> dict[str, Any]:
    """Return an error in Stripe's form."""
    return {
        "error": {
            "type": kind,
            "message": "What Stripe tells developers.",
            "request_log_url": "https://dashboard.stripe.com/test/logs/req_x",
            **({"code": code} if code else {}),
            **more,
        }
    }


def refund(status: str | None, **more: Any) -> dict[str, Any]:
    """Return a Refund of 5.00 EUR."""
    return {
        "id": "re_3PgafyB7WZ01zgkW",
        "object": "refund",
        "amount": 500,
        "currency": "eur",
        "metadata": {},
        "payment_intent": "pi_3PgafyB7WZ01zgkW",
        "status": status,
        **more,
    }


def page(*data: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    """Return a page of a list."""
    return {"object": "list", "data": list(data), "has_more": has_more, "url": "/v1/x"}
