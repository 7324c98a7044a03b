"""Processes of the service that start in a twentieth of a second, to be killed by the dozen.

Each is forked from a server process that has imported everything already. It is a process like any
other: SIGKILL ends it in the middle of its work. It goes by the database's clock, moved by what
the test says, whatever the clock of its own machine is.
"""

import multiprocessing
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

import aiohttp

from scripts.platform.client import Client
from scripts.platform.embedded import LOOPBACK, free_port
from scripts.platform.launcher import listens
from scripts.platform.processes import tail
from service import logs
from service.app import Role
from service.clock import DatabaseClock
from service.serve import serve
from service.settings import load
from tests.support.services import READ_WRITE, bearer
from tests.support.skewed import shift
from tests.support.waiting import eventually

READY_TIMEOUT_S: Final = 20.0  # a busy machine; an idle one takes a tenth of a second
REAP_TIMEOUT_S: Final = 5.0  # after SIGKILL only the kernel's work is left
DRAIN_S: Final = 2.0

FORKSERVER: Final = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["tests.support.preloaded"])


class SharedClock:
    """A clock that a test moves for all processes that it was given to."""

    def __init__(self) -> None:
        self._ahead_s: Any = FORKSERVER.Value("d", 0.0)

    def __call__(self) -> datetime:
        """Return the time as the service sees it."""
        return datetime.now(UTC) + self.ahead

    @property
    def ahead(self) -> timedelta:
        """Return how much time the test has let pass."""
        return timedelta(seconds=self._ahead_s.value)

    def forward(self, **amount: float) -> None:
        """Let time pass."""
        with self._ahead_s.get_lock():
            self._ahead_s.value += timedelta(**amount).total_seconds()


@dataclass(frozen=True)
class Fork:
    """A running role of the service."""

    url: str
    process: ForkServerProcess
    log: Path

    def client(self, user: str, scopes: str = READ_WRITE) -> Client:
        """Return a client that speaks for `user`; use it as an async context manager."""
        return Client(self.url, bearer(user, scopes))

    def kill(self) -> None:
        """End it as the kernel would when memory runs out: at once."""
        self.process.kill()
        self.process.join(REAP_TIMEOUT_S)


@dataclass
class Forks:
    """Starts roles of the service; `environ` are their settings."""

    folder: Path
    environ: Mapping[str, str]
    clock: SharedClock
    running: list[Fork] = field(default_factory=list)

    async def __call__(
        self, role: Role, *, clock_offset_s: float | str = 0, **environ: str
    ) -> Fork:
        """Start a role and wait until it is ready; `environ` overrides settings.

        Its system clock is ahead of the machine's by `clock_offset_s`, or behind.
        """
        url = f"http://{LOOPBACK}:{free_port()}"
        log = self.folder / f"{len(self.running)}-{role}.log"
        settings = {**self.environ, **environ, "SHUTDOWN_DRAIN_S": str(DRAIN_S)}
        settings |= listens(role, url, f"http://{LOOPBACK}:{free_port()}")
        process = FORKSERVER.Process(
            target=_serve,
            args=(role, settings, self.clock, log, float(clock_offset_s)),
            name=role,
            daemon=True,
        )
        process.start()
        fork = Fork(url, process, log)
        self.running.append(fork)
        try:
            await eventually(lambda: _is_ready(fork), timeout_s=READY_TIMEOUT_S)
        except TimeoutError as error:
            raise TimeoutError(f"{role} is not ready {error}; it says:\n{tail(log)}") from error
        return fork

    def close(self) -> None:
        """End what still runs."""
        for fork in self.running:
            if fork.process.is_alive():
                fork.kill()


class MovedClock(DatabaseClock):
    """The service's own clock, and what the test lets pass."""

    def __init__(self, moved: SharedClock) -> None:
        super().__init__()
        self._moved = moved

    def __call__(self) -> datetime:
        """Return the time."""
        return super().__call__() + self._moved.ahead


def _serve(
    role: Role,
    environ: Mapping[str, str],
    clock: SharedClock,
    log: Path,
    clock_offset_s: float,
) -> None:
    begin(log, clock_offset_s)
    settings = load(environ, role)
    logs.configure(settings.log_level)
    serve(settings, role, MovedClock(clock))


def begin(log: Path, clock_offset_s: float) -> None:
    """Make a forked process one of its own: its clock, its log, and its end with the test."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    shift(clock_offset_s)
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


async def _is_ready(fork: Fork) -> bool:
    if not fork.process.is_alive():
        raise RuntimeError(f"{fork.process.name} ended before it was ready:\n{tail(fork.log)}")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
            session.get(f"{fork.url}/health/ready") as answer,
        ):
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
