"""How much one may do in a while: what the rate limits ask, and what the counts answer."""

import math
from dataclasses import dataclass
from typing import Final, Protocol

MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Quota:
    """How many requests in how many seconds; its bucket holds `limit` of them."""

    limit: int
    window_s: int

    @property
    def interval_us(self) -> int:
        """Return the microseconds in which the bucket regains one request."""
        return max(1, self.window_s * MICROSECONDS // self.limit)

    @property
    def window_us(self) -> int:
        """Return the microseconds in which an empty bucket is full again."""
        return self.interval_us * self.limit


@dataclass(frozen=True, slots=True)
class Count:
    """The count of a key: `retry_us` is 0 for a request that may be made."""

    retry_us: int
    remaining: int
    full_us: int


Demand = tuple[str, Quota]
"""A key, and how much it may use."""
Demands = tuple[Demand, ...]
"""All that one request is counted under."""
Counts = tuple[Count, ...]


class Quotas(Protocol):
    """Counts requests."""

    async def take(self, demands: Demands) -> Counts:
        """Count one request under all its keys, or under none if one of them refuses it."""

    async def close(self, timeout_s: float) -> None:
        """Let those that wait be counted, then close what was opened."""


def seconds(microseconds: int) -> int:
    """Return whole seconds, rounded up: who waits that long has waited long enough."""
    return math.ceil(microseconds / MICROSECONDS)
