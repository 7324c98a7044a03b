"""A small API of its own, one endpoint for each thing that the frame promises."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestClient

from service.errors import (
    AlreadyOwnedError,
    OrderNotPayableError,
    OverloadedError,
)
from service.store.cache import Cache
from service.store.database import ConnectionLostError
from service.store.quotas import Quotas
from service.web.endpoint import Call, Endpoint, Nothing, Reply
from service.web.parse import TEXT

Client = TestClient[web.Request, web.Application]
Connect = Callable[..., Awaitable[Client]]
Token = Callable[..., str]
Lines = Callable[..., list[dict[str, Any]]]


def in_memory() -> Quotas:
    """Return counts that no other process shares."""
    return Quotas(Cache("", 1, lambda _cache, _outcome: None))


Text = Annotated[str, msgspec.Meta(pattern=TEXT)]


class Line(msgspec.Struct, forbid_unknown_fields=True):
    game_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=TEXT)]
    quantity: Annotated[int, msgspec.Meta(ge=1, le=10)]


class Order(msgspec.Struct, forbid_unknown_fields=True):
    currency: Text
    items: Annotated[list[Line], msgspec.Meta(min_length=1, max_length=20)]


class Page(msgspec.Struct, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    order_id: UUID | None = None
    note: Text | None = None


class Echo(msgspec.Struct):
    said: Any


async def create(call: Call[Order, Nothing]) -> Reply:
    said = [call.caller.user_id, call.idempotency_key, call.body, call.fingerprint]
    return Reply(201, Echo(said), {"Location": "/v1/things/1"})


async def read(call: Call[Nothing, Nothing]) -> Reply:
    return Reply(200, Echo([call.ids["thing_id"], call.path_slugs["kind"], call.correlation_id]))


async def listing(call: Call[Nothing, Page]) -> Reply:
    return Reply(200, Echo(call.query))


async def raw(call: Call[bytes, Nothing]) -> Reply:
    return Reply(200, call.body)


async def fail(call: Call[Nothing, Nothing]) -> Reply:
    match call.path_slugs["how"]:
        case "declared":
            raise OrderNotPayableError("It is canceled")
        case "busy":
            raise OverloadedError(retry_after_s=7)
        case "owned":
            raise AlreadyOwnedError
        case "lost":
            raise ConnectionLostError
        case "timeout":
            raise TimeoutError("of somebody else")
        case "public":
            return Reply(200, Echo(call.caller.user_id))
        case "teapot":
            raise web.HTTPUnavailableForLegalReasons(link=None, reason="the raw reason")
        case "moved":
            raise web.HTTPFound("/health/live")
        case _:
            raise RuntimeError("postgresql://u:hunter2@db/x said no")


async def fingerprint(call: Call[Nothing, Nothing]) -> Reply:
    return Reply(200, Echo(call.fingerprint))


async def odd(_call: Call[Nothing, Nothing]) -> Reply:
    return Reply(299, b"{}")


class Slow:
    """A handler that tells when it begins, and waits until it is let go."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def handle(self, _call: Call[Nothing, Nothing]) -> Reply:
        self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self._end("canceled")
            raise
        self._end("finished")
        return Reply(200, b"{}")

    def _end(self, how: str) -> None:
        if not self.ended.done():  # the first one's end
            self.ended.set_result(how)


def endpoint(method: str, path: str, handler: Any, **more: Any) -> Endpoint:
    given = {"scope": None, "responses": {200: Echo}, "tag": "things", **more}
    return Endpoint(method, path, handler, **given)


def table(slow: Slow) -> tuple[Endpoint, ...]:
    return (
        endpoint(
            "POST",
            "/v1/things",
            create,
            scope="things:write",
            idempotent=True,
            responses={201: Echo},
        ),
        endpoint("GET", "/v1/things", listing),
        endpoint("GET", "/v1/things/{thing_id}/{kind}", read, scope="things:read"),
        endpoint("POST", "/v1/raw", raw),
        endpoint("POST", "/v1/things/{thing_id}/print", fingerprint),
        endpoint("POST", "/v1/fail/{how}", fail, errors=(OrderNotPayableError,)),
        endpoint("POST", "/v1/slow", slow.handle),
        endpoint("POST", "/v1/odd", odd),
    )
