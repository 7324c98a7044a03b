"""Drives locust against a service."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from loadtest.money import SetUpError
from loadtest.plan import Plan
from loadtest.progress import Progress, read_progress
from loadtest.resources import Sampler, Source, processes
from loadtest.results import Results, read

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
GENERATOR: Final = "load generator"
IDENTITIES_A_USER: Final = 2
"""Each owns 500 games at most, so twice the users at the peak make 1,000 payments a user."""

START_TIMEOUT_S: Final = 30.0  # importing locust and gevent on a busy machine, both ends of the run
FINISH_TIMEOUT_S: Final = 20  # the slowest request that a user may still wait for at the end
TICK_S: Final = 1.0
LAST_LINES: Final = 12


class TargetDiedError(Exception):
    """A part of the service ended during the run; the message has its last lines."""


@dataclass(frozen=True)
class Target:
    """The service under load. `sources` read the CPU and memory of its parts.

    `died` ends only when a part of it that is ours has died.
    """

    url: str
    secret: str
    died: Callable[[], Coroutine[Any, Any, TargetDiedError]] | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)


OnProgress = Callable[[Progress | None], None]


async def drive(
    plan: Plan, url: str, folder: Path, on_progress: OnProgress, sampler: Sampler | None = None
) -> Results:
    """Carry out the plan against `url` and return what was measured; raise SetUpError.

    `folder` gets locust's log and raw result; `on_progress` is called each second. `sampler` gets
    the load generator as a part more.
    """
    files = _Files(folder)
    files.remove()
    plan.write(files.plan)
    try:
        with files.log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *_command(plan, url, files),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
            if sampler is not None:
                sampler.add(GENERATOR, processes(process.pid))
            await _watch(
                process, _limit_s(plan), lambda: on_progress(read_progress(files.progress))
            )
    finally:
        files.plan.unlink(missing_ok=True)
    if process.returncode or not files.result.exists():
        raise SetUpError(
            f"locust ended with {process.returncode}; {files.log} ends with:\n{_tail(files.log)}"
        )
    return read(files.result, plan.profile)


@dataclass(frozen=True, slots=True)
class _Files:
    """What the command and the load generator give each other."""

    folder: Path

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def result(self) -> Path:
        return self.folder / "locust.json"

    @property
    def progress(self) -> Path:
        return self.folder / "progress.json"

    @property
    def log(self) -> Path:
        return self.folder / "locust.log"

    def remove(self) -> None:
        for path in (self.plan, self.result, self.progress):
            path.unlink(missing_ok=True)


def _limit_s(plan: Plan) -> float:
    return plan.profile.duration_s + 3 * FINISH_TIMEOUT_S + START_TIMEOUT_S


def _command(plan: Plan, url: str, files: _Files) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE)),
        *("--headless", "--only-summary", "--host", url),
        *("--stop-timeout", str(FINISH_TIMEOUT_S)),
        *("--exit-code-on-error", "0"),  # failed requests are for the verdict
        *("--plan-file", str(files.plan), "--result-file", str(files.result)),
        *("--progress-file", str(files.progress)),
        *(_workers(plan.workers) if plan.workers > 1 else ()),
    ]


def _workers(count: int) -> list[str]:
    if sys.platform == "win32":
        raise SetUpError("locust has no --processes on Windows; use --workers 1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return [
        *("--processes", str(count)),
        *("--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port),
        *("--expect-workers-max-wait", str(int(START_TIMEOUT_S))),
    ]


async def _watch(
    process: asyncio.subprocess.Process, limit_s: float, on_tick: Callable[[], None]
) -> None:
    """Wait until locust ends; past the limit, or when we are canceled, end it."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    ending = asyncio.create_task(process.wait())
    try:
        while not ending.done():
            if loop.time() - start > limit_s:
                raise SetUpError(f"locust still runs after {limit_s:.0f} s")
            on_tick()
            await asyncio.wait({ending}, timeout=TICK_S)
    finally:
        if not ending.done():
            _kill(process)
        await ending


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill locust with its workers, which would wait for a new leader."""
    if sys.platform == "win32":
        process.kill()
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:])
