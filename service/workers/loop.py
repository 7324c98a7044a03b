"""A worker: something to do once, done again and again until the process is told to stop."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from service.ids import new_id
from service.logs import bind_correlation, get_logger
from service.retry import full_jitter_s

Item = TypeVar("Item")

CONCURRENCY: Final = 8
"""Items of one worker at a time: no remote service gets more load from it than this."""

MAX_PAUSE_S: Final = 30.0
"""Longest pause after repeated failures: below the shortest alert window."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """`run_once` returns how much it found to do; with nothing found it rests for `poll_s`."""

    name: str
    run_once: Callable[[], Awaitable[int]]
    poll_s: float


async def run(worker: Worker, stop: asyncio.Event, succeeded: Callable[[Worker], None]) -> None:
    """Run until `stop` is set; what is under way then is finished first.

    `succeeded` is called after each round that raised nothing.
    """
    failures = 0
    while not stop.is_set():
        try:
            with bind_correlation(new_id().hex, worker=worker.name):
                found = await worker.run_once()
            failures = 0
            succeeded(worker)
        except Exception:  # noqa: BLE001  a worker outlives whatever one run comes upon
            failures += 1
            found = 0
            _log.exception("worker_failed", worker=worker.name, failures=failures)
        if not found:
            await _rest(stop, _pause_s(worker.poll_s, failures))


def _pause_s(poll_s: float, failures: int) -> float:
    if failures:
        return full_jitter_s(failures + 1, first_s=poll_s, most_s=max(MAX_PAUSE_S, poll_s))
    return poll_s * random.uniform(0.5, 1.0)  # noqa: S311  so that replicas don't march in step


async def each(items: Sequence[Item], work: Callable[[Item], Awaitable[object]]) -> int:
    """Do `work` on each item, CONCURRENCY at a time; one that fails is logged and left.

    Returns the number of items. What was left is due again when its lease runs out.
    """
    limit = asyncio.Semaphore(CONCURRENCY)

    async def one(item: Item) -> None:
        async with limit:
            try:
                await work(item)
            except Exception:  # noqa: BLE001  the others go on
                _log.exception("work_item_failed")

    await asyncio.gather(*map(one, items))
    return len(items)


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
