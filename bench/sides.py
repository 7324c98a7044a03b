"""The sides of the benchmark: how each is started, given its orders and loaded."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from bench import orders, peers, pgbench, usage, wrk
from bench.ground import Ground, with_options
from bench.report import OURS
from scripts.platform.embedded import LOOPBACK, free_port
from scripts.platform.launcher import listens, start_role, until_ready
from scripts.platform.processes import Child, spawn

CLIENTS: Final = 16
BATCHED_CLIENTS: Final = 2
"""The best of 1 to 4 on two cores: one leaves a core idle at times, more wait for each other."""

POOLS: Final = {
    "go_pgx": 16,
    "go_pgx_tuned": 32,
    "fastapi_asyncpg": 16,
    "fastapi_asyncpg_tuned": 16,
}
"""A peer process's connections to PostgreSQL: the best of 8, 16, 32 and 64 at 64 connections."""


@dataclass(frozen=True)
class Loaded:
    """What a load measured; percentiles are None where nobody measures them.

    `made` of the answers say that an order was paid, `errors` do not. `began_s` is when a load
    began whose last requests are still under way when it ends, by the monotonic clock.
    `database_mb` is PostgreSQL's private memory where it is no longer there when the load ends.
    """

    rate: float
    made: int
    errors: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    began_s: float | None = None
    database_mb: float | None = None


class Running(Protocol):
    """A side that runs, loaded with a number of connections."""

    @property
    def pids(self) -> Sequence[int]:
        """Return the server's processes."""

    def prepare(self, series: int, count: int) -> int:
        """Make orders of a series, `count` or more; return how many."""

    def load(self, series: int, seconds: int) -> Loaded:
        """Pay them, for so many seconds."""


Start = Callable[[Ground, str, int], AbstractContextManager[Running]]
"""Starts a side on a database's URL for a number of connections, and stops it."""


@dataclass(frozen=True)
class Side:
    """One candidate. `levels` are the numbers of connections it is measured at; none: at all."""

    name: str
    title: str
    start: Start
    pays: bool = True
    levels: tuple[int, ...] = ()
    about: str = ""


@dataclass
class PgbenchRun:
    """pgbench, which is its own load generator."""

    ground: Ground
    database_url: str
    script: pgbench.Script
    clients: int
    pids: Sequence[int] = ()

    def prepare(self, series: int, count: int) -> int:
        """Make as many orders for each client."""
        return pgbench.make_orders(
            self.ground.url, self.script, self.clients, series=series, count=count
        )

    def load(self, series: int, seconds: int) -> Loaded:
        """Run pgbench."""
        memory_mb: list[float] = []  # while it runs: its connections end with it
        servers = self.ground.parts["database"]
        look = threading.Timer(seconds / 2, lambda: memory_mb.append(usage.private_mb(servers)))
        look.start()
        found = pgbench.run(
            self.database_url,
            self.script,
            self.clients,
            series=series,
            seconds=seconds,
            folder=self.ground.folder,
        )
        look.join()
        return Loaded(found.rate, found.payments, database_mb=max(memory_mb))


