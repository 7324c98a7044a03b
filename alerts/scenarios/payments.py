"""Scenarios of the payment alerts: how fast they are, and how long they hang."""

from collections.abc import Iterator
from typing import Final

from alerts import payments as rules
from alerts.model import Alert
from alerts.scenarios import (
    WORKER_JOB,
    Firing,
    Scenario,
    Series,
    borders,
    counted,
    level,
    once,
)
from service import metric_catalog as m


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


def of_status(metric: m.Metric, value: float, status: str) -> tuple[Series, ...]:
    """Return a gauge of the database: the workers export it, the API's stays 0."""
    return (
        level(metric, value, job=WORKER_JOB, status=status),
        level(metric, 0, status=status),
    )


_PROVIDER: Final = {"provider": "simulator"}

_FAILED_DEAR: Final = m.PAYMENT_FAILURES_HIGH_VALUE

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *latency(rules.LATENCY_HIGH, limit=2.0, above=3.0, value="2.167s"),
    *latency(rules.LATENCY_CRITICAL, limit=5.0, above=10.0, value="5.833s"),
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
