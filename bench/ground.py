"""What every side of the benchmark stands on: PostgreSQL, Valkey and a provider."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from bench import history, peers
from scripts.platform import embedded
from scripts.platform.embedded import LOOPBACK, Postgres, Valkey, free_port
from scripts.platform.launcher import GENEROUS, until_ready
from scripts.platform.processes import Child, spawn
from service.store import migrate
from service.store.database import CONNECTION_SETTINGS

SECRET_BYTES: Final = 32


@dataclass
class Ground:
    """The servers, which run all the time, and the number of the last series of orders."""

    postgres: Postgres
    valkey: Valkey
    provider_url: str
    secret: str
    folder: Path
    processes: int
    parts: dict[str, list[int]]
    pool: int | None = None
    """A peer process's connections to PostgreSQL; what is best for it if None."""
    series: int = 0

    @property
    def url(self) -> str:
        """Return the database's URL."""
        return self.postgres.url()

    def next_series(self) -> int:
        """Return a number whose orders are not there yet."""
        self.series += 1
        return self.series

    def environ(self, database_url: str) -> dict[str, str]:
        """Return the settings of a server that pays: the service and its peers read the same."""
        return (
            os.environ
            | GENEROUS
            | {
                "HOST": LOOPBACK,
                "DATABASE_URL": database_url,
                "REDIS_URL": self.valkey.url,
                "JWT_SECRET": self.secret,
                "JWT_ISSUER": "coinslot",
                "JWT_AUDIENCE": "coinslot-api",
                "SIMULATOR_URL": self.provider_url,
                "SIMULATOR_API_KEY": "key",
                "LIBRARY_TOKEN": "token",
            }
        )


@contextmanager
def ground(folder: Path, *, processes: int, past: int, pool: int | None = None) -> Iterator[Ground]:
    """Start the servers with `past` payments in the database; raise EmbeddedError."""
    with (
        embedded.postgres(folder / "postgres", environ={}) as postgres,
        embedded.valkey(folder / "valkey", environ={}) as valkey,
        provider(folder) as (stub, provider_url),
    ):
        migrate.apply(postgres.url())
        peers.install_functions(postgres.url())
        history.fill(postgres.url(), past)
        history.analyze(postgres.url())
        parts = {
            "database": _pids(postgres.child),
            "provider": [stub.pid],
            "valkey": _pids(valkey.child),
        }
        secret = os.urandom(SECRET_BYTES).hex()
        yield Ground(postgres, valkey, provider_url, secret, folder, processes, parts, pool)


def connection_options() -> str:
    """Return the service's settings of a connection as libpq's `options`."""
    return " ".join(f"-c {_option(setting)}" for setting in CONNECTION_SETTINGS)


def with_options(database_url: str) -> str:
    """Return a URL of connections that have the service's settings."""
    return f"{database_url}?options={quote(connection_options())}"


def _option(setting: str) -> str:
    name, _, value = setting.removeprefix("SET ").partition(" = ")
    return "timezone=UTC" if name.startswith("TIME ZONE") else f"{name}={value}"


@contextmanager
def provider(folder: Path) -> Iterator[tuple[Child, str]]:
    """Run the provider; give it with its URL."""
    port = free_port()
    command = [sys.executable, "-m", "bench.provider", "--port", str(port)]
    child = spawn("provider", command, log=folder / "provider.log")
    url = f"http://{LOOPBACK}:{port}"
    try:
        asyncio.run(until_ready(child, url))
        yield child, url
    finally:
        child.stop()


def _pids(child: Child | None) -> list[int]:
    return [child.pid] if child else []
