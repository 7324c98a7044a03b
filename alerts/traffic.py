"""Alerts about missing payments: an outage of traffic causes no errors."""

from typing import Final

from alerts.model import SERVICE, STACK, Alert, Area, ForDuration, Severity, ValueFormat
from alerts.promql import OneOf, above, below, both, either, equal, times
from service.metric_catalog import PAYMENTS
from service.slo import PAYMENT_VOLUME_DROP, PAYMENT_VOLUME_LEAST, PAYMENTS_STOPPED_LEAST

VOLUME_WINDOW: Final = "15m"
VOLUME_WINDOW_S: Final = 900
STOPPED_WINDOW: Final = "10m"
STOPPED_WINDOW_S: Final = 600

PAID: Final = OneOf(("succeeded", "authorized"))


def volume_drop() -> str:
    """Return payments a second where they are far fewer than a day and a week ago."""
    now, yesterday, last_week = (
        SERVICE.rate(PAYMENTS, VOLUME_WINDOW, STACK, offset) for offset in ("", "1d", "1w")
    )
    return both(
        below(now, times(PAYMENT_VOLUME_DROP.value, yesterday)),
        below(now, times(PAYMENT_VOLUME_DROP.value, last_week)),
        above(last_week, PAYMENT_VOLUME_LEAST.value / VOLUME_WINDOW_S),
    )


def stopped() -> str:
    """Return 0 where nobody has paid although the past had payments.

    The hour before empties while an outage lasts; yesterday and last week don't.
    """
    least = PAYMENTS_STOPPED_LEAST.value / STOPPED_WINDOW_S
    before, yesterday, last_week = (
        above(SERVICE.rate(PAYMENTS, "1h", STACK, offset, status=PAID), least)
        for offset in (STOPPED_WINDOW, "1d", "1w")
    )
    nobody = equal(SERVICE.rate(PAYMENTS, STOPPED_WINDOW, STACK, status=PAID), 0)
    return both(nobody, f"({either(before, both(yesterday, last_week))})")


VOLUME_DROP: Final = Alert(
    name="PaymentVolumeDrop",
    expression=volume_drop(),
    for_duration=ForDuration(
        "5m", "the window is fifteen minutes already; this covers one late scrape"
    ),
    severity=Severity.WARNING,
    summary="Far fewer payments than usual",
    description=f"{{namespace}} sees {{value}} payments a second over {VOLUME_WINDOW}, below "
    f"{PAYMENT_VOLUME_DROP.value:.0%} of yesterday's and of last week's at this time.",
    value_format=ValueFormat.NUMBER,
    why=f"{PAYMENT_VOLUME_DROP.why}; only where there were {PAYMENT_VOLUME_LEAST.value:g} "
    f"{PAYMENT_VOLUME_LEAST.why}",
)
STOPPED: Final = Alert(
    name="PaymentsStopped",
    expression=stopped(),
    for_duration=ForDuration("2m", "four evaluations; the ten minutes are in the condition"),
    severity=Severity.CRITICAL,
    summary="No payments",
    description=f"{{namespace}} had {{value}} successful payments within {STOPPED_WINDOW}, and "
    "many in the hour before, or yesterday and a week ago.",
    value_format=ValueFormat.NUMBER,
    why="no payment where the hour before, or yesterday and last week at this time, "
    f"had {PAYMENTS_STOPPED_LEAST.value:g} {PAYMENTS_STOPPED_LEAST.why}",
)
AREA: Final = Area("traffic", (VOLUME_DROP, STOPPED))
