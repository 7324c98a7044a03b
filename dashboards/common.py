"""Panels that several dashboards share."""

from typing import Final

from alerts.payments import HIGH_VALUE_FAILING
from dashboards.panels import Query, stat, timeseries
from dashboards.queries import LATENCY_THRESHOLDS, SHOWN, grouped, p95
from service.metric_catalog import (
    ACTIVE_PAYMENTS,
    HTTP_REQUESTS,
    INTEGRATION_REQUESTS,
    PAYMENT_FAILURES_HIGH_VALUE,
    PROVIDER_DURATION,
    PROVIDER_REQUESTS,
)
from service.slo import HIGH_VALUE

ACTIVE_PAYMENTS_BY_POD: Final = timeseries(
    "Active payments by pod",
    "If pods are uneven, look at the Service's endpoints and at long-lived connections.",
    (Query(SHOWN.gauge(ACTIVE_PAYMENTS, "sum", ("pod",)), "{{pod}}"),),
    "count",
    stacked=True,
)

HTTP_ANSWERS_BY_STATUS: Final = timeseries(
    "HTTP answers by status",
    "Every answered request by HTTP status, probes included.",
    (grouped(HTTP_REQUESTS, "status"),),
    "per_second",
    stacked=True,
)

HIGH_VALUE_FAILURES: Final = timeseries(
    "High-value failures",
    f"Failed payments of {HIGH_VALUE} minor units or more, by provider.",
    (grouped(PAYMENT_FAILURES_HIGH_VALUE, "provider"),),
    "per_second",
    alerts=(HIGH_VALUE_FAILING,),
)

IN_PROGRESS: Final = stat(
    "In progress",
    "Payment requests that all pods are handling now; the autoscaler uses this metric.",
    SHOWN.gauge(ACTIVE_PAYMENTS, "sum"),
    "count",
)

INTEGRATION_CALLS_BY_OUTCOME: Final = timeseries(
    "Integration calls by outcome",
    "The Library grants and revokes games; the Game Catalog has the prices.",
    (grouped(INTEGRATION_REQUESTS, "integration", "operation", "outcome"),),
    "per_second",
)

PROVIDER_CALLS_BY_OUTCOME: Final = timeseries(
    "Provider calls by outcome",
    "A timeout leaves the outcome unknown until the provider is asked again.",
    (grouped(PROVIDER_REQUESTS, "provider", "operation", "outcome"),),
    "per_second",
)

PROVIDER_LATENCY_P95: Final = timeseries(
    "Provider latency P95",
    "By operation. Calls that reach their timeout have an unknown outcome.",
    (p95(PROVIDER_DURATION, "provider", "operation"),),
    "seconds",
    thresholds=LATENCY_THRESHOLDS,
)
