"""The load generators of an open model: processes of locust that follow our stages."""

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from loadtest.arrivals import Arrival, Batch, OpenPlan, Stage
from loadtest.money import SetUpError

LOCUSTFILE: Final = Path(__file__).with_name("openfile.py")
PROCESSES: Final = max(1, min(4, (os.cpu_count() or 1) // 2))
"""gevent uses one core a process; the service needs the others."""

MAX_IN_FLIGHT: Final = 6_000
"""Flows at a time, all generators together: three seconds of 2,000 arrivals a second, and more
than a service may keep waiting that sheds what it can't answer."""

READY_TIMEOUT_S: Final = 60.0  # importing locust and gevent on a busy machine
FINISH_TIMEOUT_S: Final = 60.0  # flows in flight end within 20 s, by their own time-outs
POLL_S: Final = 0.25
LINE_BYTES: Final = 16 * 1024 * 1024  # what is done within a quarter of a second
LAST_LINES: Final = 12

Observe = Callable[[Sequence[Arrival]], None]


class Generators:
    """Running load generators; `observe` is given what has become of arrivals, as they end."""

    def __init__(self, processes: Sequence[asyncio.subprocess.Process], log: Path) -> None:
        self._processes = processes
        self._log = log
        self._in_flight = [0] * len(processes)
        self.ready = [asyncio.Event() for _ in processes]

    @property
    def in_flight(self) -> int:
        """Return the flows that were begun and have not ended, a moment ago."""
        return sum(self._in_flight)

    async def read(self, number: int, observe: Observe) -> None:
        """Read what a generator writes, until it ends."""
        output = self._processes[number].stdout
        assert output is not None  # noqa: S101  we asked for a pipe
        decoder = msgspec.json.Decoder(Batch)
        async for line in output:
            if line.startswith(b"["):
                batch = decoder.decode(line)
                self._in_flight[number] = batch.in_flight
                self.ready[number].set()
                observe(batch.ended)

    async def follow(self, stage: Stage) -> None:
        """Add a stage; it should start when the last one ends, or later."""
        line = msgspec.json.encode(stage.split(len(self._processes))) + b"\n"
        for process in self._processes:
            assert process.stdin is not None  # noqa: S101  we asked for a pipe
            try:
                process.stdin.write(line)
                await process.stdin.drain()
            except ConnectionError as error:
                raise self.died() from error

    async def until_idle(self, timeout_s: float) -> None:
        """Wait until no flow is in flight, or for so long; earlier ones would burden the next."""
        deadline = now() + timeout_s
        while self.in_flight and now() < deadline:  # noqa: ASYNC110  they tell by lines
            await asyncio.sleep(POLL_S)

    async def finish(self) -> None:
        """Wait until the flows in flight have ended; raise SetUpError if a generator failed."""
        for process in self._processes:
            assert process.stdin is not None  # noqa: S101
            process.stdin.close()
        try:
            async with asyncio.timeout(FINISH_TIMEOUT_S):
                codes = [await process.wait() for process in self._processes]
        except TimeoutError:
            raise SetUpError(f"locust still runs after its last arrival; see {self._log}") from None
        if any(codes):
            raise self.died()

    def died(self) -> SetUpError:
        """Return the error that says with which words a generator ended."""
        codes = [process.returncode for process in self._processes]
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return SetUpError(
            f"locust ended with {codes}; {self._log} ends with:\n" + "\n".join(lines[-LAST_LINES:])
        )


@asynccontextmanager
async def generators(
    url: str,
    tokens: Sequence[str],
    folder: Path,
    observe: Observe,
    *,
    processes: int = PROCESSES,
    in_flight: int = MAX_IN_FLIGHT,
) -> AsyncIterator[Generators]:
    """Start load generators that share `tokens`, and end them; `folder` gets locust's log.

    They have `in_flight` flows in flight at most, and need a token for each.
    """
    plans = [folder / f"generator-{n}.json" for n in range(processes)]
    log = folder / "locust.log"
    started: list[asyncio.subprocess.Process] = []
    reading: list[asyncio.Task[None]] = []
    try:
        with log.open("wb") as output:
            for n, plan in enumerate(plans):
                OpenPlan(
                    random.SystemRandom().getrandbits(32),
                    in_flight // processes,
                    tuple(tokens[n::processes]),
                ).write(plan)
                started.append(await _start(url, plan, output.fileno()))
        running = Generators(started, log)
        reading = [
            asyncio.create_task(running.read(n, observe), name="load generator")
            for n in range(processes)
        ]
        await _all_ready(running, reading)
        yield running
        await asyncio.gather(*reading)  # each ends at the end of its process's output
    finally:
        for path in plans:
            path.unlink(missing_ok=True)
        await _end(started, reading)


async def _start(url: str, plan: Path, log: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE)),
        *("--headless", "--users", "1", "--only-summary", "--host", url),
        *("--exit-code-on-error", "0", "--plan-file", str(plan)),  # failures are for the verdict
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        limit=LINE_BYTES,
    )


async def _all_ready(running: Generators, reading: Sequence[asyncio.Task[None]]) -> None:
    async def all_set() -> None:
        for event in running.ready:
            await event.wait()

    waiting = asyncio.create_task(all_set())
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            await asyncio.wait([waiting, *reading], return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        raise SetUpError(f"locust was not ready within {READY_TIMEOUT_S:.0f} s") from None
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
    if not all(event.is_set() for event in running.ready):
        raise running.died()


async def _end(
    processes: Sequence[asyncio.subprocess.Process], reading: Sequence[asyncio.Task[None]]
) -> None:
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)


def now() -> float:
    """Return the time by the clock of stages: all processes of a machine share it."""
    return time.monotonic()
