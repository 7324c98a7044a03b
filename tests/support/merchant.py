"""A merchant's server: it accepts webhooks, answers as a test says, and checks signatures."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

from scripts.platform.client import Client

MASTER: Final = "m1:planted-9f3b2c7e-a-master-key-for-tests"
TAKES_LOOPBACK: Final = {
    "WEBHOOK_MASTER_KEYS": MASTER,
    "WEBHOOK_URL_SCHEMES": "http+https",
    "WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8",
}
"""Settings with which a test's server can be sent to."""

NOTE: Final = {"note": "a test"}
Json = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """A webhook as it came."""

    headers: dict[str, str]
    body: bytes
    path: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(self.read()["type"])

    def read(self) -> Json:
        """Return the body."""
        found: Json = msgspec.json.decode(self.body)
        return found

    def verify(self, secret: str) -> Json:
        """Return the body if the reference verifier takes it. It knows only the real time."""
        found: Json = Webhook(secret).verify(self.body, self.headers)
        return found


@dataclass
class Merchant:
    """What has come, and what is answered: the next of `answers`, or 200."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)
    answers: deque[web.Response | int] = field(default_factory=deque)
    always: int | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, nothing is answered."""
    under_way: int = 0
    most_under_way: int = 0

    async def take(self, request: web.Request) -> web.Response:
        """Take a webhook."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.messages.append(Message(headers, body, request.path))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.open.wait()
        finally:
            self.under_way -= 1
        if self.always is not None:
            return web.Response(status=self.always)
        answer = self.answers.popleft() if self.answers else 200
        return web.Response(status=answer) if isinstance(answer, int) else answer

    @property
    def types(self) -> list[str]:
        return [message.type for message in self.messages]


@asynccontextmanager
async def merchant() -> AsyncIterator[Merchant]:
    """Run a merchant's server."""
    found = Merchant()
    found.open.set()
    app = web.Application()
    app.router.add_post("/{tail:.*}", found.take)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    found.url = str(server.make_url("/hooks"))
    try:
        yield found
    finally:
        found.open.set()
        await server.close()


async def register(operator: Client, url: str, *types: str) -> tuple[Json, str]:
    """Register an endpoint; return it and its secret."""
    body = {"url": url, **NOTE, **({"event_types": list(types)} if types else {})}
    made = (await operator.call("POST", "/v1/admin/webhook-endpoints", json=body)).expect(201).body
    return made["endpoint"], made["secret"]


async def act(operator: Client, endpoint: Json, what: str, **body: Any) -> Any:
    """Do something to an endpoint; return the answer."""
    path = f"/v1/admin/webhook-endpoints/{endpoint['id']}{what}"
    return await operator.call("PATCH" if not what else "POST", path, json={**NOTE, **body})


async def deliveries(operator: Client, endpoint: Json, state: str = "all") -> list[Json]:
    """Return an endpoint's deliveries, newest first."""
    path = f"/v1/admin/webhook-endpoints/{endpoint['id']}/deliveries?state={state}"
    found: list[Json] = (await operator.read(path))["items"]
    return found