@dataclass
class ServerRun:
    """A server that answers POST /v1/payments, loaded by two wrk (one for one connection)."""

    ground: Ground
    children: Sequence[Child]
    urls: Sequence[str]
    connections: int
    pays: bool = True
    files: list[Path] = field(default_factory=list)

    @property
    def pids(self) -> Sequence[int]:
        """Return the server's processes."""
        return [child.pid for child in self.children]

    def prepare(self, series: int, count: int) -> int:
        """Make orders, and a file of them for each wrk."""
        if not self.pays:
            count = 1
        many = min(len(self.urls), self.connections)
        each = -(-count // many)
        if self.pays:
            orders.make(self.ground.url, round_=series, start=1, stop=each * many)
        self.files = [self.ground.folder / f"orders-{n}" for n in range(many)]
        for n, file in enumerate(self.files):
            share = {"start": n * each + 1, "stop": (n + 1) * each}
            wrk.write_orders(file, secret=self.ground.secret, series=series, **share)
        return each * many

    def load(self, series: int, seconds: int) -> Loaded:
        """Run wrk on the orders that are prepared."""
        del series
        urls = self.urls[: len(self.files)]
        found = asyncio.run(wrk.load(urls, self.files, self.connections, seconds))
        ended_s = time.monotonic()
        for child in self.children:
            if child.returncode is not None:
                raise child.died()
        return Loaded(
            found.rate,
            found.requests - found.refused,
            found.errors,
            found.p50_us / 1e3,
            found.p95_us / 1e3,
            found.p99_us / 1e3,
            began_s=ended_s - found.duration_us / 1e6 if self.pays else None,
        )


def _pgbench(script: pgbench.Script, clients: int) -> Start:
    @contextmanager
    def start(ground: Ground, database_url: str, _connections: int) -> Iterator[Running]:
        yield PgbenchRun(ground, database_url, script, clients)

    return start


def _server(
    spawned: Callable[[Ground, str], Sequence[tuple[Child, str]]], *, pays: bool = True
) -> Start:
    """Start what `spawned` starts: processes, each with its URL; wait until all are ready."""

    @contextmanager
    def start(ground: Ground, database_url: str, connections: int) -> Iterator[Running]:
        with ExitStack() as stack:
            started = spawned(ground, database_url)
            for child, _ in started:
                stack.callback(child.stop)
            for child, url in started:
                asyncio.run(until_ready(child, url))
            # Two wrk in any case: a single process is loaded by both.
            urls = [url for _, url in started] if len(started) > 1 else [started[0][1]] * 2
            yield ServerRun(ground, [child for child, _ in started], urls, connections, pays)

    return start


def _service(ground: Ground, database_url: str) -> list[tuple[Child, str]]:
    def one(number: int) -> tuple[Child, str]:
        url, ops_url = (f"http://{LOOPBACK}:{free_port()}" for _ in range(2))
        settings = {**ground.environ(database_url), **listens("api", url, ops_url)}
        return start_role("api", settings, ground.folder / f"api-{number}.log"), url

    return [one(number) for number in range(ground.processes)]


def _bare(ground: Ground, _database_url: str) -> list[tuple[Child, str]]:
    def command(port: int) -> list[str | Path]:
        return [sys.executable, "-m", "bench.bare", "--port", str(port)]

    return [_spawned(ground, "bare", command, {}, n) for n in range(ground.processes)]


def _go(name: str, mode: str) -> Callable[[Ground, str], Sequence[tuple[Child, str]]]:
    def spawned(ground: Ground, database_url: str) -> list[tuple[Child, str]]:
        settings = _peer_settings(ground, database_url, name)

        def command(_port: int) -> list[str | Path]:
            return [peers.go_program(), "-mode", mode]

        return [_spawned(ground, name, command, settings, 0)]

    return spawned


def _fastapi(name: str, mode: str) -> Callable[[Ground, str], Sequence[tuple[Child, str]]]:
    def spawned(ground: Ground, database_url: str) -> list[tuple[Child, str]]:
        settings = _peer_settings(ground, database_url, name)
        settings["PEER_MODE"] = mode

        def command(port: int) -> list[str | Path]:
            options = ("--app-dir", peers.FASTAPI, "--host", LOOPBACK, "--port", str(port))
            logs = ("--no-access-log", "--log-level", "warning")
            return [peers.fastapi_python(), "-m", "uvicorn", *options, *logs, "app:app"]

        return [
            _spawned(ground, name, command, settings, number) for number in range(ground.processes)
        ]

    return spawned


def _peer_settings(ground: Ground, database_url: str, name: str) -> dict[str, str]:
    return {
        **ground.environ(with_options(database_url)),
        "PEER_FILES": str(peers.FILES),
        "POOL_SIZE": str(ground.pool or POOLS[name]),
    }


def _spawned(
    ground: Ground,
    name: str,
    command: Callable[[int], Sequence[str | Path]],
    settings: Mapping[str, str],
    number: int,
) -> tuple[Child, str]:
    port = free_port()
    environ = {**ground.environ(""), **settings, "PORT": str(port)}
    child = spawn(name, command(port), env=environ, log=ground.folder / f"{name}-{number}.log")
    return child, f"http://{LOOPBACK}:{port}"


SIDES: Final = {
    side.name: side
    for side in (
        Side(
            "pgbench",
            f"pgbench, {CLIENTS} clients",
            _pgbench(pgbench.Script.ONE_BY_ONE, CLIENTS),
            levels=(64, 1_000),
            about="the service's two statements, prepared, a payment at a time",
        ),
        Side(
            "pgbench_plain",
            f"pgbench, plain, {CLIENTS} clients",
            _pgbench(pgbench.Script.PLAIN, CLIENTS),
            levels=(64,),
            about="ordinary statements, prepared, in two transactions a payment",
        ),
        Side(
            "pgbench_batched",
            f"pgbench, batches of {pgbench.BATCH}",
            _pgbench(pgbench.Script.BATCHED, BATCHED_CLIENTS),
            levels=(64, 1_000),
            about=f"the service's two statements of {pgbench.BATCH} payments,"
            f" {BATCHED_CLIENTS} clients",
        ),
        Side(
            "aiohttp_bare",
            "bare aiohttp handler",
            _server(_bare, pays=False),
            pays=False,
            about="reads JSON, answers as many bytes; as many processes as the service",
        ),
        Side(
            "go_pgx",
            "Go, pgx",
            _server(_go("go_pgx", "plain")),
            about="bench/peers/go, a statement a step",
        ),
        Side(
            "go_pgx_tuned",
            "Go, pgx, tuned",
            _server(_go("go_pgx_tuned", "tuned")),
            about="a function each",
        ),
        Side(
            "fastapi_asyncpg",
            "FastAPI, asyncpg",
            _server(_fastapi("fastapi_asyncpg", "plain")),
            about="bench/peers/fastapi, a statement a step",
        ),
        Side(
            "fastapi_asyncpg_tuned",
            "FastAPI, asyncpg, tuned",
            _server(_fastapi("fastapi_asyncpg_tuned", "tuned")),
            about="a function each",
        ),
        Side(OURS, "the service", _server(_service), about="its own settings but the rate limits"),
    )
}
