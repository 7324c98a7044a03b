"""Does a measure rise, or does it only scatter? Robust slopes and their certainty. Pure.

The slope is Theil and Sen's: the median of the slopes of all pairs of points, which outliers and
jumps of a few points don't move. Whether there is a trend at all is Mann and Kendall's test, and
how large it is at least is Sen's confidence bound, from the same ranks (R. O. Gilbert, Statistical
Methods for Environmental Pollution Monitoring, 1987, chapters 16.4 and 17). All are of medians of
bins of time: neighboring samples are alike, and a thousand of them are not a thousand witnesses.

A leak goes on, while caches that fill, pools that grow once and allocators that settle come to an
end. So the first part of a run does not count, and each half of the rest must rise by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan, sqrt
from statistics import NormalDist, median
from typing import Final

HOUR_S: Final = 3_600.0
WARM_UP: Final = 0.25
"""Of the run, which does not count."""

BINS: Final = 32
"""Of which 496 pairs can be made; each is the median of its samples."""

LEAST_BINS: Final = 10
"""With fewer the test can't tell a trend from chance."""

CERTAINTY: Final = 0.99
"""One-sided: of a hundred measures that don't rise, one is taken for a trend by chance."""

HALF_CERTAINTY: Final = 0.95
"""The same for each half of the run, which both must have a trend."""

HALF_SHARE: Final = 0.25
"""Of the floor of the whole, that each half must rise by: of a steady leak it would be a half."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What counts as a leak of a measure, whose values are in `unit`.

    It rises by more than `per_hour`, a fraction of its level, for certain; and by more than `floor`
    (in `unit`) between the warm-up and the end. What is less can't be told from chance in so short
    a run, or is of no concern.
    """

    unit: str
    per_hour: float
    floor: float
    why: str


@dataclass(frozen=True, slots=True)
class Series:
    """A measure over time: seconds since the start, and values."""

    times_s: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Trend:
    """The trend of a series after its warm-up; slopes are in units an hour.

    `level` is the median, `low` the bound above which the slope is with CERTAINTY, `rise` what the
    slope makes of the time from `from_s` to `to_s`. `goes_on_by` is the smaller rise of both
    halves, and 0 if one of them has no trend.
    """

    level: float
    slope: float
    low: float
    rise: float
    certain: bool
    goes_on_by: float
    from_s: float
    to_s: float
    line_at_middle: float

    def at(self, time_s: float) -> float:
        """Return the value of the fitted line."""
        middle_s = (self.from_s + self.to_s) / 2
        return self.line_at_middle + self.slope * (time_s - middle_s) / HOUR_S


def trend(series: Series) -> Trend | None:
    """Return the trend; None if there are too few samples to tell."""
    times, values = _binned(*_warmed_up(series))
    if len(times) < LEAST_BINS:
        return None
    slopes = sorted(_slopes(times, values))
    z, spread = _mann_kendall(values)
    half = len(times) // 2
    slope = median(slopes)
    seconds = times[-1] - times[0]
    return Trend(
        level=median(values),
        slope=slope * HOUR_S,
        low=_low(slopes, spread) * HOUR_S,
        rise=slope * seconds,
        certain=z > NormalDist().inv_cdf(CERTAINTY),
        goes_on_by=min(
            _rise(times[:half], values[:half]),
            _rise(times[half:], values[half:]),
        ),
        from_s=times[0],
        to_s=times[-1],
        line_at_middle=median(
            value - slope * (time - (times[0] + times[-1]) / 2)
            for time, value in zip(times, values, strict=True)
        ),
    )


def leaks(found: Trend, rule: Rule) -> bool:
    """Return whether the measure rises too much, for certain, and to the end."""
    return (
        found.certain
        and found.low > rule.per_hour * abs(found.level)
        and found.rise > rule.floor
        and found.goes_on_by > HALF_SHARE * rule.floor
    )


def least_found(found: Trend, rule: Rule) -> float:
    """Return the smallest slope, in units an hour, that a run as long as this could find."""
    hours = (found.to_s - found.from_s) / HOUR_S
    return max(rule.per_hour * abs(found.level), rule.floor / hours)


def _warmed_up(series: Series) -> tuple[list[float], list[float]]:
    known = [
        (time, value)
        for time, value in zip(series.times_s, series.values, strict=True)
        if isfinite(value)
    ]
    if not known:
        return [], []
    first, last = known[0][0], known[-1][0]
    begin = first + WARM_UP * (last - first)
    kept = [(time, value) for time, value in known if time >= begin]
    return [time for time, _ in kept], [value for _, value in kept]


def _binned(times: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return at most BINS points: the medians of as many samples each."""
    size = -(-len(times) // BINS) if times else 1
    starts = range(0, len(times), size)
    return (
        [median(times[start : start + size]) for start in starts],
        [median(values[start : start + size]) for start in starts],
    )


def _slopes(times: Sequence[float], values: Sequence[float]) -> list[float]:
    return [
        (values[later] - values[earlier]) / (times[later] - times[earlier])
        for earlier in range(len(times))
        for later in range(earlier + 1, len(times))
    ]


def _rise(times: Sequence[float], values: Sequence[float]) -> float:
    """Return what a half of the run rises by; 0 without a trend."""
    z, _ = _mann_kendall(values)
    if z <= NormalDist().inv_cdf(HALF_CERTAINTY):
        return 0.0
    return median(_slopes(times, values)) * (times[-1] - times[0])


def _mann_kendall(values: Sequence[float]) -> tuple[float, float]:
    """Return the test's z and the standard deviation of its S, corrected for ties."""
    count = len(values)
    s = sum(
        (values[later] > values[earlier]) - (values[later] < values[earlier])
        for earlier in range(count)
        for later in range(earlier + 1, count)
    )
    ties = [values.count(value) for value in set(values)]
    variance = (
        count * (count - 1) * (2 * count + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)
    ) / 18
    spread = sqrt(variance)
    return (s - (s > 0) + (s < 0)) / spread if spread else 0.0, spread


def _low(slopes: Sequence[float], spread: float) -> float:
    """Return Sen's lower bound of the slope, at CERTAINTY."""
    wide = NormalDist().inv_cdf(CERTAINTY) * spread
    rank = round((len(slopes) - wide) / 2)
    return slopes[max(0, min(rank, len(slopes) - 1))] if slopes else nan
