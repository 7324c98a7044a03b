"""Alerts about payments that go wrong, take long, or hang.

A ratio's `for` equals its window: a lone failure at night, 100 % of the traffic, has left it by
then. A minimum of traffic would hide an outage in which buyers give up.
"""

from typing import Final

from alerts.links import ACTIVE_DASHBOARD, ERRORS_DASHBOARD, MONEY_DASHBOARD, OBJECTIVES_DASHBOARD
from alerts.model import (
    COUNTED,
    IN_REVIEW_FOR,
    SERVICE,
    STACK,
    Alert,
    Area,
    ForDuration,
    Severity,
    ValueFormat,
)
from alerts.promql import OneOf, above, ratio
from service.metric_catalog import (
    PAYMENT_DURATION,
    PAYMENT_FAILURES_HIGH_VALUE,
    PAYMENTS,
    UNRESOLVED_PAYMENTS,
    UNRESOLVED_PAYMENTS_AGE,
    UNRESOLVED_REFUNDS,
)
from service.slo import (
    ERROR_STATUSES,
    HIGH_VALUE,
    HIGH_VALUE_FAILURES,
    PAYMENT_ERROR_RATIO,
    PAYMENT_LATENCY_P95_S,
    PAYMENT_PROCESSING_S,
    PAYMENT_UNKNOWN_S,
)

HIGH_WINDOW: Final = "5m"
CRITICAL_WINDOW: Final = "2m"
"""The least in which a rate is sound: four scrapes of 30 s."""

HIGH_VALUE_WINDOW: Final = "15m"

AS_LONG: Final = ForDuration(
    HIGH_WINDOW, "as long as the window, which a lone failure has left by then"
)
AS_LONG_AT_NIGHT: Final = ForDuration(
    CRITICAL_WINDOW, "as long as the window, so that one failure at night wakes nobody"
)
NEARLY: Final = 0.5
"""Half an event: increase() extrapolates, so that three events may be counted as 2.9 or 3.1."""


def error_ratio(window: str) -> str:
    """Return the fraction of payments that end in an error, a namespace; declines are no error."""
    return ratio(
        SERVICE.rate(PAYMENTS, window, STACK, status=OneOf(ERROR_STATUSES)),
        SERVICE.rate(PAYMENTS, window, STACK),
    )


def latency_p95(window: str) -> str:
    """Return what 19 of 20 payment requests are faster than, in seconds, a namespace."""
    return SERVICE.quantile(0.95, PAYMENT_DURATION, window, STACK)


_ERRORS: Final = (
    "{{value}} of the payments of {{namespace}} in the last {window} failed, or their outcome is "
    "not known (limit {limit:.0%}). Declined cards are not counted."
)

ERROR_RATE_HIGH: Final = Alert(
    name="PaymentErrorRateHigh",
    expression=above(error_ratio(HIGH_WINDOW), PAYMENT_ERROR_RATIO.warning),
    for_duration=AS_LONG,
    severity=Severity.WARNING,
    summary=f"More than {PAYMENT_ERROR_RATIO.warning:.0%} of payments fail",
    description=_ERRORS.format(window=HIGH_WINDOW, limit=PAYMENT_ERROR_RATIO.warning),
    value_format=ValueFormat.PERCENTAGE,
    why=PAYMENT_ERROR_RATIO.why,
    dashboard=ERRORS_DASHBOARD,
)
ERROR_RATE_CRITICAL: Final = Alert(
    name="PaymentErrorRateCritical",
    expression=above(error_ratio(CRITICAL_WINDOW), PAYMENT_ERROR_RATIO.critical),
    for_duration=AS_LONG_AT_NIGHT,
    severity=Severity.CRITICAL,
    summary=f"More than {PAYMENT_ERROR_RATIO.critical:.0%} of payments fail",
    description=_ERRORS.format(window=CRITICAL_WINDOW, limit=PAYMENT_ERROR_RATIO.critical),
    value_format=ValueFormat.PERCENTAGE,
    why=PAYMENT_ERROR_RATIO.why,
    dashboard=ERRORS_DASHBOARD,
)

_SLOW: Final = (
    "One payment in twenty of {{namespace}} took longer than {{value}} in the last {window} "
    "(limit {limit:g} s)."
)

