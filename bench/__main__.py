"""Measure payments a second against pgbench, in alternating rounds: `python -m bench`.

Exit codes: 0 every bar was reached, 1 one was missed, 2 it could not be measured.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
import psutil
import psycopg2

from bench import history, one_by_one, orders, service
from bench.report import Measured, Report, Round, evaluate, table
from scripts.platform import embedded
from scripts.platform.embedded import LOOPBACK, Postgres, free_port
from scripts.platform.launcher import GENEROUS
from scripts.platform.processes import Child, spawn
from service.store import migrate

OUT: Final = Path("build") / "bench" / "report.json"
HIGHEST_RATE: Final = 8_000
"""Payments a second that no side reaches here; as many orders are made for each second."""

DRAIN_TIMEOUT_S: Final = 20.0
"""A request ends within REQUEST_TIMEOUT_S, 15 s; those of a round must not end in the next."""

DRAIN_POLL_S: Final = 0.5
SHOWN: Final = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")


@dataclass
class Bench:
    """The parts that run, and the number of the next series of orders."""

    options: argparse.Namespace
    postgres: Postgres
    secret: str
    folder: Path
    api: list[Child]
    parts: dict[str, list[int]]
    series: int = 0
    rounds: list[Round] = field(default_factory=list)

    def round(self) -> Round:
        """Measure both sides; pgbench goes first in one round and last in the next."""
        first = len(self.rounds) % 2 == 0
        before = self.pgbench() if first else None
        sides = [self.service(connections) for connections in self.options.connections]
        done = Round(before or self.pgbench(), sides)
        self.rounds.append(done)
        return done

    def pgbench(self) -> Measured:
        """Measure side A."""
        self.series += 1
        each = HIGHEST_RATE * self.options.seconds // one_by_one.CLIENTS
        for client in range(one_by_one.CLIENTS):
            start = client * one_by_one.SPACE
            orders.make(self._url, round_=self.series, start=start + 1, stop=start + each)
        before, cpu = self._checkpoint()
        rate, count = one_by_one.run(
            self._url, round_=self.series, seconds=self.options.seconds, folder=self.folder
        )
        made = orders.paid(self._url) - before
        if made != count:
            raise RuntimeError(f"pgbench ran {count} times and {made} payments are booked")
        return Measured(0, rate, made, None, None, None, self._cpu_us(cpu, made, ("database",)))

    def service(self, connections: int) -> Measured:
        """Measure side B."""
        self.series += 1
        count, many = HIGHEST_RATE * self.options.seconds, len(self.api)
        orders.make(self._url, round_=self.series, start=1, stop=count)
        files = [self.folder / f"orders-{n}" for n in range(many)]
        for n, file in enumerate(files):
            share = {"start": n * count // many + 1, "stop": (n + 1) * count // many}
            service.write_orders(file, secret=self.secret, round_=self.series, **share)
        before, cpu = self._checkpoint()
        urls = [child.name for child in self.api]
        load = asyncio.run(service.load(urls, files, connections, self.options.seconds))
        made = self._drained() - before
        if load.errors or not load.requests <= made <= load.requests + connections + many:
            raise RuntimeError(f"{load} and {made} payments are booked; see {self.folder}")
        return Measured(
            connections,
            load.rate,
            made,
            load.p50_us / 1e3,
            load.p95_us / 1e3,
            load.p99_us / 1e3,
            self._cpu_us(cpu, made, tuple(self.parts)),
        )

    @property
    def _url(self) -> str:
        return self.postgres.url()

    def _checkpoint(self) -> tuple[int, dict[str, float]]:
        """Write a checkpoint, so that no side pays for the other's; return where all stand."""
        with closing(psycopg2.connect(self._url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("VACUUM ANALYZE orders, order_items, payments")
                cursor.execute("CHECKPOINT")
        return orders.paid(self._url), self._cpu()

    def _drained(self) -> int:
        """Return the payments when no request that wrk left behind is under way any more."""
        deadline, count = time.monotonic() + DRAIN_TIMEOUT_S, -1
        while (now := orders.paid(self._url)) != count or orders.under_way(self._url):
            if time.monotonic() > deadline:
                raise RuntimeError(f"payments were still under way after {DRAIN_TIMEOUT_S:g} s")
            count = now
            time.sleep(DRAIN_POLL_S)
        return count

    def _cpu(self) -> dict[str, float]:
        return {part: sum(map(service.cpu_s, pids)) for part, pids in self.parts.items()}

    def _cpu_us(
        self, before: dict[str, float], payments: int, parts: tuple[str, ...]
    ) -> dict[str, float]:
        now = self._cpu()
        return {part: (now[part] - before[part]) / payments * 1e6 for part in parts}


def main() -> int:
    """Run the benchmark; print and write what it found."""
    options = _parser().parse_args()
    try:
        service.require_wrk()
        report = _run(options)
    except (service.WrkError, embedded.EmbeddedError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(table(report))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    print(f"\n  {options.out}")
    return 0 if report.passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of each side in each round")
    parser.add_argument("--connections", type=int, nargs="+", default=[64, 1_000])
    parser.add_argument("--processes", type=int, default=2, help="of the API (%(default)s)")
    parser.add_argument("--history", type=int, default=20_000, help="payments that are there")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser


def _run(options: argparse.Namespace) -> Report:
    with ExitStack() as stack:
        bench = _start(stack, options)
        load_before = os.getloadavg()[0]
        for connections in options.connections:
            bench.service(connections)  # connections, caches and plans are made; not counted
        for number in range(options.rounds):
            done = bench.round()
            ratios = ", ".join(
                f"{done.ratio(side.connections):.2f} at {side.connections:,}"
                for side in done.service
            )
            print(f"  round {number + 1}: {ratios}", file=sys.stderr)
        conditions = _conditions(bench) | {"load before": f"{load_before:.1f}"}
        return Report(conditions, bench.rounds, evaluate(bench.rounds))


def _start(stack: ExitStack, options: argparse.Namespace) -> Bench:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=_scratch())))
    postgres = stack.enter_context(embedded.postgres(folder / "postgres", environ={}))
    valkey = stack.enter_context(embedded.valkey(folder / "valkey", environ={}))
    migrate.apply(postgres.url())
    history.fill(postgres.url(), options.history)
    history.analyze(postgres.url())
    provider_port, secret = free_port(), os.urandom(32).hex()
    provider = spawn(
        "provider",
        [sys.executable, "-m", "bench.provider", "--port", str(provider_port)],
        log=folder / "provider.log",
    )
    stack.callback(provider.stop)
    environ = (
        os.environ
        | GENEROUS
        | {
            "HOST": LOOPBACK,
            "DATABASE_URL": postgres.url(),
            "REDIS_URL": valkey.url,
            "JWT_SECRET": secret,
            "SIMULATOR_URL": f"http://{LOOPBACK}:{provider_port}",
            "SIMULATOR_API_KEY": "key",
            "LIBRARY_TOKEN": "token",
        }
    )
    api = service.start(stack, environ, options.processes, folder)
    parts = {
        "api": [child.pid for child in api],
        "database": [c.pid for c in [postgres.child] if c],
        "provider": [provider.pid],
        "valkey": [c.pid for c in [valkey.child] if c],
    }
    return Bench(options, postgres, secret, folder, api, parts)


