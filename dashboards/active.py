"""Payments under way: in a request, at a provider, or without an outcome."""

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
        "Payments and operations that hold a slot of a provider's bulkhead.",
        SHOWN.gauge(PROVIDER_IN_FLIGHT, "sum"),
        "count",
    ),
    stat(
        "Oldest in processing",
        "The completer resumes a payment after half a minute. Red: it does not.",
        oldest(UNRESOLVED_PAYMENTS_AGE, status="processing").expression,
        "seconds",
        reached(PAYMENT_PROCESSING_S.value),
        (STUCK,),
    ),
    stat(
        "Oldest of unknown outcome",
        "The provider is polled. Red: contact the provider.",
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
            "Payments and operations that hold a slot of its bulkhead, in all processes.",
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
            "Processing ends by itself; unknown is being looked up at the provider; review waits "
            "for an operator.",
            (latest(UNRESOLVED_PAYMENTS, "status"),),
            "count",
            stacked=True,
            alerts=(STUCK, UNKNOWN),
        ),
        timeseries(
            "Oldest without an outcome",
            "By status. A line that only rises is a payment that gets no outcome.",
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
            "How long a payment request takes, by the payment's status at its end.",
            (p95(PAYMENT_DURATION, "status"),),
            "seconds",
        ),
    ),
)

ACTIVE: Final = Dashboard(
    uid=ACTIVE_DASHBOARD,
    title="Coinslot / Active payments",
    description="Which payments are under way, where do they wait, and for how long?",
    variables=USUAL,
    rows=(
        Row("Now", (NOW,)),
        Row("Requests", REQUESTS),
        Row("Outcomes", OUTCOMES),
        Row("Flow", FLOW),
    ),
    annotations=DEPLOYMENTS,
)
