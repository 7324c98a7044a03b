"""Scenarios of money."""

from typing import Final

from alerts import money as rules
from alerts.scenarios import (
    SAMPLES,
    STEP_S,
    WORKER_JOB,
    Firing,
    Scenario,
    Series,
    borders,
    level,
    once,
)
from service import metric_catalog as m

LONG: Final = 300
"""Steps: two and a half hours."""


def gauge(
    metric: m.Metric, value: float, steps: int = SAMPLES, **labels: str
) -> tuple[Series, ...]:
    """Return a gauge of the database: the workers export it, the API's stays 0."""
    return (
        level(metric, value, steps=steps, job=WORKER_JOB, where=labels),
        level(metric, 0, steps=steps, where=labels),
    )


def run_at(moment: float) -> tuple[Series, ...]:
    """Return the time of the last run; the scenario starts at second 0, so most are before it."""
    return gauge(m.RECONCILIATION_LAST_RUN, moment, 600)


_PROVIDER: Final = {"provider": "simulator"}

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *borders(
        rules.INVARIANT_BROKEN,
        over=gauge(m.INVARIANT_VIOLATIONS, 1, invariant="ledger_unbalanced"),
        under=gauge(m.INVARIANT_VIOLATIONS, 0, invariant="ledger_unbalanced"),
        value="1",
        labels={"invariant": "ledger_unbalanced"},
    ),
    *borders(
        rules.DIFFERENCE,
        over=(
            *gauge(m.RECONCILIATION_DIFFERENCES, 1, kind="duplicate_charge"),
            *gauge(m.RECONCILIATION_DIFFERENCES, 0, kind="missing_here"),
        ),
        under=gauge(m.RECONCILIATION_DIFFERENCES, 0, kind="duplicate_charge"),
        value="1",
        labels={"kind": "duplicate_charge"},
    ),
    *borders(
        rules.OVERDUE,
        over=run_at(600),
        under=run_at(3_000),
        value="3h 30m 30s",
        starts_s=600 + 10_800 + STEP_S,
    ),
    Scenario(
        rules.OVERDUE,
        "no worker runs, and the API's own 0 is no time",
        (level(m.RECONCILIATION_LAST_RUN, 0, steps=600),),
        "4h",
    ),
    Scenario(
        rules.ORPHANS,
        "three within an hour",
        (once(m.ORPHAN_CAPTURES, 3, where=_PROVIDER),),
        "20m",
        (Firing("3", labels=_PROVIDER),),
    ),
    Scenario(rules.ORPHANS, "two", (once(m.ORPHAN_CAPTURES, 2, where=_PROVIDER),), "20m"),
    *borders(
        rules.ORPHANS_PENDING,
        over=gauge(m.ORPHANS_UNREFUNDED, 1, LONG, state="pending"),
        under=(
            *gauge(m.ORPHANS_UNREFUNDED, 0, LONG, state="pending"),
            *gauge(m.ORPHANS_UNREFUNDED, 1, LONG, state="review"),
        ),
        value="1",
    ),
    *borders(
        rules.ORPHANS_IN_REVIEW,
        over=gauge(m.ORPHANS_UNREFUNDED, 1, state="review"),
        under=(
            *gauge(m.ORPHANS_UNREFUNDED, 0, state="review"),
            *gauge(m.ORPHANS_UNREFUNDED, 1, state="pending"),
        ),
        value="1",
    ),
    *borders(
        rules.REFUND_REVERSED,
        over=gauge(m.REVERSALS_OPEN, 1),
        under=gauge(m.REVERSALS_OPEN, 0),
        value="1",
    ),
    Scenario(
        rules.CAPTURE_REVERSED,
        "one within an hour",
        (once(m.REVERSALS, 1, where={**_PROVIDER, "kind": "capture"}),),
        "20m",
        (Firing("1", labels=_PROVIDER),),
    ),
    Scenario(
        rules.CAPTURE_REVERSED,
        "a refund that came back",
        (
            once(m.REVERSALS, 1, where={**_PROVIDER, "kind": "refund"}),
            once(m.REVERSALS, 0, where={**_PROVIDER, "kind": "capture"}),
        ),
        "20m",
    ),
    *borders(
        rules.TRAIL_BROKEN,
        over=gauge(m.AUDIT_FAULTS, 1),
        under=gauge(m.AUDIT_FAULTS, 0),
        value="1",
    ),
    *borders(
        rules.SEALS_GONE,
        over=(Series(m.AUDIT_LAST_SEAL, (), "7x9 6x60", job=WORKER_JOB),),
        under=(Series(m.AUDIT_LAST_SEAL, (), "7x9 8x60", job=WORKER_JOB),),
        value="6",
        starts_s=300,
    ),
    Scenario(
        rules.SEALS_GONE,
        "all workers are away, and the API's own 0 is no seal",
        (
            Series(m.AUDIT_LAST_SEAL, (), "7x9 _x60", job=WORKER_JOB),
            level(m.AUDIT_LAST_SEAL, 0),
        ),
        "25m",
    ),
    Scenario(
        rules.SEALS_GONE,
        "a worker that has started can't reach the database",
        (Series(m.AUDIT_LAST_SEAL, (), "7x9 0x60", job=WORKER_JOB),),
        "25m",
    ),
    *borders(
        rules.SEAL_LAGGING,
        over=gauge(m.AUDIT_SEAL_LAG, 601),
        under=gauge(m.AUDIT_SEAL_LAG, 600),
        value="10m 1s",
    ),
)