def _scratch() -> Path:
    """Return a folder on a real disk: /tmp may be memory, where fsync costs nothing."""
    folder = OUT.parent.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _conditions(bench: Bench) -> dict[str, str]:
    with closing(psycopg2.connect(bench.postgres.url())) as connection:
        with connection.cursor() as cursor:
            shown = []
            for name in SHOWN:
                cursor.execute(f"SHOW {name}")
                shown.append(f"{name} {(cursor.fetchone() or ('?',))[0]}")
        server = connection.server_version // 10_000
    memory = psutil.virtual_memory().total // 2**30
    return {
        "machine": f"{os.cpu_count()} CPUs, {memory} GiB, {platform.system()}; all parts on it",
        "PostgreSQL": f"{server}: {', '.join(shown)}",
        "Python": f"{platform.python_version()}, aiohttp {version('aiohttp')}",
        "rounds": f"{bench.options.rounds} of {bench.options.seconds} s a side, alternating",
        "history": f"{bench.options.history:,} payments before the first round",
        "pgbench": f"{one_by_one.CLIENTS} clients, prepared, the service's two statements",
        "service": f"{len(bench.api)} API process(es), logs, metrics, rate limits and tokens on",
        "load generator": "wrk, a thread a process, every payment of its own order",
        "provider": "a stub over HTTP that accepts at once; pgbench calls none",
        "workers": "none on either side: grants are not delivered",
    }


if __name__ == "__main__":
    sys.exit(main())
