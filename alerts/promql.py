"""PromQL in one place: expressions over metrics of the catalog, and of nothing else.

A selector takes a `Metric`, not a name, and refuses labels and values that the metric can't have,
so a rename in the catalog breaks the build and not the on-call night.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from service.metric_catalog import (
    LABEL_VALUES,
    ORDER_STATUSES,
    ORDERS,
    PAYMENT_DURATION,
    PAYMENT_STATUSES,
    PAYMENTS,
    Metric,
)

TARGET_LABELS: Final = ("namespace", "job", "pod", "instance")
"""Labels that the scrape adds to every series; see infra's ServiceMonitor."""

_STATUS_VALUES: Final = {
    PAYMENTS.name: PAYMENT_STATUSES,
    PAYMENT_DURATION.name: PAYMENT_STATUSES,
    ORDERS.name: ORDER_STATUSES,
}

Aggregation = Literal["sum", "max", "min", "avg", "count"]


@dataclass(frozen=True, slots=True)
class OneOf:
    """Matches any of the values."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """Matches everything but the values."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """An anchored regular expression or a dashboard variable, passed on as it is."""

    regex: str


Condition = str | OneOf | NoneOf | Pattern
Conditions = Mapping[str, Condition]


class PromQLError(ValueError):
    """An expression that could never return what it says; raised while it is built."""


@dataclass(frozen=True)
class Source:
    """The service's metrics as one reader sees them: `scope` is part of every selector.

    `window` arguments are Prometheus durations, or a dashboard's `$__rate_interval`.
    """

    scope: Conditions

    def rate(self, metric: Metric, window: str, by: Iterable[str] = (), **where: Condition) -> str:
        """Return events per second: a counter's, or a histogram's observations."""
        if metric.kind == "gauge":
            raise PromQLError(f"{metric.name} is a gauge; rate needs a counter or a histogram")
        suffix = "_count" if metric.kind == "histogram" else ""
        series = self._select(metric, suffix, where)
        return _aggregate("sum", metric, by, f"rate({series}[{window}])")

    def buckets(
        self, metric: Metric, window: str, by: Iterable[str] = (), **where: Condition
    ) -> str:
        """Return observations per second in each bucket of a histogram, by `le`."""
        if metric.kind != "histogram":
            raise PromQLError(f"{metric.name} is a {metric.kind}; only a histogram has buckets")
        series = self._select(metric, "_bucket", where)
        return _aggregate("sum", metric, ("le", *by), f"rate({series}[{window}])")

    def quantile(
        self, q: float, metric: Metric, window: str, by: Iterable[str] = (), **where: Condition
    ) -> str:
        """Return the `q` quantile (0 to 1) of a histogram, in the metric's own unit."""
        if not 0 < q < 1:
            raise PromQLError(f"a quantile lies between 0 and 1, not at {q}")
        return f"histogram_quantile({q}, {self.buckets(metric, window, by, **where)})"

    def gauge(
        self, metric: Metric, how: Aggregation, by: Iterable[str] = (), **where: Condition
    ) -> str:
        """Return a gauge aggregated over the pods that export it."""
        if metric.kind != "gauge":
            raise PromQLError(f"{metric.name} is a {metric.kind}, not a gauge")
        return _aggregate(how, metric, by, self._select(metric, "", where))

    def _select(self, metric: Metric, suffix: str, where: Conditions) -> str:
        for label, condition in where.items():
            _check(metric, label, condition)
        matchers = {**self.scope, **where}
        inside = ", ".join(_matcher(label, condition) for label, condition in matchers.items())
        return f"{metric.name}{suffix}{{{inside}}}"


def ratio(part: str, whole: str) -> str:
    """Return `part / whole`, and nothing at all, rather than NaN, where the whole is 0."""
    return f"{part} / ({whole} > 0)"


def total(expression: str, by: Iterable[str] = ()) -> str:
    """Return the sum of the series of `expression`."""
    labels = ", ".join(by)
    return f"sum by ({labels}) ({expression})" if labels else f"sum({expression})"


def above(expression: str, threshold: float) -> str:
    """Return the series of `expression` that are greater than `threshold`."""
    return f"{expression} > {threshold:g}"


def label_values(metric: Metric) -> dict[str, tuple[str, ...]]:
    """Return the values that the metric's labels can take, as far as the catalog lists them."""
    known = {label: LABEL_VALUES[label] for label in metric.labels if label in LABEL_VALUES}
    if metric.name in _STATUS_VALUES:
        known["status"] = _STATUS_VALUES[metric.name]
    return known


def _aggregate(how: Aggregation, metric: Metric, by: Iterable[str], expression: str) -> str:
    labels = tuple(by)
    for label in labels:
        if label not in (*TARGET_LABELS, "le"):
            _check_label(metric, label)
    return f"{how} by ({', '.join(labels)}) ({expression})" if labels else f"{how}({expression})"


def _matcher(label: str, condition: Condition) -> str:
    match condition:
        case str():
            return f'{label}="{condition}"'
        case OneOf(values):
            return f'{label}=~"{_alternatives(values)}"'
        case NoneOf(values):
            return f'{label}!~"{_alternatives(values)}"'
        case Pattern(regex):
            return f'{label}=~"{regex}"'


def _alternatives(values: tuple[str, ...]) -> str:
    return "|".join(re.escape(value).replace("\\", "\\\\") for value in values)


def _check_label(metric: Metric, label: str) -> None:
    if label not in metric.labels:
        raise PromQLError(
            f"{metric.name} has no label {label!r}; it has {', '.join(metric.labels) or 'none'}"
        )


def _check(metric: Metric, label: str, condition: Condition) -> None:
    _check_label(metric, label)
    allowed = label_values(metric).get(label)
    if allowed is None or isinstance(condition, Pattern):
        return
    values = (condition,) if isinstance(condition, str) else condition.values
    for value in values:
        if value not in allowed:
            raise PromQLError(
                f"{metric.name}: {label}={value!r} never occurs; "
                f"the catalog allows {', '.join(allowed)}"
            )
