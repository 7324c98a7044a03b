"""Real processes of the service and of the simulator, for tests that look from outside."""

import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scripts.platform import token
from scripts.platform.client import Client
from scripts.platform.embedded import LOOPBACK, free_port
from scripts.platform.launcher import listens, start_role, stop_timeout_s, until_ready
from scripts.platform.processes import Child

JWT_SECRET: Final = "a secret for tests that is longer than 32 bytes"
SIMULATOR_SECRETS: Final = {
    "SIMULATOR_API_KEY": "simulator-key-of-the-tests",
    "LIBRARY_TOKEN": "library-token-of-the-tests",
    "SIMULATOR_WEBHOOK_SECRETS": "webhook-secret-of-the-tests",
}
QUICK: Final = {
    "WORKER_POLL_S": "0.05",  # tests wait for what workers do
    "UNKNOWN_RETRY_S": "0.2",
    "RATE_LIMIT_USER": "1000000",  # a test is a user in a hurry; its own tests lower the limits
    "RATE_LIMIT_ADDRESS": "1000000",
}
MEASURING: Final = ("COVERAGE_PROCESS_CONFIG",)
"""How coverage.py tells a child process to measure too: `make coverage`."""

READ_WRITE: Final = "payments:read payments:write"
ADMIN: Final = f"{READ_WRITE} payments:admin"


def bearer(user: str, scopes: str = READ_WRITE, *, ttl_s: int = 600) -> str:
    """Return a token that the services of a test accept."""
    return token.make(JWT_SECRET, user, scopes, ttl_s=ttl_s, environ={})


@dataclass(frozen=True)
class Service:
    """A running role of the service; `ops_url` has its metrics, and is all that a worker has."""

    url: str
    ops_url: str
    child: Child
    environ: Mapping[str, str]

    def client(self, user: str, scopes: str = READ_WRITE) -> Client:
        """Return a client that speaks for `user`; use it as an async context manager."""
        return Client(self.url, bearer(user, scopes))

    def stop(self) -> int:
        """Stop it as a deployment would; return its exit code."""
        return self.child.stop(stop_timeout_s(self.environ))

    def records(self, event: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield its log lines, or those of one event."""
        for line in self.child.log.read_text().splitlines():
            record = json.loads(line)
            if event in (None, record["event"]):
                yield record


@dataclass
class Services:
    """Starts roles of the service with common settings; `environ` may be changed before."""

    folder: Path
    environ: dict[str, str]
    running: list[Service] = field(default_factory=list)

    async def __call__(
        self, role: str, *, clock_offset_s: float | str = 0, **environ: str
    ) -> Service:
        """Start `api` or `worker` and wait until it is ready; `environ` overrides settings.

        Its system clock is ahead of the machine's by `clock_offset_s`, or behind.
        """
        service = self.launch(role, clock_offset_s=clock_offset_s, **environ)
        await until_ready(service.child, service.url)
        return service

    def launch(self, role: str, *, clock_offset_s: float | str = 0, **environ: str) -> Service:
        """Start a role without waiting."""
        url, ops_url = (f"http://{LOOPBACK}:{free_port()}" for _ in range(2))
        ops_url = ops_url if role == "api" else url
        settings = self.environ | environ
        log = self.folder / f"{len(self.running)}-{role}.log"
        skewed = ("tests.support.skewed", str(clock_offset_s))
        module = skewed if clock_offset_s else ("service",)
        child = start_role(role, settings | listens(role, url, ops_url), log, module=module)
        service = Service(url, ops_url, child, settings)
        self.running.append(service)
        return service


@asynccontextmanager
async def services(folder: Path, environ: Mapping[str, str]) -> AsyncIterator[Services]:
    """Give a starter of services, and stop what still runs at the end."""
    starter = Services(folder, dict(environ))
    try:
        yield starter
    finally:
        for service in reversed(starter.running):
            service.child.stop(stop_timeout_s(service.environ))


def settings(*, database_url: str, redis_url: str, simulator_url: str) -> dict[str, str]:
    """Return the environment of a service under test: nothing leaks in from outside."""
    return {
        "HOST": LOOPBACK,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "JWT_SECRET": JWT_SECRET,
        "SIMULATOR_URL": simulator_url,
        "LIBRARY_URL": simulator_url,
        "GAME_CATALOG_URL": simulator_url,
        **SIMULATOR_SECRETS,
        **QUICK,
        **{name: os.environ[name] for name in MEASURING if name in os.environ},
    }
