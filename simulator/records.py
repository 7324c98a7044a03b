"""The bound on records, and waiting for changes of them."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from simulator.replies import RefusalError

DEFAULT_MAX_RECORDS: Final = 250_000
"""Of each kind. A charge with its stored answer takes 1.2 KB (measured), so 300 MB when full."""


class Records:
    """The bound on every kind of record, and a signal when one is added or changed."""

    def __init__(self, limit: int = DEFAULT_MAX_RECORDS) -> None:
        self.limit = limit
        self._waiting: set[asyncio.Future[None]] = set()

    def make_room(self, used: int, kind: str) -> None:
        """Refuse one more of `kind`: forgetting the oldest could turn a replay into a charge."""
        if used >= self.limit:
            raise RefusalError(
                429,
                "simulator_full",
                f"{self.limit} {kind} are kept at most; POST /control/reset, or start it "
                "with a larger --max-records",
            )

    def changed(self) -> None:
        """Wake those who wait."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a condition over the records holds; False when it never did in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiting.add(waiter)
                    await waiter
        except TimeoutError:
            return False
        return True


def page_of(found: Iterator[Any], limit: int, starting_after: str | None) -> dict[str, Any]:
    """Return a page of records that have an `id`; the cursor is the last one of the page before."""
    if starting_after is not None:
        for record in found:
            if record.id == starting_after:
                break
        else:
            raise RefusalError(400, "cursor_unknown", f"no record {starting_after} in this list")
    page = list(islice(found, limit + 1))
    return {"data": page[:limit], "has_more": len(page) > limit}
