"""The workers of a scenario: a process that runs one round when asked.

The scenario decides when, so that it can be repeated. The process's clock is off by minutes, as
that of every process here, and it is really killed.
"""

import asyncio
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final, Self

from aiohttp import web

from scripts.platform.processes import tail
from service import logs
from service.api.common import CONTEXT
from service.app import build
from service.settings import load
from service.usecases.context import Context
from service.workers import completer, inbox, jobs
from tests.support.forks import FORKSERVER, REAP_TIMEOUT_S, Forks, MovedClock, SharedClock, begin

READY_TIMEOUT_S: Final = 30.0  # a busy machine; an idle one takes a tenth of a second
ROUND_TIMEOUT_S: Final = 60.0  # 50 items, each with a few calls that may time out
ROUNDS: Final = (completer.run_once, jobs.expire, inbox.run_once, jobs.relay_outbox)


@dataclass(frozen=True)
class Rounds:
    """Call it for a round of every worker."""

    process: ForkServerProcess
    pipe: Connection
    log: Path

    @classmethod
    async def start(cls, forks: Forks, clock_offset_s: float) -> Self:
        """Start the process and wait until it is ready."""
        ours, theirs = FORKSERVER.Pipe()
        log = forks.folder / "workers.log"
        process = FORKSERVER.Process(
            target=_serve,
            args=(dict(forks.environ), forks.clock, log, clock_offset_s, theirs),
            name="workers",
            daemon=True,
        )
        process.start()
        theirs.close()  # or its end would not be seen here
        rounds = cls(process, ours, log)
        await rounds.answer(READY_TIMEOUT_S)
        return rounds

    async def __call__(self) -> int:
        """Run every worker once; return how much they found. Raises EOFError if it is killed."""
        self.pipe.send(None)
        return await self.answer(ROUND_TIMEOUT_S)

    async def answer(self, timeout_s: float) -> int:
        """Return what the process says next."""
        if not await asyncio.to_thread(self.pipe.poll, timeout_s):
            raise TimeoutError(f"the workers are silent; they said:\n{tail(self.log)}")
        try:
            found = self.pipe.recv()
        except OSError as error:  # it was killed with something of ours unread
            raise EOFError from error
        assert isinstance(found, int), f"a worker failed:\n{found}"
        return found

    def kill(self) -> None:
        """End it as the kernel would when memory runs out: at once."""
        self.process.kill()
        self.process.join(REAP_TIMEOUT_S)


def _serve(
    environ: Mapping[str, str],
    clock: SharedClock,
    log: Path,
    clock_offset_s: float,
    pipe: Connection,
) -> None:
    begin(log, clock_offset_s)
    settings = load(environ)
    logs.configure(settings.log_level)
    # The parts of an API without a port: nothing runs by itself in it.
    own = MovedClock(clock)
    asyncio.run(_work(build(settings, "api", own), own, pipe))


async def _work(app: web.Application, clock: MovedClock, pipe: Connection) -> None:
    await web.AppRunner(app).setup()
    await clock.synchronized.wait()
    pipe.send(0)
    while True:
        await asyncio.to_thread(pipe.recv)
        pipe.send(await _round(app[CONTEXT]))


async def _round(context: Context) -> int | str:
    try:
        found: list[int] = [await run_once(context) for run_once in ROUNDS]
        return sum(found)
    except Exception:  # noqa: BLE001  reported by the scenario that caused it
        return traceback.format_exc()
