"""Selectors, windows and thresholds that dashboards share."""

from typing import Final

from alerts.model import CONTAINERS
from alerts.promql import Condition, NoneOf, OneOf, Pattern, Source, ratio, total
from dashboards.panels import GOOD, Query, Threshold, Variable, falling, rising
from service.metric_catalog import (
    BUILD_INFO,
    PAYMENT_AMOUNT,
    PAYMENTS,
    RUNTIME_METRICS,
    Metric,
)
from service.metric_model import Open
from service.slo import (
    ERROR_STATUSES,
    PAYMENT_AVAILABILITY,
    PAYMENT_ERROR_RATIO,
    PAYMENT_LATENCY_P95_S,
)

WINDOW: Final = "$__rate_interval"
_NAMESPACE: Final = {"namespace": Pattern("$namespace")}

SHOWN: Final = Source({**_NAMESPACE, "job": Pattern("$job")})
"""The service's own metrics."""
CONTAINERS_SHOWN: Final = Source({**_NAMESPACE, **CONTAINERS.scope})
"""The same pods, in the metrics of the kubelet and kube-state-metrics, which have other jobs."""
RECORDED: Final = Source(_NAMESPACE)
"""Recorded series."""

ERRORS: Final = OneOf(ERROR_STATUSES)
NO_ERRORS: Final = NoneOf(ERROR_STATUSES)
ENDED: Final = OneOf(("succeeded", "failed", "declined", "canceled", "expired", "review"))
"""A payment that waits for its buyer or for its capture is counted then, and again at its end."""
FAULTS: Final = OneOf(("error", "timeout"))
NO_FAULTS: Final = NoneOf(FAULTS.values)

QUANTILES: Final = (("P50", 0.5), ("P95", 0.95), ("P99", 0.99))
LATENCY_THRESHOLDS: Final = rising(PAYMENT_LATENCY_P95_S.warning, PAYMENT_LATENCY_P95_S.critical)
SUCCESS_THRESHOLDS: Final = falling(PAYMENT_AVAILABILITY.target, 1 - PAYMENT_ERROR_RATIO.warning)
NEVER: Final = (GOOD, Threshold(1, "red"))

SUCCESS_RATIO: Final = ratio(
    SHOWN.rate(PAYMENTS, WINDOW, status=NO_ERRORS), SHOWN.rate(PAYMENTS, WINDOW)
)
PAID_RATIO: Final = ratio(
    SHOWN.rate(PAYMENTS, WINDOW, status="succeeded"), SHOWN.rate(PAYMENTS, WINDOW, status=ENDED)
)

# `.*` also matches a Prometheus outside Kubernetes, whose series have no namespace.
NAMESPACE: Final = Variable("namespace", f"label_values({BUILD_INFO.name}, namespace)", ".*")
JOB: Final = Variable(
    "job", f'label_values({BUILD_INFO.name}{{namespace=~"$namespace"}}, job)', ".+"
)
# Minor units of two currencies can't be added, so there is no "All".
CURRENCY: Final = Variable(
    "currency",
    f'label_values({PAYMENT_AMOUNT.name}_count{{namespace=~"$namespace"}}, currency)',
    None,
)
USUAL: Final = (NAMESPACE, JOB)


def reached(limit: float) -> tuple[Threshold, ...]:
    """Return thresholds of a value with one limit, above which an alert is due."""
    return (GOOD, Threshold(limit, "red"))


def runtime(name: str, *labels: str) -> Metric:
    """Return a metric of prometheus_client's own collectors; KeyError if there is none."""
    return Metric(
        name, "", dict.fromkeys(labels, Open("of the process")), kind=RUNTIME_METRICS[name]
    )


def legend(*labels: str) -> str:
    """Return a legend that shows the labels' values."""
    return " ".join(f"{{{{{label}}}}}" for label in labels)


def grouped(metric: Metric, *by: str) -> Query:
    """Return the rate of a counter, a line for each value of the labels `by`."""
    return Query(SHOWN.rate(metric, WINDOW, by), legend(*by))


def p95(metric: Metric, *by: str) -> Query:
    """Return the P95 of a histogram, a line for each value of the labels `by`."""
    return Query(SHOWN.quantile(0.95, metric, WINDOW, by), legend(*by))


def quantiles(metric: Metric) -> tuple[Query, ...]:
    """Return P50, P95 and P99 of a histogram."""
    return tuple(Query(SHOWN.quantile(q, metric, WINDOW), name) for name, q in QUANTILES)


def latest(metric: Metric, *by: str, **where: Condition) -> Query:
    """Return a gauge that pods read from the database: one value a stack, the highest."""
    shown = total(SHOWN.gauge(metric, "max", ("namespace", *by), None, **where), by)
    return Query(shown, legend(*by) or metric.name)


def oldest(metric: Metric, *by: str, **where: Condition) -> Query:
    """Return an age that pods read from the database: the highest of all stacks."""
    return Query(SHOWN.gauge(metric, "max", by, None, **where), legend(*by) or "oldest")


def by_pod(metric: Metric, *by: str) -> Query:
    """Return a gauge of each process."""
    return Query(SHOWN.gauge(metric, "max", ("pod", *by)), legend("pod", *by))


def health(metric: Metric, by: str) -> Query:
    """Return the fraction of calls to a dependency that it answered, whatever the answer was."""
    answered = SHOWN.rate(metric, WINDOW, (by,), outcome=NO_FAULTS)
    return Query(ratio(answered, SHOWN.rate(metric, WINDOW, (by,))), legend(by))
