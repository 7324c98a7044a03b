"""Numbers as Grafana writes them, by the unit of their panel."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

DIGITS: Final = 3  # that count, as Grafana shows where no number of decimals is set
KIBI: Final = 1024.0
THOUSAND: Final = 1000.0
SUFFIX: Final = "suffix:"
PER_CENT: Final = 100.0

SCALES: Final = ("", "K", "Mil", "Bil", "Tri")
RATE_SCALES: Final = ("", "K", "M", "G", "T")
BYTE_SCALES: Final = ("B", "KiB", "MiB", "GiB", "TiB")
DURATIONS: Final = (
    (31_536_000.0, "years"),
    (604_800.0, "weeks"),
    (86_400.0, "days"),
    (3_600.0, "hours"),
    (60.0, "mins"),
    (1.0, "s"),
    (1e-3, "ms"),
    (1e-6, "µs"),
    (1e-9, "ns"),
)


def text(value: float, unit: str) -> str:
    """Return a value with its unit; raise KeyError for a unit that no panel of ours has."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if unit.startswith(SUFFIX):
        return f"{number(value)} {unit.removeprefix(SUFFIX)}"
    return WRITERS[unit](value)


def number(value: float) -> str:
    """Return a number with three digits that count, and without decimals if it is whole."""
    if value == 0 or value == round(value):
        return f"{value:.0f}"
    whole_digits = math.floor(math.log10(abs(value))) + 1
    decimals = max(DIGITS - whole_digits, 0)
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:.0f}"


def _scaled(value: float, scales: Sequence[str], base: float, joint: str = " ") -> str:
    power = 0
    while abs(value) >= base and power < len(scales) - 1:
        value, power = value / base, power + 1
    return f"{number(value)}{joint}{scales[power]}".rstrip()


def _short(value: float) -> str:
    return _scaled(value, SCALES, THOUSAND)


def _percent(value: float) -> str:
    return f"{number(value * PER_CENT)}%"


def _bytes(value: float) -> str:
    return _scaled(value, BYTE_SCALES, KIBI)


def _rate(value: float) -> str:
    """Return operations a second; small ones are not written as milli-operations."""
    scaled = _scaled(value, RATE_SCALES, THOUSAND)
    return f"{scaled} ops/s" if scaled[-1].isdigit() else f"{scaled}ops/s"


def _duration(value: float) -> str:
    if value == 0:
        return "0 s"
    for size, name in DURATIONS:
        if abs(value) >= size:
            return f"{number(value / size)} {_singular(name, value / size)}"
    return f"{number(value)} s"


def _singular(name: str, count: float) -> str:
    return name.removesuffix("s") if count == 1 and len(name) > len("ms") else name


WRITERS: Final[Mapping[str, Callable[[float], str]]] = {
    "short": _short,
    "percentunit": _percent,
    "bytes": _bytes,
    "ops": _rate,
    "s": _duration,
}
