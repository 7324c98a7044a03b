"""Scenarios of webhooks to merchants."""

from typing import Final

from alerts import merchants as rules
from alerts.scenarios import WORKER_JOB, Firing, Scenario, Series, borders, level, once
from service import metric_catalog as m


def late(seconds: float) -> tuple[Series, ...]:
    """Return how late the workers say that the latest delivery is."""
    return (
        level(m.MERCHANT_WEBHOOK_LAG, seconds, job=WORKER_JOB),
        level(m.MERCHANT_WEBHOOK_LAG, 0),
    )


SCENARIOS: Final[tuple[Scenario, ...]] = tuple(
    borders(rules.LAGGING, over=late(301), under=late(300), value="5m 1s")
)


def exhausted(samples: str) -> Series:
    """Return given up deliveries, a sample each five minutes."""
    return Series(m.MERCHANT_WEBHOOK_BACKLOG, (("state", "exhausted"),), samples, job=WORKER_JOB)


_REASON: Final = {"reason": "gone"}
_DISABLED: Final = once(m.MERCHANT_WEBHOOK_DISABLED, 1, job=WORKER_JOB, where=_REASON)

HOURS: Final[tuple[Scenario, ...]] = (
    Scenario(
        rules.EXHAUSTED, "one more in the night", (exhausted("4x80 5x40"),), "8h", (Firing("5"),)
    ),
    Scenario(rules.EXHAUSTED, "not yet long enough", (exhausted("4x80 5x40"),), "6h45m"),
    Scenario(rules.EXHAUSTED, "the same as ever", (exhausted("4x120"),), "8h"),
    Scenario(rules.EXHAUSTED, "one was sent again", (exhausted("4x80 3x40"),), "8h"),
    Scenario(
        rules.DISABLED, "one in the night", (_DISABLED,), "6h", (Firing("1", labels=_REASON),)
    ),
    Scenario(rules.DISABLED, "one, long ago", (_DISABLED,), "7h"),
)
