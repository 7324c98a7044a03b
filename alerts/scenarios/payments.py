"""Scenarios of the payment alerts: how many, how fast, how long they hang."""

from collections.abc import Iterator
from typing import Final

from alerts import payments as rules
from alerts.model import Alert
from alerts.scenarios import (
    SAMPLES,
    WORKER_JOB,
    Firing,
    Scenario,
    Series,
    borders,
    counted,
    error_rate,
    level,
    once,
)
from service import metric_catalog as m

DAY_STEPS: Final = 288
"""Of the scenarios that look back a week: samples each five minutes."""


def paid(a_step: float, status: str = "succeeded") -> Series:
    """Return payments that reach a status, `a_step` each 30 s."""
    return counted(m.PAYMENTS, a_step, status=status, provider="simulator")


def durations(fast: int, slow: int, *, slower_than: float, at_most: float) -> tuple[Series, ...]:
    """Return 100 durations a step: `fast` ones, and `slow` ones between two bucket borders."""
    labels = {"status": "succeeded", "provider": "simulator"}
    borders_ = (*m.LATENCY_BUCKETS_S, float("inf"))

    def within(border: float) -> int:
        return (fast if border >= slower_than else 0) + (slow if border >= at_most else 0)

    every = counted(m.PAYMENT_DURATION, fast + slow, suffix="_count", where=labels)
    return every, *(
        counted(
            m.PAYMENT_DURATION,
            within(border),
            suffix="_bucket",
            where=labels,
            le="+Inf" if border == float("inf") else f"{border}",
        )
        for border in borders_
    )


def latency(alert: Alert, *, limit: float, above: float, value: str) -> Iterator[Scenario]:
    """Yield scenarios in which 95 or 94 of 100 payments stay within the limit."""
    yield from borders(
        alert,
        over=durations(94, 6, slower_than=limit, at_most=above),
        under=durations(95, 5, slower_than=limit, at_most=above),
        value=value,
        starts_s=30,
    )
    lone = durations(0, 0, slower_than=limit, at_most=above)
    yield Scenario(alert, "nobody pays: the quantile of nothing is no number", lone, "20m")


def volume(last_week: float, yesterday: float, today: float) -> tuple[Series, ...]:
    """Return payments each five minutes: two hours a week ago, the last day, and now."""
    labels = (("status", "succeeded"), ("provider", "simulator"))
    parts, total = [], 0.0
    for each, steps in ((last_week, 24), (50, 6 * DAY_STEPS - 48), (yesterday, DAY_STEPS + 24)):
        parts.append(f"{total:g}+{each:g}x{steps - 1}")
        total += each * steps
    parts.append(f"{total:.10g}+{today:g}x24")
    return (Series(m.PAYMENTS, labels, " ".join(parts)),)


OVER: Final = 17 / 32
UNDER: Final = 31 / 64
"""Payments a step: 10 in ten minutes are a half. Binary fractions, for sums without rounding."""


def stopping(before: float, after: float) -> Series:
    """Return an hour and more of payments, then another rhythm for half an hour."""
    labels = (("status", "succeeded"), ("provider", "simulator"))
    top = before * 140
    return Series(m.PAYMENTS, labels, f"0+{before:g}x140 {top + after:g}+{after:g}x{SAMPLES}")


def of_status(metric: m.Metric, value: float, status: str) -> tuple[Series, ...]:
    """Return a gauge of the database: the workers tell it, the API's own stays 0."""
    return (
        level(metric, value, job=WORKER_JOB, status=status),
        level(metric, 0, status=status),
    )


_PROVIDER: Final = {"provider": "simulator"}

_FAILED_DEAR: Final = m.PAYMENT_FAILURES_HIGH_VALUE

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *error_rate.SCENARIOS,
    *latency(rules.LATENCY_HIGH, limit=2.0, above=3.0, value="2.167s"),
    *latency(rules.LATENCY_CRITICAL, limit=5.0, above=10.0, value="5.833s"),
    Scenario(
        rules.STOPPED,
        "none for ten minutes, after just enough",
        (stopping(OVER, 0),),
        "1h21m30s",
        (Firing("0"),),
    ),
    Scenario(rules.STOPPED, "not yet long enough", (stopping(OVER, 0),), "1h21m"),
    Scenario(rules.STOPPED, "too few before to tell", (stopping(UNDER, 0),), "1h21m30s"),
    Scenario(rules.STOPPED, "one more payment", (stopping(OVER, 0.125),), "1h21m30s"),
    Scenario(rules.STOPPED, "a new stack", (paid(0),), "20m"),
    Scenario(
        rules.HIGH_VALUE_FAILING,
        "three within a quarter of an hour",
        (once(_FAILED_DEAR, 3, where=_PROVIDER),),
        "10m",
        (Firing("3", labels=_PROVIDER),),
    ),
    Scenario(rules.HIGH_VALUE_FAILING, "two", (once(_FAILED_DEAR, 2, where=_PROVIDER),), "10m"),
    Scenario(
        rules.HIGH_VALUE_FAILING,
        "three, but long ago",
        (once(_FAILED_DEAR, 3, where=_PROVIDER),),
        "21m",
    ),
    *borders(
        rules.STUCK,
        over=of_status(m.UNRESOLVED_PAYMENTS_AGE, 901, "processing"),
        under=of_status(m.UNRESOLVED_PAYMENTS_AGE, 900, "processing"),
        value="15m 1s",
    ),
    *borders(
        rules.UNKNOWN,
        over=of_status(m.UNRESOLVED_PAYMENTS_AGE, 3_601, "unknown"),
        under=of_status(m.UNRESOLVED_PAYMENTS_AGE, 3_600, "unknown"),
        value="1h 0m 1s",
    ),
    *borders(
        rules.IN_REVIEW,
        over=of_status(m.UNRESOLVED_PAYMENTS, 1, "review"),
        under=(
            *of_status(m.UNRESOLVED_PAYMENTS, 0, "review"),
            *of_status(m.UNRESOLVED_PAYMENTS, 9, "unknown"),
        ),
        value="1",
    ),
    *borders(
        rules.REFUNDS_IN_REVIEW,
        over=of_status(m.UNRESOLVED_REFUNDS, 1, "review"),
        under=(
            *of_status(m.UNRESOLVED_REFUNDS, 0, "review"),
            *of_status(m.UNRESOLVED_REFUNDS, 9, "pending"),
        ),
        value="1",
    ),
)


def dropped(name: str, series: tuple[Series, ...], at: str, *, fires: str = "") -> Scenario:
    """Return a scenario of the volume; today begins after a week, and a window lasts 15 min."""
    return Scenario(rules.VOLUME_DROP, name, series, at, (Firing(fires),) if fires else ())


DAYS: Final[tuple[Scenario, ...]] = (
    # A third of a quarter of an hour: 10.2 are 30.6 in the window, two fifths of which are 12.24.
    dropped("12 where 31 were", volume(10.2, 33.3, 4), "7d30m", fires="13.33m"),
    dropped("not yet long enough", volume(10.2, 33.3, 4), "7d5m"),
    dropped("12.3 where 31 were", volume(10.2, 33.3, 4.1), "7d30m"),
    dropped("too few last week to tell", volume(9.9, 33.3, 3.8), "7d30m"),
    dropped("as few as yesterday", volume(33.3, 6, 4), "7d30m"),
    dropped("a new stack has no last week", volume(10.2, 33.3, 4), "1h"),
)
