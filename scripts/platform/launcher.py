"""The whole platform on this machine, every part a process of its own.

PostgreSQL and Valkey from wheels, the simulator, and the service's three roles: what `make dev`
shows, the demo walks through, the load test loads and the end-to-end tests break.
"""

import asyncio
import hashlib
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from scripts import console
from scripts.platform import embedded
from scripts.platform.client import Client
from scripts.platform.embedded import LOOPBACK, SERVICE_LOGIN, Postgres, as_login, free_port
from scripts.platform.processes import Child, ProcessDiedError, spawn
from scripts.platform.token import DEFAULT_SCOPES, ensure_secret, make
from simulator.client import Control

READY_TIMEOUT_S: Final = 30.0  # imports and one connection: about two seconds when idle
READY_POLL_S: Final = 0.05
MIGRATE_TIMEOUT_S: Final = 120.0  # beyond MIGRATION_WAIT_S, after which it says who blocks it
MIGRATION_WAIT: Final = {"MIGRATION_WAIT_S": "45"}
"""Whoever blocks a developer's own database is the developer, and watches."""

SHARED_SECRETS: Final = ("SIMULATOR_API_KEY", "SIMULATOR_WEBHOOK_SECRETS", "LIBRARY_TOKEN")
"""What the service and the simulator both know; made anew for each run."""

DRAIN_MARGIN_S: Final = 5.0  # beyond the service's own SHUTDOWN_DRAIN_S
DEFAULT_DRAIN_S: Final = 20.0

# All requests of a load test or a benchmark come from one address.
GENEROUS: Final = {"RATE_LIMIT_USER": "1000000", "RATE_LIMIT_ADDRESS": "10000000"}

Report = Callable[[str, float, str], None]
"""Called with a part's name, the seconds it took to be ready, and where it is."""

Start = Callable[[str, Mapping[str, str], Path], Child]


class PlatformError(Exception):
    """The platform cannot start; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Ports:
    """Where to listen on 127.0.0.1; 0 takes a free port. `ops` and `worker` serve operators."""

    api: int = 0
    ops: int = 0
    worker: int = 0
    simulator: int = 0


@dataclass
class Platform:
    """A running platform. `environ` is what the service's processes were given.

    `ops_url` is the API's operations port, `worker_url` the worker's, which has no other.
    """

    api_url: str
    ops_url: str
    worker_url: str
    simulator_url: str
    environ: dict[str, str]
    folder: Path
    logs: Path
    children: dict[str, Child] = field(default_factory=dict)

    def token(self, user: str, scopes: str = DEFAULT_SCOPES) -> str:
        return make(self.environ["JWT_SECRET"], user, scopes, environ=self.environ)

    def client(self, user: str, scopes: str = DEFAULT_SCOPES) -> Client:
        return Client(self.api_url, self.token(user, scopes))

    def simulator(self) -> Control:
        return Control(self.simulator_url, library_token=self.environ["LIBRARY_TOKEN"])

    async def first_death(self) -> ProcessDiedError:
        while True:
            for child in self.children.values():
                if child.returncode is not None:
                    return child.died()
            await asyncio.sleep(READY_POLL_S)


def start_role(
    role: str, settings: Mapping[str, str], log: Path, *, module: Sequence[str] = ("service",)
) -> Child:
    """Start a role of the service here, which listens by its settings; `module` runs it."""
    return spawn(role, [sys.executable, "-m", *module, role], env=settings, log=log)


@asynccontextmanager
async def platform(
    folder: Path,
    *,
    ports: Ports = Ports(),  # noqa: B008  frozen
    durable: bool = True,
    logs: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    report: Report = lambda _part, _seconds, _where: None,
    start: Start = start_role,
) -> AsyncIterator[Platform]:
    """Run the platform with its data below `folder`; `environ` may override settings.

    Logs go to `logs`, or to a folder of that name beside the data.

    Raises PlatformError, EmbeddedError or ProcessDiedError. On exit the API drains first.
    """
    logs = logs or folder / "logs"
    api_url, ops_url, worker_url, simulator_url = (
        f"http://{LOOPBACK}:{port or free_port()}" for port in _checked(ports)
    )
    async with AsyncExitStack() as stack:
        given = dict(environ) | _secrets(folder, environ)
        given |= _addresses(simulator_url, api_url, environ)
        given = GENEROUS | MIGRATION_WAIT | given | {"HOST": LOOPBACK}
        running = Platform(api_url, ops_url, worker_url, simulator_url, given, folder, logs)
        simulator = _launch(stack, running, "simulator", simulator_url, report, start)
        _start_servers(stack, running, durable=durable, environ=environ, report=report)
        await simulator()
        with _timed(report, "schema") as where:
            where.append(await _migrate(running, start))
        worker = _launch(stack, running, "worker", worker_url, report, start)
        api = _launch(stack, running, "api", api_url, report, start)
        await worker()
        await api()
        yield running


def start_simulator(url: str, environ: Mapping[str, str], log: Path) -> Child:
    command = [sys.executable, "-m", "simulator", "--port", _port_of(url)]
    return spawn("simulator", command, env=environ, log=log)


def listens(role: str, url: str, ops_url: str) -> dict[str, str]:
    """Return the settings by which a role listens there; `ops_url` is of the API alone."""
    if role == "api":
        return {"PORT": _port_of(url), "OPS_PORT": _port_of(ops_url)}
    return {"OPS_PORT": _port_of(url)}


async def until_ready(child: Child, url: str) -> None:
    """Poll until the child is ready; raise ProcessDiedError, or PlatformError after 30 s."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    timeout = aiohttp.ClientTimeout(total=2)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while not await _answers(session, f"{url}/health/ready"):
            if child.returncode is not None:
                raise child.died()
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"{child.name} was not ready within {READY_TIMEOUT_S:g} s; its last lines "
                    f"({child.log}):\n{child.tail()}"
                )
            await asyncio.sleep(READY_POLL_S)


