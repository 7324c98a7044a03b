"""The service's clock: the database's time, whatever the machine's own clock shows.

A lease is written by one process and read by another, so all of them must read one clock. Each
process asks the database for the time now and then, and counts on from there by its monotonic
clock, which nobody sets. Until the first answer it goes by the machine's clock.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from service.logs import get_logger

SAMPLE_INTERVAL_S: Final = 30.0
"""Two machines drift apart by milliseconds in that time, and a database that was replaced by one
with another time is followed before the shortest lease has run out."""

FIRST_RETRY_S: Final = 1.0
"""Nothing works before the first answer, so it is asked for more often."""

MAX_ROUND_TRIP_S: Final = 1.0
"""A sample is wrong by half its round trip at most. A slower one adds nothing."""

Clock = Callable[[], datetime]

_log = get_logger(__name__)


class DatabaseClock:
    """The database's time, from samples of it; call it for the time."""

    def __init__(self) -> None:
        self.synchronized = asyncio.Event()
        """Set with the first sample."""
        self._ahead_s = time.time() - time.monotonic()

    def __call__(self) -> datetime:
        """Return the time."""
        return datetime.fromtimestamp(self.unix_s(), UTC)

    def unix_s(self) -> float:
        """Return the time in seconds since 1970."""
        return time.monotonic() + self._ahead_s

    def system_offset_s(self) -> float:
        """Return how far the machine's clock is ahead of the database's."""
        return time.time() - self.unix_s()

    async def measure(self, read: Callable[[], Awaitable[datetime]]) -> None:
        """Take a sample with `read`, the database's time now. Raises what `read` raises.

        The first one counts, however slow: it is better than a clock of which nothing is known.
        """
        sent_s = time.monotonic()
        at = await read()
        came_s = time.monotonic()
        if self.synchronized.is_set() and came_s - sent_s > MAX_ROUND_TRIP_S:
            return
        self._ahead_s = at.timestamp() - (sent_s + came_s) / 2
        self.synchronized.set()

    async def follow(self, read: Callable[[], Awaitable[datetime]], stop: asyncio.Event) -> None:
        """Take samples until `stop` is set.

        Cancel it as well, so that it waits for no answer. That alone would not do: a driver that
        has its answer in the same moment goes on uncanceled.
        """
        while not stop.is_set():
            try:
                await self.measure(read)
            except Exception as error:  # noqa: BLE001  whatever it is, the next sample comes
                _log.warning("clock_not_measured", error=f"{type(error).__name__}: {error}")
            known = self.synchronized.is_set()
            with suppress(TimeoutError):
                async with asyncio.timeout(SAMPLE_INTERVAL_S if known else FIRST_RETRY_S):
                    await stop.wait()
