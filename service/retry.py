"""When to try again: one backoff for every retry, and how to read a Retry-After.

"Full jitter": a wait is anywhere between nothing and a bound that doubles. What failed together
comes back spread over the whole range, which ends a retry storm sooner, and with fewer calls, than
a fixed schedule or one that varies a little
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). On average it waits
half as long as its bounds. Webhooks to merchants keep the schedule that is documented to them.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import random as any_fraction
from typing import Final

_MOST_DOUBLINGS: Final = 64
"""Beyond every bound of ours, and no number of tries makes a float overflow."""


def full_jitter_s(
    tries: int, *, first_s: float, most_s: float, random: Callable[[], float] = any_fraction
) -> float:
    """Return the seconds to wait after `tries` failed tries, 1 for the first.

    At most `first_s` after the first one, twice that after the second, …, and never above `most_s`.
    `random` gives a fraction of 1.
    """
    bound_s = min(first_s * 2.0 ** min(tries - 1, _MOST_DOUBLINGS), most_s)
    return bound_s * random()


def retry_after_s(text: str, now: datetime) -> float:
    """Return the seconds of a Retry-After (RFC 9110, 10.2.3); 0 for one that can't be read."""
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year of eleven digits is the latter
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max((at - now).total_seconds(), 0.0)
