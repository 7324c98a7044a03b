"""The garbage collector, tuned for a server process."""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 20_000
"""Allocations before a collection of the young generation. At Python's 700 the
collector took an eighth of the process's time under load; at this number a fiftieth
(docs/develop/performance.md)."""

MIDDLE_ROUNDS, OLD_ROUNDS = 20, 50
"""Collections of a generation before one of the next older one."""


def tune_gc() -> None:
    """Collect once, freeze what is there to stay, and collect more seldom from now on.

    Call it when everything is imported and built.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, MIDDLE_ROUNDS, OLD_ROUNDS)
