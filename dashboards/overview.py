"""The first dashboard for people on call: payments, deliveries and money."""

from typing import Final

from alerts.api import ERRORS as API_ERRORS
from alerts.delivery import MANY_NOT_GRANTED, NOT_GRANTED, OUTBOX_LAGGING
from alerts.dependencies import CATALOG_DOWN, CATALOG_FAILING, LIBRARY_FAILING, PROVIDER_DOWN
from alerts.links import OVERVIEW_DASHBOARD
from alerts.money import INVARIANT_BROKEN
from alerts.payments import (
    ERROR_RATE_CRITICAL,
    ERROR_RATE_HIGH,
    IN_REVIEW,
    LATENCY_CRITICAL,
    LATENCY_HIGH,
    STUCK,
    UNKNOWN,
)
from alerts.promql import Pattern, total
from alerts.traffic import STOPPED, VOLUME_DROP
from dashboards.common import (
    ACTIVE_PAYMENTS_BY_POD,
    HIGH_VALUE_FAILURES,
    HTTP_ANSWERS_BY_STATUS,
    IN_PROGRESS,
    INTEGRATION_CALLS_BY_OUTCOME,
    PROVIDER_CALLS_BY_OUTCOME,
    PROVIDER_LATENCY_P95,
)
from dashboards.panels import Dashboard, Panel, Query, Row, heatmap, rising, stat, timeseries
from dashboards.queries import (
    CURRENCY,
    ERRORS,
    LATENCY_THRESHOLDS,
    NEVER,
    PAID_RATIO,
    QUANTILES,
    SHOWN,
    SUCCESS_RATIO,
    SUCCESS_THRESHOLDS,
    USUAL,
    WINDOW,
    grouped,
    health,
    latest,
    p95,
    quantiles,
)
from dashboards.rollout import DEPLOYMENTS
from service.metric_catalog import (
    HTTP_REQUESTS,
    INTEGRATION_DURATION,
    INTEGRATION_REQUESTS,
    INVARIANT_VIOLATIONS,
    OUTBOX_LAG,
    OUTBOX_PENDING,
    PAID_NOT_GRANTED,
    PAYMENT_AMOUNT,
    PAYMENT_DURATION,
    PAYMENTS,
    PROVIDER_REQUESTS,
    UNRESOLVED_PAYMENTS,
)
from service.slo import (
    GRANT_FRESHNESS_S,
    PAYMENT_AVAILABILITY,
    PAYMENT_LATENCY_P95_S,
)

LAG_THRESHOLDS: Final = rising(GRANT_FRESHNESS_S / 5, GRANT_FRESHNESS_S)

NOW: Final[tuple[Panel, ...]] = (
    stat(
        "Success ratio",
        "Payments that did not end in an error of ours or the provider's. Green: the objective "
        f"of {PAYMENT_AVAILABILITY.target:.1%} is met. Declined cards are no error.",
        SUCCESS_RATIO,
        "percent",
        SUCCESS_THRESHOLDS,
        (ERROR_RATE_HIGH, ERROR_RATE_CRITICAL),
    ),
    stat(
        "Payments per second",
        "Payments that reached a status; one that waits for its buyer reaches two. A sudden drop "
        "is as bad as errors.",
        SHOWN.rate(PAYMENTS, WINDOW),
        "per_second",
        alerts=(VOLUME_DROP, STOPPED),
    ),
    stat(
        "Latency P95",
        "19 of 20 payment requests are answered faster than this. "
        f"Why these limits: {PAYMENT_LATENCY_P95_S.why}.",
        SHOWN.quantile(0.95, PAYMENT_DURATION, WINDOW),
        "seconds",
        LATENCY_THRESHOLDS,
        (LATENCY_HIGH, LATENCY_CRITICAL),
    ),
    IN_PROGRESS,
    stat(
        "Paid, not granted",
        f"Orders paid more than {GRANT_FRESHNESS_S} s ago whose games are not granted. "
        "They are granted once the Library answers; if not, see the outbox.",
        latest(PAID_NOT_GRANTED).expression,
        "count",
        NEVER,
        (NOT_GRANTED, MANY_NOT_GRANTED),
    ),
    stat(
        "Broken money invariants",
        "Rows that break a money invariant, all invariants together. Anything but 0 is an "
        "incident: call the owner of the ledger, and change nothing by hand.",
        total(latest(INVARIANT_VIOLATIONS, "invariant").expression),
        "count",
        NEVER,
        (INVARIANT_BROKEN,),
    ),
)

