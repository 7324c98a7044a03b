"""PromQL in one place: expressions over metrics of the catalog, and of nothing else.

A selector takes a `Metric`, not a name, and refuses labels and values that the metric can't have,
so a rename in the catalog breaks the build and not the on-call night.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from service.metric_catalog import Metric

TARGET_LABELS: Final = ("namespace", "job", "pod", "instance")
"""Labels that the scrape adds to every series; see infra's ServiceMonitor."""

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


class OverTime(NamedTuple):
    """An aggregation of a gauge over a window; `count` is the number of its samples."""

    how: Literal["avg", "min", "max", "sum", "count"]
    window: str


Condition = str | OneOf | NoneOf | Pattern
Conditions = Mapping[str, Condition]


class PromQLError(ValueError):
    """An expression that could never return anything; raised while it is built."""


@dataclass(frozen=True)
class Source:
    """The service's metrics as one reader sees them: `scope` is part of every selector.

    `window` arguments are Prometheus durations, or a dashboard's `$__rate_interval`.
    """

    scope: Conditions

    def rate(
        self,
        metric: Metric,
        window: str,
        by: Iterable[str] = (),
        offset: str = "",
        **where: Condition,
    ) -> str:
        """Return events per second, `offset` ago: a counter's, or a histogram's observations."""
        return self._counted("rate", metric, window, by, offset, where)

    def increase(
        self, metric: Metric, window: str, by: Iterable[str] = (), **where: Condition
    ) -> str:
        """Return events in the window; Prometheus extrapolates, so 3 may be 3.1."""
        return self._counted("increase", metric, window, by, "", where)

    def slower(
        self, metric: Metric, border: float, window: str, by: Iterable[str] = (), **where: Condition
    ) -> str:
        """Return observations per second above `border`, which must be a bucket's, to be exact."""
        if border not in metric.buckets:
            raise PromQLError(f"{metric.name} has no bucket that ends at {border}")
        inside = {**where, "le": f"{float(border)}"}
        series = self._select(metric, "_bucket", inside)
        within = _aggregate("sum", metric, by, f"rate({series}[{window}])")
        every = self._counted("rate", metric, window, by, "", where)
        return f"({every} - {within})"

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
        self,
        metric: Metric,
        how: Aggregation,
        by: Iterable[str] = (),
        over: OverTime | None = None,
        **where: Condition,
    ) -> str:
        """Return a gauge, as it is or over a window, aggregated over the pods that export it."""
        return _aggregate(how, metric, by, self.plain(metric, over, **where))

    def before(
        self, metric: Metric, how: Aggregation, by: Iterable[str], offset: str, **where: Condition
    ) -> str:
        """Return what a gauge was, `offset` ago, aggregated over the pods."""
        return _aggregate(how, metric, by, f"{self.plain(metric, None, **where)} offset {offset}")

    def plain(self, metric: Metric, over: OverTime | None = None, **where: Condition) -> str:
        """Return a gauge, as it is or over a window, with all its labels."""
        if metric.kind != "gauge":
            raise PromQLError(f"{metric.name} is a {metric.kind}, not a gauge")
        series = self._select(metric, "", where)
        return f"{over.how}_over_time({series}[{over.window}])" if over else series

    def _counted(
        self,
        function: Literal["rate", "increase"],
        metric: Metric,
        window: str,
        by: Iterable[str],
        offset: str,
        where: Conditions,
    ) -> str:
        if metric.kind == "gauge":
            raise PromQLError(
                f"{metric.name} is a gauge; {function} needs a counter or a histogram"
            )
        suffix = "_count" if metric.kind == "histogram" else ""
        series = f"{self._select(metric, suffix, where)}[{window}]"
        series += f" offset {offset}" if offset else ""
        return _aggregate("sum", metric, by, f"{function}({series})")

    def _select(self, metric: Metric, suffix: str, where: Conditions) -> str:
        for label, condition in where.items():
            _check(metric, label, condition)
        matchers = {**self.scope, **where}
        inside = ", ".join(_matcher(label, condition) for label, condition in matchers.items())
        name = f"{metric.name}{suffix}"
        return f"{name}{{{inside}}}" if inside else name


