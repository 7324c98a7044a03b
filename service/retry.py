"""When to try again: the one schedule of every repeat.

"Full jitter": a wait is anywhere between nothing and a bound that doubles. What failed together
comes back spread over the whole range, which ends a retry storm sooner, and with fewer calls, than
a fixed schedule or one that varies a little
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). On average it waits
half as long as its bounds say. Webhooks to merchants keep the schedule that is documented to them.
"""

from collections.abc import Callable
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
