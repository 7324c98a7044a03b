"""Alerts about payments that go wrong."""

from typing import Final

from alerts.model import SERVICE, Alert, Area, Hold, Severity, Show
from alerts.promql import OneOf, above, ratio
from service.metric_catalog import PAYMENTS
from service.slo import ERROR_STATUSES, PAYMENT_ERROR_RATIO

HIGH_WINDOW: Final = "5m"
CRITICAL_WINDOW: Final = "2m"
"""The least in which a rate is sound: four scrapes of 30 s."""


def error_ratio(window: str) -> str:
    """Return the fraction of payments that end in an error, a namespace; declines are no error."""
    by = ("namespace",)
    return ratio(
        SERVICE.rate(PAYMENTS, window, by, status=OneOf(ERROR_STATUSES)),
        SERVICE.rate(PAYMENTS, window, by),
    )


_DESCRIPTION: Final = (
    "{{value}} of the payments of {{namespace}} in the last {window} failed, or their outcome is "
    "not known (limit {limit:.0%}). Declined cards are not counted."
)

ERROR_RATE_HIGH: Final = Alert(
    name="PaymentErrorRateHigh",
    expression=above(error_ratio(HIGH_WINDOW), PAYMENT_ERROR_RATIO.warning),
    hold=Hold(HIGH_WINDOW, "as long as the window, which a lone failure has left by then"),
    severity=Severity.WARNING,
    summary=f"More than {PAYMENT_ERROR_RATIO.warning:.0%} of payments fail",
    description=_DESCRIPTION.format(window=HIGH_WINDOW, limit=PAYMENT_ERROR_RATIO.warning),
    show=Show.PERCENTAGE,
)

ERROR_RATE_CRITICAL: Final = Alert(
    name="PaymentErrorRateCritical",
    expression=above(error_ratio(CRITICAL_WINDOW), PAYMENT_ERROR_RATIO.critical),
    hold=Hold(CRITICAL_WINDOW, "as long as the window, so that one failure at night wakes nobody"),
    severity=Severity.CRITICAL,
    summary=f"More than {PAYMENT_ERROR_RATIO.critical:.0%} of payments fail",
    description=_DESCRIPTION.format(window=CRITICAL_WINDOW, limit=PAYMENT_ERROR_RATIO.critical),
    show=Show.PERCENTAGE,
)

AREA: Final = Area("payments", (ERROR_RATE_HIGH, ERROR_RATE_CRITICAL))
