"""Scenarios of payments that don't come."""

from typing import Final

from alerts import traffic as rules
from alerts.scenarios import NAMESPACE, SAMPLES, Firing, Scenario, Series, counted
from service import metric_catalog as m

DAY_STEPS: Final = 288
"""Of the scenarios that look back a week: samples each five minutes."""


def paid(a_step: float, status: str = "succeeded") -> Series:
    """Return payments that reach a status, `a_step` each 30 s."""
    return counted(m.PAYMENTS, a_step, status=status, provider="simulator")


def volume(last_week: float, yesterday: float, today: float, namespace: str = NAMESPACE) -> Series:
    """Return payments each five minutes: two hours a week ago, the last day, and now."""
    labels = (("status", "succeeded"), ("provider", "simulator"))
    parts, total = [], 0.0
    for each, steps in ((last_week, 24), (50, 6 * DAY_STEPS - 48), (yesterday, DAY_STEPS + 24)):
        parts.append(f"{total:g}+{each:g}x{steps - 1}")
        total += each * steps
    parts.append(f"{total:.10g}+{today:g}x24")
    return Series(m.PAYMENTS, labels, " ".join(parts), namespace)


OVER: Final = 17 / 32
UNDER: Final = 31 / 64
"""Payments a step: 10 in ten minutes are a half. Binary fractions, for sums without rounding."""


def stopping(before: float, after: float) -> Series:
    """Return an hour and more of payments, then another rhythm for half an hour."""
    labels = (("status", "succeeded"), ("provider", "simulator"))
    top = before * 140
    return Series(m.PAYMENTS, labels, f"0+{before:g}x140 {top + after:g}+{after:g}x{SAMPLES}")


SCENARIOS: Final[tuple[Scenario, ...]] = (
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
)

# Payments each five minutes, a third of a window: 10.2 are 30.6, two fifths of which are 12.24.
_DROP: Final = volume(10.2, 33.3, 4)
_NO_DROPS: Final = (
    volume(10.2, 33.3, 4.1, "just-above-two-fifths"),
    volume(9.9, 33.3, 3.8, "too-few-last-week-to-tell"),
    volume(33.3, 6, 4, "as-few-as-yesterday"),
    volume(6, 33.3, 4, "as-few-as-last-week"),
)

# An outage of two hours; 10 payments in ten minutes are 5 a step.
_OUTAGE: Final = volume(5.5, 5.5, 0)
_NO_OUTAGES: Final = (
    volume(4.5, 33, 0, "too-few-last-week-to-tell"),
    volume(33, 4.5, 0, "too-few-yesterday-to-tell"),
)

DAYS: Final[tuple[Scenario, ...]] = (
    # A week takes promtool long, so all the stacks of the borders are in one.
    Scenario(
        rules.VOLUME_DROP,
        "only the stack that dropped, a window after a week",
        (_DROP, *_NO_DROPS),
        "7d30m",
        (Firing("13.33m"),),
    ),
    Scenario(rules.VOLUME_DROP, "not yet long enough", (_DROP,), "7d5m"),
    Scenario(rules.VOLUME_DROP, "a new stack has no last week", (_DROP,), "1h"),
    Scenario(
        rules.STOPPED,
        "an outage that is longer than the hour before remembers",
        (_OUTAGE, *_NO_OUTAGES),
        "7d1h50m",
        (Firing("0"),),
    ),
)
