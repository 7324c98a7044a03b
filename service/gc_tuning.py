"""The garbage collector, told that this process is a server."""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 20_000
"""Objects that gather before a look at the young ones. At Python's 700 the collector took an eighth
of the process's time under load; at this number a fiftieth (docs/develop/performance.md)."""

MIDDLE_ROUNDS, OLD_ROUNDS = 20, 50
"""Looks at a generation before one at the next older one."""


def tune_gc() -> None:
    """Collect once, leave alone what is there to stay, and look more seldom from now on.

    Call it when everything is imported and built.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, MIDDLE_ROUNDS, OLD_ROUNDS)
