"""Payment providers compared: health, latency, breaker, bulkhead and failover."""

from typing import Final

from alerts.dependencies import BREAKER_OPEN, PROVIDER_DOWN
from alerts.links import PROVIDERS_DASHBOARD
from alerts.promql import total
from dashboards.common import PROVIDER_CALLS_BY_OUTCOME, PROVIDER_LATENCY_P95
from dashboards.panels import Dashboard, Query, Row, heatmap, stat, timeseries
from dashboards.queries import (
    FAULTS,
    LATENCY_THRESHOLDS,
    SHOWN,
    SUCCESS_RATIO,
    SUCCESS_THRESHOLDS,
    USUAL,
    WINDOW,
    by_pod,
    grouped,
    health,
    p95,
)
from dashboards.rollout import DEPLOYMENTS
from service.metric_catalog import (
    BREAKER_STATE,
    PAYMENT_DURATION,
    PAYMENTS,
    PROVIDER_DURATION,
    PROVIDER_FAILOVERS,
    PROVIDER_IN_FLIGHT,
    PROVIDER_REQUESTS,
)

NOW: Final = (
    stat(
        "Success ratio",
        "Payments of all providers that did not end in an error. Failover hides a failing provider "
        "here, but not in the panels below.",
        SUCCESS_RATIO,
        "percent",
        SUCCESS_THRESHOLDS,
    ),
    stat(
        "Failovers per second",
        "Payments that failed over to another provider. Above 0 for long: a provider is down.",
        SHOWN.rate(PROVIDER_FAILOVERS, WINDOW),
        "per_second",
    ),
    stat(
        "Places taken",
        "Payments and operations that hold a slot of a provider's bulkhead, in all processes.",
        SHOWN.gauge(PROVIDER_IN_FLIGHT, "sum"),
        "count",
    ),
)

COMPARISON: Final = (
    (
        timeseries(
            "Provider health",
            "Calls that were answered, declines included.",
            (health(PROVIDER_REQUESTS, "provider"),),
            "percent",
            alerts=(PROVIDER_DOWN,),
        ),
        timeseries(
            "Payments by provider and status",
            "If one provider declines more than the others, ask it.",
            (grouped(PAYMENTS, "provider", "status"),),
            "per_second",
            stacked=True,
        ),
    ),
    (
        PROVIDER_LATENCY_P95,
        timeseries(
            "Payment latency P95 by provider",
            "How long buyers wait; retries and failover add to the provider's own latency.",
            (p95(PAYMENT_DURATION, "provider"),),
            "seconds",
            thresholds=LATENCY_THRESHOLDS,
        ),
        heatmap(
            "Provider call durations",
            "All calls to all providers. Two bands are two providers, or calls that time out.",
            SHOWN.buckets(PROVIDER_DURATION, WINDOW),
            "seconds",
        ),
    ),
)

CALLS: Final = (
    (
        PROVIDER_CALLS_BY_OUTCOME,
        timeseries(
            "Provider faults",
            "Errors and timeouts only. Timeouts of `charge` become payments in `unknown`.",
            (
                Query(
                    SHOWN.rate(
                        PROVIDER_REQUESTS,
                        WINDOW,
                        ("provider", "operation", "outcome"),
                        outcome=FAULTS,
                    ),
                    "{{provider}} {{operation}} {{outcome}}",
                ),
            ),
            "per_second",
            alerts=(PROVIDER_DOWN,),
        ),
    ),
)

PROTECTION: Final = (
    (
        timeseries(
            "Breakers by state",
            "How many processes have a provider's breaker in each state. Half-open allows one "
            "trial call; if all are open, the provider gets no payments.",
            (
                Query(
                    total(
                        SHOWN.gauge(BREAKER_STATE, "sum", ("provider", "state")),
                        ("provider", "state"),
                    ),
                    "{{provider}} {{state}}",
                ),
            ),
            "count",
            stacked=True,
            alerts=(BREAKER_OPEN,),
        ),
        timeseries(
            "Bulkhead by pod",
            "Slots in use at each provider. At its limit (PROVIDER_MAX_IN_FLIGHT) a process "
            "uses the next provider or answers 503: see docs/operate/providers.md.",
            (by_pod(PROVIDER_IN_FLIGHT, "provider"),),
            "count",
        ),
        timeseries(
            "Failovers by provider",
            "By the provider that failed without an effect, so that another could be tried.",
            (grouped(PROVIDER_FAILOVERS, "provider"),),
            "per_second",
        ),
    ),
)

PROVIDERS: Final = Dashboard(
    uid=PROVIDERS_DASHBOARD,
    title="Coinslot / Providers",
    description="Which provider is healthy and fast, and what protects us from those that are not?",
    variables=USUAL,
    rows=(
        Row("Now", (NOW,)),
        Row("Comparison", COMPARISON),
        Row("Calls", CALLS),
        Row("Breaker, bulkhead, failover", PROTECTION),
    ),
    annotations=DEPLOYMENTS,
)
