"""The dashboard that on-call people see first: payments, deliveries, and the money itself."""

from typing import Final

from alerts.links import OVERVIEW_DASHBOARD
from alerts.promql import NoneOf, OneOf, Pattern, Source, ratio, total
from dashboards.panels import (
    GOOD,
    Dashboard,
    Panel,
    Query,
    Row,
    Step,
    Variable,
    falling,
    heatmap,
    rising,
    stat,
    timeseries,
)
from service.metric_catalog import (
    ACTIVE_PAYMENTS,
    BUILD_INFO,
    HTTP_REQUESTS,
    INTEGRATION_DURATION,
    INTEGRATION_REQUESTS,
    INVARIANT_VIOLATIONS,
    OUTBOX_LAG,
    OUTBOX_PENDING,
    PAID_NOT_GRANTED,
    PAYMENT_AMOUNT,
    PAYMENT_DURATION,
    PAYMENT_FAILURES_HIGH_VALUE,
    PAYMENTS,
    PROVIDER_DURATION,
    PROVIDER_REQUESTS,
    UNRESOLVED_PAYMENTS,
    Metric,
)
from service.slo import (
    ERROR_STATUSES,
    GRANT_FRESHNESS_S,
    HIGH_VALUE_MINOR,
    PAYMENT_AVAILABILITY,
    PAYMENT_ERROR_RATIO,
    PAYMENT_LATENCY_P95_S,
)

SHOWN: Final = Source({"namespace": Pattern("$namespace"), "job": Pattern("$job")})
WINDOW: Final = "$__rate_interval"

ERRORS: Final = OneOf(ERROR_STATUSES)
NO_ERRORS: Final = NoneOf(ERROR_STATUSES)
FAULTS: Final = OneOf(("error", "timeout"))
NO_FAULTS: Final = NoneOf(FAULTS.values)

QUANTILES: Final = (("P50", 0.5), ("P95", 0.95), ("P99", 0.99))
LATENCY_STEPS: Final = rising(PAYMENT_LATENCY_P95_S.warning, PAYMENT_LATENCY_P95_S.critical)
SUCCESS_STEPS: Final = falling(PAYMENT_AVAILABILITY.target, 1 - PAYMENT_ERROR_RATIO.warning)
LAG_STEPS: Final = rising(GRANT_FRESHNESS_S / 5, GRANT_FRESHNESS_S)
NEVER: Final = (GOOD, Step(1, "red"))

SUCCESS_RATIO: Final = ratio(
    SHOWN.rate(PAYMENTS, WINDOW, status=NO_ERRORS), SHOWN.rate(PAYMENTS, WINDOW)
)


def grouped(metric: Metric, *by: str) -> Query:
    """Return the rate of a counter, a line for each value of the labels `by`."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return Query(SHOWN.rate(metric, WINDOW, by), legend)


def p95(metric: Metric, *by: str) -> Query:
    """Return the P95 of a histogram, a line for each value of the labels `by`."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return Query(SHOWN.quantile(0.95, metric, WINDOW, by), legend)