LATENCY_HIGH: Final = Alert(
    name="PaymentLatencyHigh",
    expression=above(latency_p95(HIGH_WINDOW), PAYMENT_LATENCY_P95_S.warning),
    for_duration=AS_LONG,
    severity=Severity.WARNING,
    summary=f"Payments are slow: P95 above {PAYMENT_LATENCY_P95_S.warning:g} s",
    description=_SLOW.format(window=HIGH_WINDOW, limit=PAYMENT_LATENCY_P95_S.warning),
    value_format=ValueFormat.DURATION,
    why=PAYMENT_LATENCY_P95_S.why,
    dashboard=OBJECTIVES_DASHBOARD,
)
LATENCY_CRITICAL: Final = Alert(
    name="PaymentLatencyCritical",
    expression=above(latency_p95(CRITICAL_WINDOW), PAYMENT_LATENCY_P95_S.critical),
    for_duration=AS_LONG_AT_NIGHT,
    severity=Severity.CRITICAL,
    summary=f"Payments are too slow to finish: P95 above {PAYMENT_LATENCY_P95_S.critical:g} s",
    description=_SLOW.format(window=CRITICAL_WINDOW, limit=PAYMENT_LATENCY_P95_S.critical),
    value_format=ValueFormat.DURATION,
    why=PAYMENT_LATENCY_P95_S.why,
    dashboard=OBJECTIVES_DASHBOARD,
)

HIGH_VALUE_FAILING: Final = Alert(
    name="HighValuePaymentsFailing",
    expression=above(
        SERVICE.increase(PAYMENT_FAILURES_HIGH_VALUE, HIGH_VALUE_WINDOW, (*STACK, "provider")),
        HIGH_VALUE_FAILURES.value - NEARLY,
    ),
    for_duration=COUNTED,
    severity=Severity.WARNING,
    summary="Expensive orders fail",
    description=f"{{value}} payments of {HIGH_VALUE} minor units or more failed at "
    f"{{provider}} in {{namespace}} within {HIGH_VALUE_WINDOW}.",
    value_format=ValueFormat.NUMBER,
    why=f"{HIGH_VALUE_FAILURES.value:g} {HIGH_VALUE_FAILURES.why}",
    by=(*STACK, "provider"),
    dashboard=ERRORS_DASHBOARD,
)

STUCK: Final = Alert(
    name="PaymentsStuck",
    expression=above(
        SERVICE.gauge(UNRESOLVED_PAYMENTS_AGE, "max", STACK, status="processing"),
        PAYMENT_PROCESSING_S.value,
    ),
    for_duration=ForDuration("5m", "ten rounds of the completer, in case it has just started"),
    severity=Severity.CRITICAL,
    summary="A payment stays in processing and the completer does not finish it",
    description="The oldest payment in processing of {namespace} has been there for {value}.",
    value_format=ValueFormat.DURATION,
    why=PAYMENT_PROCESSING_S.why,
    dashboard=ACTIVE_DASHBOARD,
)
UNKNOWN: Final = Alert(
    name="PaymentsUnknownForLong",
    expression=above(
        SERVICE.gauge(UNRESOLVED_PAYMENTS_AGE, "max", STACK, status="unknown"),
        PAYMENT_UNKNOWN_S.value,
    ),
    for_duration=ForDuration("5m", "the next poll may be recording the outcome"),
    severity=Severity.WARNING,
    summary="The outcome of a payment has not been known for an hour",
    description="{namespace} has not known a payment's outcome for {value}.",
    value_format=ValueFormat.DURATION,
    why=PAYMENT_UNKNOWN_S.why,
    dashboard=ACTIVE_DASHBOARD,
)
IN_REVIEW: Final = Alert(
    name="PaymentsInReview",
    expression=above(SERVICE.gauge(UNRESOLVED_PAYMENTS, "max", STACK, status="review"), 0),
    for_duration=IN_REVIEW_FOR,
    severity=Severity.WARNING,
    summary="Payments wait for an operator's decision",
    description="{value} payments of {namespace} are in review; their games stay reserved.",
    value_format=ValueFormat.NUMBER,
    why="each one is a buyer who waits until an operator decides",
    dashboard=MONEY_DASHBOARD,
)
REFUNDS_IN_REVIEW: Final = Alert(
    name="RefundsInReview",
    expression=above(SERVICE.gauge(UNRESOLVED_REFUNDS, "max", STACK, status="review"), 0),
    for_duration=IN_REVIEW_FOR,
    severity=Severity.WARNING,
    summary="Refunds wait for an operator's decision",
    description="{value} refunds of {namespace} are in review; the buyers wait for their money.",
    value_format=ValueFormat.NUMBER,
    why="each one is a buyer's money until an operator decides",
    dashboard=MONEY_DASHBOARD,
)

AREA: Final = Area(
    "payments",
    (
        ERROR_RATE_HIGH,
        ERROR_RATE_CRITICAL,
        LATENCY_HIGH,
        LATENCY_CRITICAL,
        HIGH_VALUE_FAILING,
        STUCK,
        UNKNOWN,
        IN_REVIEW,
        REFUNDS_IN_REVIEW,
    ),
)
