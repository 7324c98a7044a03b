"""Batches: independent writes that wait while a connection is busy share the next statement.

A lone write goes out at once; under load, what has gathered meanwhile goes out together, with one
commit for all. After a batch of several, the next one waits for company: until it is full, at most
as long as the last one took. A statement's fixed cost is that of many items, so that a little wait
is won back by all. A second connection joins when a whole batch waits, or when the first one is
slow: sooner, it would only halve the batches and double the commits. Each item has an outcome of
its own, and an item that the database refuses fails alone.

The statement must be safe to repeat for the same item (it recognises its own ids), because a
connection that breaks in mid-statement leaves the outcome of its items unknown: they are run again
and so find out.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Final, Generic, TypeVar, cast

from service.errors import OverloadedError, ServiceError, StoreUnavailableError
from service.retry import full_jitter_s

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Entry = tuple[Item, asyncio.Future[Outcome]]
Run = Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]]

LOST_RETRIES: Final = 6
LOST_PAUSE_S: Final = 0.25
MAX_LOST_PAUSE_S: Final = 2.0
"""Pauses up to 0.25 s, doubling to 2 s, are 4 s on average and 8 s at most: they bridge a restart
of PostgreSQL and stay below a request's time."""
RETRY_AFTER_S: Final = 1

SLOW_S: Final = 0.1
"""A statement that takes longer waits for somebody: a lock, or a server that is not well. Who comes
now need not wait with it."""


MAX_GATHER_S: Final = 0.01
"""However long a statement took, the next batch waits no longer than this for company."""


class Batcher(Generic[Item, Outcome]):
    """Gathers items and runs them in batches on at most `lanes` connections at a time.

    `conflict_keys` names what two items of one batch must not share: they would be the same row to
    the statement. The later one waits for the next batch.
    """

    def __init__(
        self,
        run: Run[Item, Outcome],
        *,
        conflict_keys: Callable[[Item], Iterable[Hashable]],
        max_items: int,
        max_queue: int,
        lanes: int,
        observe: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._run = run
        self._conflict_keys = conflict_keys
        self._max_items = max_items
        self._max_queue = max_queue
        self._lanes = lanes
        self._observe = observe
        self._waiting: deque[Entry[Item, Outcome]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._taken_s = 0.0
        self._gathering = 0
        self._full = asyncio.Event()
        self._closing = False

    @property
    def waiting(self) -> int:
        """Items that no batch has taken yet."""
        return len(self._waiting)

    async def submit(self, item: Item) -> Outcome:
        """Return the item's outcome; raise OverloadedError at once when the queue is full.

        A caller that is canceled leaves: the write goes on without it.
        """
        if self._closing or len(self._waiting) >= self._max_queue:
            raise OverloadedError(retry_after_s=RETRY_AFTER_S)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._max_items:
            self._full.set()
        self._start_lane()
        return await future

    async def close(self, timeout_s: float) -> None:
        """Refuse new items and wait until those that wait are written, at most `timeout_s`."""
        self._closing = True
        if self._running:
            _done, late = await asyncio.wait(self._running, timeout=timeout_s)
            for lane in late:
                lane.cancel()

    def _start_lane(self) -> None:
        if self._gathering:
            return  # a lane is about to take it
        if not self._running or (len(self._running) < self._lanes and self._needs_help()):
            lane = asyncio.create_task(self._work(), name="batch lane")
            self._running.add(lane)  # a task that nothing refers to can be garbage-collected
            lane.add_done_callback(self._running.discard)  # one canceled before its first step

    def _needs_help(self) -> bool:
        """Tell whether the lanes that work leave a whole batch waiting, or are slow."""
        now = asyncio.get_running_loop().time()
        return len(self._waiting) >= self._max_items or now - self._taken_s > SLOW_S

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch = self._take()
                self._observe(len(batch))
                begun_s = loop.time()
                await self._resolve(batch)
                if len(batch) > 1 and self._waiting:
                    await self._gather(loop.time() - begun_s)
        finally:
            # In the step that sees the queue empty: an item that comes before a done callback ran
            # would take this lane for one that works, and wait for ever.
            self._running.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _gather(self, longest_s: float) -> None:
        """Wait until a whole batch waits, for a while."""
        self._gathering += 1
        try:
            async with asyncio.timeout(min(longest_s, MAX_GATHER_S)):
                await self._full.wait()
        except TimeoutError:
            pass
        finally:
            self._gathering -= 1

    def _take(self) -> list[Entry[Item, Outcome]]:
        batch: list[Entry[Item, Outcome]] = []
        skipped: list[Entry[Item, Outcome]] = []
        taken: set[Hashable] = set()
        while self._waiting and len(batch) < self._max_items:
            entry = self._waiting.popleft()
            keys = set(self._conflict_keys(entry[0]))
            (skipped if keys & taken else batch).append(entry)
            taken |= keys
        self._waiting.extendleft(reversed(skipped))
        if len(self._waiting) < self._max_items:
            self._full.clear()
        self._taken_s = asyncio.get_running_loop().time()
        return batch

    async def _resolve(self, batch: Sequence[Entry[Item, Outcome]]) -> None:
        """Give every entry of the batch an outcome or an error; never raise but when canceled."""
        try:
            outcomes = await self._run_surely([item for item, _ in batch])
        except (ServiceError, asyncio.CancelledError) as error:
            _fail(batch, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception as error:  # noqa: BLE001  one bad item must not take the others along
            await self._resolve_by_halves(batch, error)
        else:
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)

    async def _resolve_by_halves(
        self, batch: Sequence[Entry[Item, Outcome]], error: Exception
    ) -> None:
        if len(batch) == 1:
            _fail(batch, error)
            return
        middle = len(batch) // 2
        await self._resolve(batch[:middle])
        await self._resolve(batch[middle:])

    async def _run_surely(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Run until the outcome is known, within bounds."""
        for tries in range(1, LOST_RETRIES + 1):
            try:
                return await self._run(items)
            except StoreUnavailableError:  # a lost connection is one of these
                pause_s = full_jitter_s(tries, first_s=LOST_PAUSE_S, most_s=MAX_LOST_PAUSE_S)
                await asyncio.sleep(pause_s)
        return await self._run(items)


def _fail(batch: Sequence[Entry[Item, Outcome]], error: BaseException) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(
                StoreUnavailableError(retry_after_s=RETRY_AFTER_S)
                if isinstance(error, asyncio.CancelledError)
                else error
            )
            future.exception()  # retrieved here: the caller may have left