PAYMENT_LINES: Final = (
    (
        timeseries(
            "Success ratio over time",
            "No error: what the objective counts. Succeeded: what buyers see, as a share of the "
            "payments that ended, declines included.",
            (
                Query(SUCCESS_RATIO, "no error"),
                Query(PAID_RATIO, "succeeded"),
            ),
            "percent",
            alerts=(ERROR_RATE_HIGH, ERROR_RATE_CRITICAL),
        ),
        timeseries(
            "Volume by status",
            "Payments a second that reached each status.",
            (grouped(PAYMENTS, "status"),),
            "per_second",
            stacked=True,
            alerts=(VOLUME_DROP, STOPPED),
        ),
    ),
    (
        timeseries(
            "Payment latency",
            "From a payment request's arrival to its answer. The lines are the alerts' limits.",
            quantiles(PAYMENT_DURATION),
            "seconds",
            thresholds=LATENCY_THRESHOLDS,
            alerts=(LATENCY_HIGH, LATENCY_CRITICAL),
        ),
        timeseries(
            "Payment latency P95 by provider",
            "If one provider is slower than the others, see its own latency in the row below.",
            (p95(PAYMENT_DURATION, "provider"),),
            "seconds",
            thresholds=LATENCY_THRESHOLDS,
        ),
    ),
    (
        ACTIVE_PAYMENTS_BY_POD,
        heatmap(
            "Amounts ($currency, minor units)",
            "How many payments a second fall into each range, in minor units of the currency.",
            SHOWN.buckets(PAYMENT_AMOUNT, WINDOW, currency=Pattern("$currency")),
            "minor",
        ),
        timeseries(
            "Amount quantiles ($currency, minor units)",
            "Half of the payments are below P50, one in a hundred is above P99, in minor units. A "
            "jump without a sale is a pricing error or fraud.",
            (
                Query(
                    SHOWN.quantile(q, PAYMENT_AMOUNT, WINDOW, currency=Pattern("$currency")), name
                )
                for name, q in QUANTILES
            ),
            "minor",
        ),
    ),
)

PROVIDER_LINES: Final = (
    (
        PROVIDER_CALLS_BY_OUTCOME,
        timeseries(
            "Provider health",
            "Calls that were answered, declines included.",
            (health(PROVIDER_REQUESTS, "provider"),),
            "percent",
            alerts=(PROVIDER_DOWN,),
        ),
        PROVIDER_LATENCY_P95,
    ),
)

INTEGRATION_LINES: Final = (
    (
        INTEGRATION_CALLS_BY_OUTCOME,
        timeseries(
            "Integration health",
            "Calls that were answered. While the Library fails, paid orders wait in the outbox.",
            (health(INTEGRATION_REQUESTS, "integration"),),
            "percent",
            alerts=(LIBRARY_FAILING, CATALOG_FAILING, CATALOG_DOWN),
        ),
        timeseries(
            "Integration latency P95",
            "By operation.",
            (p95(INTEGRATION_DURATION, "integration", "operation"),),
            "seconds",
        ),
    ),
)

ERROR_LINES: Final = (
    (
        timeseries(
            "Payment errors by status and provider",
            "What counts against the objective: failed, unknown, in review.",
            (
                Query(
                    SHOWN.rate(PAYMENTS, WINDOW, ("status", "provider"), status=ERRORS),
                    "{{status}} {{provider}}",
                ),
            ),
            "per_second",
            stacked=True,
            alerts=(ERROR_RATE_HIGH, ERROR_RATE_CRITICAL),
        ),
        HIGH_VALUE_FAILURES,
    ),
    (
        HTTP_ANSWERS_BY_STATUS,
        timeseries(
            "HTTP errors by route",
            "4xx and 5xx answers. Clients cause 401 and 429; 503 refuses work that the "
            "service could not finish.",
            (
                Query(
                    SHOWN.rate(
                        HTTP_REQUESTS, WINDOW, ("route", "status"), status=Pattern("[45]..")
                    ),
                    "{{status}} {{route}}",
                ),
            ),
            "per_second",
            alerts=(API_ERRORS,),
        ),
    ),
)

MONEY_LINES: Final = (
    (
        timeseries(
            "Outbox lag",
            "Age of the oldest message that was not delivered. Red: grants are late.",
            (Query(SHOWN.gauge(OUTBOX_LAG, "max"), "oldest message"),),
            "seconds",
            thresholds=LAG_THRESHOLDS,
            alerts=(OUTBOX_LAGGING,),
        ),
        timeseries(
            "Outbox by topic",
            "Messages that wait for delivery.",
            (latest(OUTBOX_PENDING, "topic"),),
            "count",
            stacked=True,
            alerts=(OUTBOX_LAGGING,),
        ),
    ),
    (
        timeseries(
            "Unresolved payments",
            "Processing ends by itself; unknown is being looked up at the provider; review waits "
            "for an operator.",
            (latest(UNRESOLVED_PAYMENTS, "status"),),
            "count",
            stacked=True,
            alerts=(STUCK, UNKNOWN, IN_REVIEW),
        ),
        timeseries(
            "Money invariants",
            "Rows that break each invariant, from the database's own views. All must be 0.",
            (latest(INVARIANT_VIOLATIONS, "invariant"),),
            "count",
            thresholds=NEVER,
            alerts=(INVARIANT_BROKEN,),
        ),
    ),
)

OVERVIEW: Final = Dashboard(
    uid=OVERVIEW_DASHBOARD,
    title="Coinslot / Overview",
    description="Do payments go through, do games arrive, and is the money right?",
    variables=(*USUAL, CURRENCY),
    rows=(
        Row("Now", (NOW,)),
        Row("Payments", PAYMENT_LINES),
        Row("Providers", PROVIDER_LINES),
        Row("Integrations", INTEGRATION_LINES),
        Row("Errors", ERROR_LINES),
        Row("Delivery and money", MONEY_LINES),
    ),
    annotations=DEPLOYMENTS,
)
