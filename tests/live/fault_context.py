"""What a fault works with: the running platform, and what it has to undo in the end."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any, Final

from alerts.model import Alert
from scripts.platform.embedded import LOOPBACK, free_port
from scripts.platform.processes import spawn
from tests.live import fault_sql
from tests.live.stack import Live, Pod

PATIENCE_S: Final = 60.0  # for what a worker does within five seconds, on a machine that is busy
POLL_S: Final = 0.1
Rows = list[tuple[Any, ...]]


class FaultError(Exception):
    """A fault could not be caused; the message says what did not happen."""


@dataclass
class FaultContext:
    """What the faults of one phase share; `stack` undoes them."""

    live: Live
    stack: AsyncExitStack

    async def break_remote(self, target: str, kind: str, **options: Any) -> None:
        """Switch a fault on at the simulator, for every request unless `times` is given."""
        await self.live.control.fault(target, kind, **{"times": None, **options})

    async def write(self, *statements: str, values: tuple[Any, ...] = ()) -> Rows:
        """Run statements in one transaction, as the database's owner; return the last's rows."""
        return await asyncio.to_thread(self._write, statements, values)

    async def write_unguarded(self, *statements: str, values: tuple[Any, ...] = ()) -> None:
        """Run statements past every trigger that would refuse them."""
        await asyncio.to_thread(self._write, (fault_sql.WITHOUT_GUARDS, *statements), values)

    def _write(self, statements: tuple[str, ...], values: tuple[Any, ...]) -> Rows:
        with self.live.owner_transaction() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement, values if "%s" in statement else None)
            return cursor.fetchall() if cursor.description else []

    async def until(self, query: str, *values: Any, least: int = 1) -> Rows:
        """Wait until a query returns so many rows, and return them."""
        deadline = time.monotonic() + PATIENCE_S
        while len(rows := await self.write(query, values=values)) < least:
            if time.monotonic() > deadline:
                raise FaultError(f"{len(rows)} of {least} rows: {' '.join(query.split())}")
            await asyncio.sleep(POLL_S)
        return rows

    async def hold(self, statement: str, *values: Any) -> None:
        """Run a statement and keep its transaction open until the phase ends."""

        def begin() -> None:
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)

        connection = self.live.owner()
        self.stack.enter_context(closing(connection))
        await asyncio.to_thread(begin)

    def keep_doing(self, what: Coroutine[Any, Any, None]) -> None:
        """Run something beside until the phase ends."""
        task = asyncio.create_task(what)

        async def end() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        self.stack.push_async_callback(end)

    def late_worker(self) -> Pod:
        """Start a worker whose clock stands back, as one more pod."""
        live, port = self.live, free_port()
        child = spawn(
            "late worker",
            [sys.executable, "-m", "tests.live.late_worker"],
            env={**live.platform.environ, "OPS_PORT": str(port)},
            log=live.platform.logs / "late-worker.log",
        )
        return live.adopt("late", "worker", f"http://{LOOPBACK}:{port}", child)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, how it is caused, and the alerts that it makes fire."""

    name: str
    cause: Callable[[FaultContext], Awaitable[None]]
    fires: tuple[Alert, ...]
    after: tuple[str, int] | None = None
    """A query and a number of rows: another fault has got so far once there are so many."""


@dataclass(frozen=True)
class Phase:
    """Faults that don't disturb each other and are caused together."""

    name: str
    faults: tuple[Fault, ...]
