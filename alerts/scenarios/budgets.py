"""Scenarios of the objectives: what is recorded, and how fast a budget burns."""

from collections.abc import Iterator
from typing import Final

from alerts.budgets import AVAILABILITY, LATENCY, RATE_WINDOW, fast, slow
from alerts.model import Alert
from alerts.scenarios import Firing, Recorded, Scenario, Series, borders, counted, once
from alerts.scenarios.payments import durations
from alerts.scenarios.traffic import paid
from service.metric_catalog import PAYMENTS


def mix(bad: float) -> tuple[Series, ...]:
    """Return 10 000 payments a step; of 1000 of them `bad` fail."""
    return paid(10 * bad, "failed"), paid(10 * (1_000 - bad))


def slow_ones(number: int) -> tuple[Series, ...]:
    """Return 10 000 payments a step; of 100 so many take longer than the objective allows."""
    fast_ones = 100 * (100 - number)
    return durations(fast_ones, 100 * number, slower_than=2.0, at_most=3.0)


def burning(alert: Alert, over: int, under: int, value: str) -> Iterator[Scenario]:
    """Yield scenarios of the availability budget: so many bad payments of 1000."""
    yield from borders(alert, over=mix(over), under=mix(under), value=value, starts_s=30)


def night(failures: int) -> tuple[Series, ...]:
    """Return a night in which nobody pays but a few, and they can't."""
    failed = once(PAYMENTS, failures, status="failed", provider="simulator")
    return failed, counted(PAYMENTS, 0, status="succeeded", provider="simulator")


FAST: Final = fast(AVAILABILITY)
SLOW: Final = slow(AVAILABILITY)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *burning(FAST, 31, 30, "3.1%"),  # 6 times the budget, over six hours and 30 min
    *burning(SLOW, 6, 5, "0.6%"),  # as fast as it may, over three days and six hours
    Scenario(
        FAST,
        "it burned for 45 minutes and stopped 36 minutes ago",
        (
            Series(PAYMENTS, (("status", "failed"), ("provider", "simulator")), "0+73x90 6570x80"),
            counted(PAYMENTS, 927, steps=170, status="succeeded", provider="simulator"),
        ),
        "1h22m",
    ),
    Scenario(FAST, "four failures in a quiet night", night(4), "15m"),
    Scenario(FAST, "five are too many", night(5), "15m", (Firing("100%"),)),
    *borders(fast(LATENCY), over=slow_ones(31), under=slow_ones(30), value="31%", starts_s=30),
    *borders(slow(LATENCY), over=slow_ones(6), under=slow_ones(5), value="6%", starts_s=30),
)


def rates(bad: str) -> tuple[Series, ...]:
    """Return recorded rates, a sample each quarter of an hour; one payment a second in all."""
    every = Series(AVAILABILITY.every_rate, (), "1x1000", job="")
    return Series(AVAILABILITY.bad_rate, (), bad, job=""), every


DAYS: Final[tuple[Scenario | Recorded, ...]] = (
    Scenario(
        SLOW,
        "a day at twice the budget, still going on",
        rates("0x170 0.02x96"),
        "2d18h45m",
        (Firing("2%"),),
    ),
    Scenario(
        SLOW, "a day at four times the budget, over for seven hours", rates("0.02x96 0x28"), "31h"
    ),
    Scenario(
        FAST,
        "six hours at six times the budget",
        rates("0x170 0.031x24"),
        "48h45m",
        (Firing("3.1%"),),
    ),
    Scenario(FAST, "five of these hours", rates("0x170 0.031x20"), "47h45m"),
)

SHORT: Final[tuple[Recorded, ...]] = (
    Recorded(AVAILABILITY.bad_rate, "failures a second", mix(60), "20m", 20),
    Recorded(AVAILABILITY.every_rate, "all a second", (paid(9_000),), "20m", 300),
    Recorded(AVAILABILITY.error_ratio(RATE_WINDOW), "the ratio", mix(250), "20m", 0.25),
    Recorded(AVAILABILITY.error_ratio("1h"), "the ratio", mix(250), "20m", 0.25),
    Recorded(
        LATENCY.every_rate,
        "all a second",
        durations(6_750, 2_250, slower_than=2.0, at_most=3.0),
        "20m",
        300,
    ),
    Recorded(LATENCY.error_ratio(RATE_WINDOW), "the ratio", slow_ones(25), "20m", 0.25),
)
MONTH: Final[tuple[Recorded, ...]] = (
    Recorded(AVAILABILITY.remaining, "half of it is spent", mix(2.5), "20m", 0.5),
    Recorded(AVAILABILITY.remaining, "twice of it is spent", mix(10), "20m", -1),
    Recorded(LATENCY.remaining, "all of it is left", slow_ones(0), "20m", 1),
)
