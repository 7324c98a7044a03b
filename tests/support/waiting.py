"""Wait for what announces itself nowhere: a line in a log, an answer that changes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

POLL_S: Final = 0.05
T = TypeVar("T")


async def eventually(
    look: Callable[[], Awaitable[T]], holds: Callable[[T], bool] = bool, *, timeout_s: float = 15
) -> T:
    """Look again and again until something holds; return it. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not holds(seen := await look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s:g} s: {seen!r}")
        await asyncio.sleep(POLL_S)
    return seen
