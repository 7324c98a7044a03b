"""A merchants' server: it takes webhooks under several addresses, and answers as a test sets it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from scripts.platform.client import Client
from tests.support.serving import served

GOOD: Final = "good"
GONE: Final = "gone"
BROKEN: Final = "broken"
ENDPOINTS: Final = (GOOD, GONE, BROKEN)
OK: Final = 200


@dataclass
class Merchants:
    """`answers` is the status of each address; all take everything at first."""

    url: str = ""
    answers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ENDPOINTS, OK))
    ids: dict[str, str] = field(default_factory=dict)
    """The service's ids of the registered endpoints, by name."""

    async def take(self, request: web.Request) -> web.Response:
        """Take a webhook."""
        await request.read()
        return web.Response(status=self.answers[request.match_info["name"]])

    async def register(self, operator: Client) -> None:
        """Have the service send every event to each address."""
        for name in ENDPOINTS:
            body = {"url": f"{self.url}/{name}", "note": "registered by make live"}
            made = await operator.call("POST", "/v1/admin/webhook-endpoints", json=body)
            self.ids[name] = made.expect(201).body["endpoint"]["id"]


@asynccontextmanager
async def merchants() -> AsyncIterator[Merchants]:
    """Serve the merchants' addresses."""
    found = Merchants()
    app = web.Application()
    app.router.add_post("/{name}", found.take)
    async with served(app) as found.url:
        yield found