def latest(metric: Metric, *by: str) -> Query:
    """Return a gauge that pods read from the database: one answer a stack, the highest."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by) or metric.name
    return Query(total(SHOWN.gauge(metric, "max", ("namespace", *by)), by), legend)


def health(metric: Metric, by: str) -> Query:
    """Return the fraction of calls to others that they answered, whatever the answer was."""
    answered = SHOWN.rate(metric, WINDOW, (by,), outcome=NO_FAULTS)
    return Query(ratio(answered, SHOWN.rate(metric, WINDOW, (by,))), f"{{{{{by}}}}}")


NOW: Final[tuple[Panel, ...]] = (
    stat(
        "Success ratio",
        "Payments that did not end in an error of ours or the provider's. Green: the objective "
        f"of {PAYMENT_AVAILABILITY.target:.1%} is met. Declined cards are no error.",
        SUCCESS_RATIO,
        "percent",
        SUCCESS_STEPS,
    ),
    stat(
        "Payments per second",
        "Payments that reached a status. A sudden drop hurts as much as errors do.",
        SHOWN.rate(PAYMENTS, WINDOW),
        "per_second",
    ),
    stat(
        "Latency P95",
        "19 of 20 payment requests are answered faster than this. "
        f"Why these limits: {PAYMENT_LATENCY_P95_S.why}.",
        SHOWN.quantile(0.95, PAYMENT_DURATION, WINDOW),
        "seconds",
        LATENCY_STEPS,
    ),
    stat(
        "In progress",
        "Payment requests being handled right now by all pods; the autoscaler follows it.",
        SHOWN.gauge(ACTIVE_PAYMENTS, "sum"),
        "count",
    ),
    stat(
        "Paid, not granted",
        f"Orders paid more than {GRANT_FRESHNESS_S} s ago whose games the Library hasn't got. "
        "They heal by themselves once it answers; if not, see the outbox.",
        latest(PAID_NOT_GRANTED).expression,
        "count",
        NEVER,
    ),
    stat(
        "Broken money invariants",
        "Rows that break a money invariant, all of them together. Anything but 0 is an incident: "
        "stop refunds and captures, and call the owner of the ledger.",
        total(latest(INVARIANT_VIOLATIONS, "invariant").expression),
        "count",
        NEVER,
    ),
)

PAYMENT_LINES: Final = (
    (
        timeseries(
            "Success ratio over time",
            "No error: the objective's view. Succeeded: the buyer's view, declines included.",
            (
                Query(SUCCESS_RATIO, "no error"),
                Query(
                    ratio(
                        SHOWN.rate(PAYMENTS, WINDOW, status="succeeded"),
                        SHOWN.rate(PAYMENTS, WINDOW),
                    ),
                    "succeeded",
                ),
            ),
            "percent",
        ),
        timeseries(
            "Volume by status",
            "Payments a second that reached each status.",
            (grouped(PAYMENTS, "status"),),
            "per_second",
            stacked=True,
        ),
    ),
    (
        timeseries(
            "Payment latency",
            "From a payment request's arrival to its answer. The lines are the alerts' limits.",
            (Query(SHOWN.quantile(q, PAYMENT_DURATION, WINDOW), name) for name, q in QUANTILES),
            "seconds",
            steps=LATENCY_STEPS,
        ),
        timeseries(
            "Payment latency P95 by provider",
            "One provider above the others: its own latency is in the row below.",
            (p95(PAYMENT_DURATION, "provider"),),
            "seconds",
            steps=LATENCY_STEPS,
        ),
    ),
    (
        timeseries(
            "Active payments by pod",
            "Uneven pods: look at the Service's endpoints and at long-lived connections.",
            (Query(SHOWN.gauge(ACTIVE_PAYMENTS, "sum", ("pod",)), "{{pod}}"),),
            "count",
            stacked=True,
        ),
        heatmap(
            "Amounts ($currency)",
            "How many payments a second fall into each range, in minor units of the currency.",
            SHOWN.buckets(PAYMENT_AMOUNT, WINDOW, currency=Pattern("$currency")),
            "minor",
        ),
        timeseries(
            "Amount quantiles ($currency)",
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
        timeseries(
            "Provider calls by outcome",
            "A timeout leaves the outcome unknown until the provider is asked again.",
            (grouped(PROVIDER_REQUESTS, "provider", "operation", "outcome"),),
            "per_second",
        ),
        timeseries(
            "Provider health",
            "Calls that were answered, declines included.",
            (health(PROVIDER_REQUESTS, "provider"),),
            "percent",
        ),
        timeseries(
            "Provider latency P95",
            "By operation. What comes near the timeout of a call becomes an unknown outcome.",
            (p95(PROVIDER_DURATION, "provider", "operation"),),
            "seconds",
            steps=LATENCY_STEPS,
        ),
    ),
)

INTEGRATION_LINES: Final = (
    (
        timeseries(
            "Integration calls by outcome",
            "The Library grants and revokes games; the Game Catalog tells prices.",
            (grouped(INTEGRATION_REQUESTS, "integration", "operation", "outcome"),),
            "per_second",
        ),
        timeseries(
            "Integration health",
            "Calls that were answered. While the Library fails, paid orders wait in the outbox.",
            (health(INTEGRATION_REQUESTS, "integration"),),
            "percent",
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
        ),
        timeseries(
            "High-value failures",
            f"Failed payments of {HIGH_VALUE_MINOR} minor units or more, by provider.",
            (grouped(PAYMENT_FAILURES_HIGH_VALUE, "provider"),),
            "per_second",
        ),
    ),
    (
        timeseries(
            "HTTP answers by status",
            "Every answered request by HTTP status, probes included.",
            (grouped(HTTP_REQUESTS, "status"),),
            "per_second",
            stacked=True,
        ),
        timeseries(
            "HTTP errors by route",
            "4xx and 5xx answers. 401 and 429 are clients' doing; 503 is the service refusing "
            "work that it could not finish.",
            (
                Query(
                    SHOWN.rate(
                        HTTP_REQUESTS, WINDOW, ("route", "status"), status=Pattern("[45]..")
                    ),
                    "{{status}} {{route}}",
                ),
            ),
            "per_second",
        ),
    ),
)

MONEY_LINES: Final = (
    (
        timeseries(
            "Outbox lag",
            "Age of the oldest message that the Library hasn't got. Red: grants come too late.",
            (Query(SHOWN.gauge(OUTBOX_LAG, "max"), "oldest message"),),
            "seconds",
            steps=LAG_STEPS,
        ),
        timeseries(
            "Outbox by topic",
            "Messages that wait for delivery.",
            (latest(OUTBOX_PENDING, "topic"),),
            "count",
            stacked=True,
        ),
    ),
    (
        timeseries(
            "Unresolved payments",
            "Processing passes by itself; unknown is being asked at the provider; review waits "
            "for a person.",
            (latest(UNRESOLVED_PAYMENTS, "status"),),
            "count",
            stacked=True,
        ),
        timeseries(
            "Money invariants",
            "Rows that break each invariant, from the database's own views. All must be 0.",
            (latest(INVARIANT_VIOLATIONS, "invariant"),),
            "count",
            steps=NEVER,
        ),
    ),
)

OVERVIEW: Final = Dashboard(
    uid=OVERVIEW_DASHBOARD,
    title="Coinslot / Overview",
    description="Do payments go through, do games arrive, and is the money right?",
    variables=(
        # `.*` also matches a Prometheus outside Kubernetes, whose series have no namespace.
        Variable("namespace", f"label_values({BUILD_INFO.name}, namespace)", ".*"),
        Variable("job", f'label_values({BUILD_INFO.name}{{namespace=~"$namespace"}}, job)', ".+"),
        # Minor units of two currencies in one picture would mean nothing, so there is no "All".
        Variable(
            "currency",
            f'label_values({PAYMENT_AMOUNT.name}_count{{namespace=~"$namespace"}}, currency)',
            None,
        ),
    ),
    rows=(
        Row("Now", (NOW,)),
        Row("Payments", PAYMENT_LINES),
        Row("Providers", PROVIDER_LINES),
        Row("Integrations", INTEGRATION_LINES),
        Row("Errors", ERROR_LINES),
        Row("Delivery and money", MONEY_LINES),
    ),
)
