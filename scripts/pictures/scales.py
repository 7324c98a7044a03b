"""Where an axis of values has its ticks: at numbers that are round in the panel's unit."""

from itertools import chain
from typing import Final

from matplotlib.ticker import MaxNLocator

MOST: Final = 5
MINUTE: Final = 60.0
KIBI: Final = 1024.0

_CLOCK: Final = (
    *(15.0, 30.0, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE),
    *(hours * 60 * MINUTE for hours in (1, 2, 4, 6, 12, 24, 48, 168, 336, 672)),
)
_BINARY: Final = tuple(
    chain.from_iterable((KIBI**power * 2**n for n in range(10)) for power in range(5))
)


def ticks(low: float, high: float, unit: str) -> list[float]:
    """Return the ticks of an axis from `low` to `high`, both in the base unit."""
    steps = _steps(unit, high - low)
    step = next((one for one in steps if (high - low) / one <= MOST), None)
    if step is None:
        whole = unit == "short" and high >= 1
        found = MaxNLocator(MOST, integer=whole).tick_values(low, high)
        return [float(at) for at in found if low <= at <= high]
    first = -(-low // step)
    return [(first + n) * step for n in range(int(high // step - first) + 1)]


def _steps(unit: str, size: float) -> tuple[float, ...]:
    """Return steps that are round where ten is no round number: minutes, and powers of two."""
    if unit == "s" and size >= MINUTE:
        return _CLOCK
    return _BINARY if unit == "bytes" else ()