def stop_timeout_s(environ: Mapping[str, str]) -> float:
    return float(environ.get("SHUTDOWN_DRAIN_S") or DEFAULT_DRAIN_S) + DRAIN_MARGIN_S


def _launch(
    stack: AsyncExitStack, running: Platform, part: str, url: str, report: Report, start: Start
) -> Callable[[], Awaitable[None]]:
    log = running.logs / f"{part}.log"
    log.unlink(missing_ok=True)
    started = time.monotonic()
    if part == "simulator":
        child = start_simulator(url, running.environ, log)
        stack.callback(child.stop)
    else:
        child = start(part, running.environ | listens(part, url, running.ops_url), log)
        stack.callback(child.stop, stop_timeout_s(running.environ))
    running.children[part] = child

    async def ready() -> None:
        await until_ready(child, url)
        report(part, time.monotonic() - started, url)

    return ready


def _start_servers(
    stack: AsyncExitStack,
    running: Platform,
    *,
    durable: bool,
    environ: Mapping[str, str],
    report: Report,
) -> None:
    with _timed(report, "PostgreSQL") as where:
        folder = running.folder / "postgres"
        database = stack.enter_context(embedded.postgres(folder, durable=durable, environ=environ))
        kept = f"data in {os.path.relpath(folder)}" if durable else "throw-away data"
        where.append(kept if database.child else "from DATABASE_URL")
    with _timed(report, "Valkey") as where:
        cache = stack.enter_context(embedded.valkey(running.folder / "valkey", environ=environ))
        where.append("in memory" if cache.child else "from REDIS_URL")
    running.environ |= _logins(database) | {"REDIS_URL": cache.url}
    running.children |= {c.name: c for c in (database.child, cache.child) if c is not None}


def _logins(database: Postgres) -> dict[str, str]:
    """Return who enters the database as whom: a server of our own has a login for the service."""
    if database.child is None:
        return {"DATABASE_URL": database.url()}  # beside MIGRATION_DATABASE_URL, if that is set
    password = secrets.token_urlsafe(embedded.PASSWORD_BYTES)
    database.ensure_login(SERVICE_LOGIN, password)
    return {
        "DATABASE_URL": as_login(database.url(), SERVICE_LOGIN, password),
        "MIGRATION_DATABASE_URL": database.url(),
    }


async def _migrate(running: Platform, start: Start) -> str:
    log = running.logs / "migrate.log"
    log.unlink(missing_ok=True)
    child = start("migrate", running.environ, log)
    reported = ""
    try:
        async with asyncio.timeout(MIGRATE_TIMEOUT_S):
            while child.returncode is None:
                if (waits := _waits(child)) != reported:
                    console.note(reported := waits)
                await asyncio.sleep(READY_POLL_S)
    except TimeoutError as error:
        raise PlatformError(
            f"the migrations took more than {MIGRATE_TIMEOUT_S:g} s; the last lines of "
            f"{child.log}:\n{child.tail()}"
        ) from error
    finally:
        child.stop()
    if child.returncode != 0:
        raise child.died()
    return "up to date"


def _waits(migrate: Child) -> str:
    try:
        message = json.loads(migrate.tail(1))
    except ValueError:  # nothing yet, or half a line
        return ""
    if message["event"] != "migration_waits":
        return ""
    by = "; ".join(message["blocked_by"])
    return f"schema: {message['migration']} waits, {message['waited_s']:g} s so far, for {by}"


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200  # noqa: PLR2004  OK
    except (aiohttp.ClientError, TimeoutError):
        return False


def _port_of(url: str) -> str:
    return url.rsplit(":", 1)[1]


def _secrets(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    jwt_secret = environ.get("JWT_SECRET", "").strip() or ensure_secret(folder)
    made = {name: secrets.token_urlsafe(24) for name in SHARED_SECRETS}
    # from the kept secret, so that endpoints registered in one run can be signed for in the next
    master = hashlib.sha256(f"webhooks {jwt_secret}".encode()).hexdigest()
    made["WEBHOOK_MASTER_KEYS"] = f"dev:{master}"
    return {**made, **{n: v for n in made if (v := environ.get(n))}, "JWT_SECRET": jwt_secret}


def _addresses(simulator_url: str, api_url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return who finds whom: the service the outside world, and the provider's webhooks us."""
    names = ("SIMULATOR_URL", "LIBRARY_URL", "GAME_CATALOG_URL")
    found = dict.fromkeys(names, simulator_url)
    found["SIMULATOR_WEBHOOK_URL"] = f"{api_url}/v1/webhooks/simulator"
    return {name: environ.get(name) or url for name, url in found.items()}


def _checked(ports: Ports) -> tuple[int, int, int, int]:
    named = (
        (ports.api, "PORT"),
        (ports.ops, "OPS_PORT"),
        (ports.simulator, "SIMULATOR_PORT"),
    )
    for port, variable in named:
        if port and not is_free(port):
            raise PlatformError(
                f"port {port} on {LOOPBACK} is in use; stop what listens there, "
                f"or choose another one with {variable}"
            )
    return ports.api, ports.ops, ports.worker, ports.simulator


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is not in use
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@contextmanager
def _timed(report: Report, part: str) -> Iterator[list[str]]:
    """Report a part when it is ready; the block appends where it is."""
    where: list[str] = []
    started = time.monotonic()
    yield where
    report(part, time.monotonic() - started, "".join(where))
