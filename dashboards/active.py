"""Payments on their way: being handled, held by providers, or without an outcome."""

from typing import Final

from alerts.links import ACTIVE_DASHBOARD
from alerts.payments import STUCK, UNKNOWN
from dashboards.common import ACTIVE_PAYMENTS_BY_POD, IN_PROGRESS
from dashboards.panels import Dashboard, Query, Row, rising, stat, timeseries
from dashboards.queries import (
    SHOWN,
    USUAL,
    WINDOW,
    grouped,
    latest,
    oldest,
    p95,
    quantiles,
    reached,
)
from dashboards.rollout import DEPLOYMENTS
from service.metric_catalog import (
    ORDER_DURATION,
    ORDERS,
    PAYMENT_DURATION,
    PAYMENTS,
    PROVIDER_IN_FLIGHT,
    UNRESOLVED_PAYMENTS,
    UNRESOLVED_PAYMENTS_AGE,
)
from service.slo import PAYMENT_PROCESSING_S, PAYMENT_UNKNOWN_S

AGE_THRESHOLDS: Final = rising(PAYMENT_PROCESSING_S.value, PAYMENT_UNKNOWN_S.value)

NOW: Final = (
    IN_PROGRESS,
    stat(
        "At providers",
        "Payments and operations that hold a place at a provider.",
        SHOWN.gauge(PROVIDER_IN_FLIGHT, "sum"),
        "count",
    ),
    stat(
        "Oldest in processing",
        "The completer takes a payment up after half a minute. Red: nobody is repairing it.",
        oldest(UNRESOLVED_PAYMENTS_AGE, status="processing").expression,
        "seconds",
        reached(PAYMENT_PROCESSING_S.value),
        (STUCK,),
    ),
    stat(
        "Oldest of unknown outcome",
        "The provider is asked again and again. Red: ask a person there.",
        oldest(UNRESOLVED_PAYMENTS_AGE, status="unknown").expression,
        "seconds",
        reached(PAYMENT_UNKNOWN_S.value),
        (UNKNOWN,),
    ),
)

REQUESTS: Final = (
    (
        ACTIVE_PAYMENTS_BY_POD,
        timeseries(
            "At each provider",
            "Payments and operations that hold a place there, in all processes.",
            (Query(SHOWN.gauge(PROVIDER_IN_FLIGHT, "sum", ("provider",)), "{{provider}}"),),
            "count",
            stacked=True,
        ),
        timeseries(
            "Payments ended, by pod",
            "Payments a second that reached a status.",
            (Query(SHOWN.rate(PAYMENTS, WINDOW, ("pod",)), "{{pod}}"),),
            "per_second",
            stacked=True,
        ),
    ),
)

OUTCOMES: Final = (
    (
        timeseries(
            "Without an outcome",
            "Processing passes by itself; unknown is being asked at the provider; review waits "
            "for a person.",
            (latest(UNRESOLVED_PAYMENTS, "status"),),
            "count",
            stacked=True,
            alerts=(STUCK, UNKNOWN),
        ),
        timeseries(
            "Oldest without an outcome",
            "By status. A straight line upwards is a payment that nobody settles.",
            (oldest(UNRESOLVED_PAYMENTS_AGE, "status"),),
            "seconds",
            thresholds=AGE_THRESHOLDS,
            alerts=(STUCK, UNKNOWN),
        ),
    ),
)

FLOW: Final = (
    (
        timeseries(
            "Orders by status",
            "Orders a second that reached each status.",
            (grouped(ORDERS, "status"),),
            "per_second",
        ),
        timeseries(
            "From order to payment",
            "How long buyers take, from an order's creation to its payment.",
            quantiles(ORDER_DURATION),
            "seconds",
        ),
        timeseries(
            "Latency P95 by status",
            "How long a payment is active, by the status that it ends in.",
            (p95(PAYMENT_DURATION, "status"),),
            "seconds",
        ),
    ),
)

ACTIVE: Final = Dashboard(
    uid=ACTIVE_DASHBOARD,
    title="Coinslot / Active payments",
    description="What is on its way, where does it wait, and for how long?",
    variables=USUAL,
    rows=(
        Row("Now", (NOW,)),
        Row("Requests", REQUESTS),
        Row("Outcomes", OUTCOMES),
        Row("Flow", FLOW),
    ),
    annotations=DEPLOYMENTS,
)
