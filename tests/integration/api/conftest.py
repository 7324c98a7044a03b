"""The whole API in this process, on real servers; workers run when a test says so."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from scripts.platform.client import Client
from scripts.platform.embedded import Valkey
from service.api.common import CONTEXT
from service.app import build
from service.retry import full_jitter_s
from service.settings import load
from service.usecases.context import Context
from service.workers import completer, inbox, jobs
from simulator.client import Control
from tests.support.services import ADMIN, QUICK, READ_WRITE, bearer, settings
from tests.support.webhooks import Hook

IMPATIENT = {  # a machine that is busy for half a second would time out what answers
    "PROVIDER_TIMEOUT_S": "0.5",
    "INTEGRATION_TIMEOUT_S": "0.5",
}


class Clock:
    """The service's clock, which a test can move."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """Return the time as the service sees it."""
        return datetime.now(UTC) + self.ahead

    def forward(self, **amount: float) -> None:
        """Let time pass."""
        self.ahead += timedelta(**amount)


@dataclass
class Api:
    """The running API and the means to look behind it."""

    url: str
    app: web.Application
    clock: Clock
    simulator: Control

    @property
    def context(self) -> Context:
        """Return the parts of the process, with the test's clock."""
        return self.app[CONTEXT]

    def client(self, user: str = "ada", scopes: str = READ_WRITE) -> Client:
        """Return a client that speaks for `user`."""
        return Client(self.url, bearer(user, scopes))

    def counted(self, series: str) -> float:
        """Return what a counter or gauge of this process stands at; its labels are written out."""
        lines = self.context.metrics.exposition().decode().splitlines()
        [line] = [line for line in lines if line.startswith(f"{series} ")]
        return float(line.split()[-1])

    async def complete(self) -> int:
        """Run the completer once; return how much it found."""
        return await completer.run_once(self.context)

    async def deliver(self) -> int:
        """Run the outbox relay until nothing is due; return how much it delivered."""
        total = 0
        while found := await jobs.relay_outbox(self.context):
            total += found
        return total

    async def process(self) -> int:
        """Run the inbox worker once; return how much it found."""
        return await inbox.run_once(self.context)

    async def expire(self) -> int:
        """Run the expiry worker once; return how much it found."""
        return await jobs.expire(self.context)

    async def sound(self) -> None:
        """Assert that every money invariant holds."""
        async with self.client("auditor", ADMIN) as auditor:
            found = await auditor.read("/v1/admin/invariants")
        assert {name for name, count in found["invariants"].items() if count} == set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _longest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each repeat wait for as long as it may, so that a test can say what is not due yet."""
    monkeypatch.setattr(full_jitter_s, "__kwdefaults__", {"random": lambda: 1.0})


Start = Callable[..., Awaitable[Api]]


@pytest.fixture
async def start_api(
    request: pytest.FixtureRequest,
    database_url: str,
    valkey: Valkey,
    simulator: Control,
    clock: Clock,
) -> AsyncIterator[Start]:
    """Give a function that starts the API; keyword arguments are settings."""
    servers: list[TestServer] = []
    patience = IMPATIENT if request.node.get_closest_marker("impatient") else {}

    async def start(**environ: str) -> Api:
        base = settings(
            database_url=database_url, redis_url=valkey.url, simulator_url=simulator.url
        )
        app = build(load({**base, **QUICK, **patience, **environ}), "api", clock)
        server = TestServer(app, host="127.0.0.1")
        servers.append(server)
        await server.start_server()
        return Api(str(server.make_url("")).rstrip("/"), app, clock, simulator)

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def api(start_api: Start) -> Api:
    """Give the API with the usual settings."""
    return await start_api()


@pytest.fixture
async def ada(api: Api) -> AsyncIterator[Client]:
    """Give a customer."""
    async with api.client() as client:
        yield client


@pytest.fixture
async def hook(api: Api) -> AsyncIterator[Hook]:
    """Give a sender of webhooks."""
    async with aiohttp.ClientSession() as session:
        yield Hook(api.url, session)