def ratio(part: str, whole: str) -> str:
    """Return `part / whole`, and nothing at all, rather than NaN, where the whole is 0."""
    return f"{part} / ({whole} > 0)"


def share(part: str, whole: str) -> str:
    """Return `part / whole` where a part without series is 0: the first such event makes them."""
    return ratio(f"({either(part, times(0, whole))})", whole)


def total(expression: str, by: Iterable[str] = ()) -> str:
    """Return the sum of the series of `expression`."""
    labels = ", ".join(by)
    return f"sum by ({labels}) ({expression})" if labels else f"sum({expression})"


def above(expression: str, limit: float | str) -> str:
    """Return the series of `expression` that are greater than a number or another expression."""
    return f"{expression} > {_operand(limit)}"


def below(expression: str, limit: float | str) -> str:
    """Return the series of `expression` that are less than a number or another expression."""
    return f"{expression} < {_operand(limit)}"


def equal(expression: str, number: float) -> str:
    """Return the series of `expression` that are exactly `number`."""
    return f"{expression} == {number:g}"


def times(factor: float, expression: str) -> str:
    """Return a multiple of `expression`, which must not be a sum or a comparison."""
    return f"{factor:g} * {expression}"


def age(timestamp: str) -> str:
    """Return the seconds since a moment in Unix time."""
    return f"time() - {timestamp}"


def until(timestamp: str) -> str:
    """Return the seconds to a moment in Unix time; less than 0 once it has passed."""
    return f"({timestamp}) - time()"


def magnitude(expression: str) -> str:
    """Return values without their sign."""
    return f"abs({expression})"


def both(*conditions: str) -> str:
    """Return the series of the first condition for which all the others hold, too."""
    return " and ".join(conditions)


def either(*conditions: str) -> str:
    """Return the series of each condition; where several hold, that of the first."""
    return " or ".join(f"({condition})" for condition in conditions)


def without(condition: str, *others: str) -> str:
    """Return the series of a condition for which not all of the others are there."""
    return f"({condition}) unless ({both(*others)})"


def absent(series: str) -> str:
    """Return 1 if there is no such series, and nothing if there is one."""
    return f"absent({series})"


def _operand(limit: float | str) -> str:
    return limit if isinstance(limit, str) else f"{limit:g}"


def _aggregate(how: Aggregation, metric: Metric, by: Iterable[str], expression: str) -> str:
    labels = tuple(by)
    for label in labels:
        _check_label(metric, label)
    return f"{how} by ({', '.join(labels)}) ({expression})" if labels else f"{how}({expression})"


def _matcher(label: str, condition: Condition) -> str:
    match condition:
        case str() | OneOf((_,)):
            return f'{label}="{condition if isinstance(condition, str) else condition.values[0]}"'
        case OneOf(values):
            return f'{label}=~"{_alternatives(values)}"'
        case NoneOf((value,)):
            return f'{label}!="{value}"'
        case NoneOf(values):
            return f'{label}!~"{_alternatives(values)}"'
        case Pattern(regex):
            return f'{label}=~"{regex}"'


def _alternatives(values: tuple[str, ...]) -> str:
    return "|".join(re.escape(value).replace("\\", "\\\\") for value in values)


def _check_label(metric: Metric, label: str) -> None:
    bucket = label == "le" and metric.kind == "histogram"
    if label not in metric.labels and label not in TARGET_LABELS and not bucket:
        raise PromQLError(
            f"{metric.name} has no label {label!r}; it has {', '.join(metric.labels) or 'none'}"
        )


def _check(metric: Metric, label: str, condition: Condition) -> None:
    _check_label(metric, label)
    allowed = metric.values(label)
    if not allowed or isinstance(condition, Pattern):
        return
    values = (condition,) if isinstance(condition, str) else condition.values
    for value in values:
        if value not in allowed:
            raise PromQLError(
                f"{metric.name}: {label}={value!r} never occurs; "
                f"the catalog allows {', '.join(allowed)}"
            )
