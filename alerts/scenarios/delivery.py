"""Scenarios of grants that go out and webhooks that come in."""

from typing import Final

from alerts import delivery as rules
from alerts.scenarios import WORKER_JOB, Firing, Scenario, Series, borders, counted, level, once
from service import metric_catalog as m


def gauge(metric: m.Metric, value: float) -> tuple[Series, ...]:
    """Return a gauge of the database: the workers export it, the API's stays 0."""
    return (level(metric, value, job=WORKER_JOB), level(metric, 0))


def deliveries(taken: float, refused: float, outcome: str = "refused") -> tuple[Series, ...]:
    """Return webhooks a step, by outcome."""
    return (
        counted(m.WEBHOOK_REQUESTS, taken, provider="stripe", outcome="accepted"),
        counted(m.WEBHOOK_REQUESTS, refused, provider="stripe", outcome=outcome),
    )


_STRIPE: Final = {"provider": "stripe"}
_GIVEN_UP: Final = once(m.GRANTS_GIVEN_UP, 1, job=WORKER_JOB, reason="refused")
_PARKED: Final = once(m.WEBHOOK_EVENTS, 1, job=WORKER_JOB, where=_STRIPE, outcome="parked")
_FALSE: Final = once(m.WEBHOOK_EVENTS, 1, job=WORKER_JOB, where=_STRIPE, outcome="mismatch")
_FOREIGN: Final = once(m.WEBHOOK_EVENTS, 9, job=WORKER_JOB, where=_STRIPE, outcome="foreign")
_PUT_OFF: Final = once(m.WEBHOOK_EVENTS, 9, job=WORKER_JOB, where=_STRIPE, outcome="error")

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *borders(
        rules.OUTBOX_LAGGING,
        over=gauge(m.OUTBOX_LAG, 301),
        under=gauge(m.OUTBOX_LAG, 300),
        value="5m 1s",
    ),
    *borders(
        rules.NOT_GRANTED,
        over=gauge(m.PAID_NOT_GRANTED, 1),
        under=gauge(m.PAID_NOT_GRANTED, 0),
        value="1",
    ),
    *borders(
        rules.MANY_NOT_GRANTED,
        over=gauge(m.PAID_NOT_GRANTED, 21),
        under=gauge(m.PAID_NOT_GRANTED, 20),
        value="21",
    ),
    Scenario(
        rules.GIVEN_UP,
        "one within an hour",
        (_GIVEN_UP,),
        "20m",
        (Firing("1", labels={"reason": "refused"}),),
    ),
    Scenario(rules.GIVEN_UP, "one, longer ago", (_GIVEN_UP,), "1h6m"),
    Scenario(rules.GIVEN_UP, "none", (counted(m.GRANTS_GIVEN_UP, 0, reason="overdue"),), "20m"),
    *borders(
        rules.INBOX_LAGGING,
        over=gauge(m.WEBHOOK_INBOX_LAG, 61),
        under=gauge(m.WEBHOOK_INBOX_LAG, 60),
        value="1m 1s",
    ),
    *borders(
        rules.REFUSED,
        over=deliveries(49, 51),
        under=deliveries(50, 50),
        value="51%",
        starts_s=30,
        labels=_STRIPE,
    ),
    Scenario(
        rules.REFUSED,
        "repeats of what is known are not refused",
        deliveries(10, 90, "duplicate"),
        "20m",
    ),
    Scenario(
        rules.REFUSED,
        "a lone forgery in the night",
        (
            counted(m.WEBHOOK_REQUESTS, 0, provider="stripe", outcome="accepted"),
            once(m.WEBHOOK_REQUESTS, 1, where=_STRIPE, outcome="refused"),
        ),
        "15m30s",
    ),
)

# A sample each five minutes: the event comes after 55 of them.
HOURS: Final[tuple[Scenario, ...]] = (
    Scenario(rules.PARKED, "one in the night", (_PARKED,), "6h", (Firing("1", labels=_STRIPE),)),
    Scenario(rules.PARKED, "one, long ago", (_PARKED,), "7h"),
    Scenario(rules.MISMATCHED, "one", (_FALSE,), "6h", (Firing("1", labels=_STRIPE),)),
    Scenario(rules.MISMATCHED, "one, long ago", (_FALSE,), "7h"),
    Scenario(rules.MISMATCHED, "others sell on the same account", (_FOREIGN,), "6h"),
    Scenario(rules.PARKED, "events that are tried again", (_PUT_OFF,), "2h"),
)
