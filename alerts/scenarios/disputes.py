"""Scenarios of disputes."""

from typing import Final

from alerts import disputes as rules
from alerts.scenarios import (
    WORKER_JOB,
    Firing,
    Scenario,
    Series,
    borders,
    level,
    once,
)
from service import metric_catalog as m

DAY_S: Final = 86_400


def waiting(status: str, count: int) -> Series:
    """Return how many disputes the workers say are in a status."""
    return level(m.DISPUTES_OPEN, count, job=WORKER_JOB, where={"status": status})


def due(in_s: float) -> tuple[Series, ...]:
    """Return the first deadline, as seconds after the start; the API's own 0 is none."""
    return (
        level(m.DISPUTE_EVIDENCE_DUE, in_s, job=WORKER_JOB),
        level(m.DISPUTE_EVIDENCE_DUE, 0),
    )


def disputed(count: int, of: int) -> tuple[Series, ...]:
    """Return disputes and sales of some minutes."""
    dispute = {"provider": "simulator", "status": "needs_response"}
    sale = {"provider": "simulator", "status": "succeeded"}
    return (
        once(m.DISPUTES, count, job=WORKER_JOB, where=dispute),
        once(m.PAYMENTS, of, where=sale),
    )


SCENARIOS: Final[tuple[Scenario, ...]] = (
    *borders(
        rules.OPENED,
        over=(waiting("needs_response", 1), waiting("warning", 2)),
        under=(waiting("needs_response", 0), waiting("under_review", 3)),
        value="3",
    ),
    *borders(
        rules.DUE_SOON,
        over=due(3 * DAY_S + 30),
        under=due(3 * DAY_S + 60),
        value="2d 23h 58m 30s",
        starts_s=60,
    ),
    Scenario(rules.DUE_SOON, "none waits for an answer", due(0), "10m"),
    Scenario(rules.DUE_SOON, "the deadline has passed", due(600), "20m", (Firing("-10m 0s"),)),
    *borders(
        rules.DUE_CRITICAL,
        over=due(DAY_S + 30),
        under=due(DAY_S + 60),
        value="23h 58m 30s",
        starts_s=60,
    ),
    Scenario(
        rules.RATE_HIGH,
        "four of 400 within a day",
        disputed(4, 400),
        "20m",
        (Firing("1%"),),
    ),
    Scenario(rules.RATE_HIGH, "not yet long enough", disputed(4, 400), "9m30s"),
    Scenario(rules.RATE_HIGH, "three of 400", disputed(3, 401), "20m"),
    Scenario(rules.RATE_HIGH, "two of ten", disputed(2, 10), "20m"),
)
