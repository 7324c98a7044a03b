"""When alerts fire and when they don't, as data for promtool.

Written below `tests/` beside the rules, a file an area, for `promtool test rules`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from alerts.model import EVALUATION_INTERVAL, EVALUATION_INTERVAL_S, Alert, Area
from service.metric_catalog import Metric

NAMESPACE: Final = "coinslot-test"
API_JOB: Final = "coinslot-api"
WORKER_JOB: Final = "coinslot-worker"
INSTANCE: Final = "10.0.0.7:8080"

STEP_S: Final = EVALUATION_INTERVAL_S
SAMPLES: Final = 60
"""Half an hour of samples, one each 30 s: longer than most windows and `for` together."""


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one series, one each step, in promtool's notation, such as `0+5x20`."""

    metric: Metric
    labels: tuple[tuple[str, str], ...]
    samples: str
    namespace: str = NAMESPACE
    job: str = API_JOB
    suffix: str = ""

    def __post_init__(self) -> None:
        for label, value in self.labels:
            if value not in (self.metric.values(label) or (value,)):
                raise ValueError(f"{self.metric.name}: {label}={value!r} never occurs")

    def document(self) -> dict[str, str]:
        """Return the series as an entry of promtool's `input_series`."""
        target = {"namespace": self.namespace, "job": self.job}
        labels = {name: value for name, value in target.items() if value} | dict(self.labels)
        inside = ", ".join(f'{name}="{value}"' for name, value in labels.items())
        name = f"{self.metric.name}{self.suffix}"
        return {"series": f"{name}{{{inside}}}", "values": self.samples}


def counted(
    metric: Metric,
    a_step: float,
    *,
    steps: int = SAMPLES,
    job: str = API_JOB,
    suffix: str = "",
    where: Mapping[str, str] | None = None,
    **labels: str,
) -> Series:
    """Return a counter that rises by `a_step` each step, from 0."""
    samples = f"0+{a_step:g}x{steps}"
    every = {**(where or {}), **labels}
    return Series(metric, tuple(every.items()), samples, job=job, suffix=suffix)


def once(
    metric: Metric,
    count: int,
    *,
    job: str = API_JOB,
    where: Mapping[str, str] | None = None,
    **labels: str,
) -> Series:
    """Return a counter that jumps from 0 to `count` after five minutes, and stays."""
    every = {**(where or {}), **labels}
    return Series(metric, tuple(every.items()), f"0x10 {count}x{SAMPLES * 5}", job=job)


def level(
    metric: Metric,
    value: float,
    *,
    steps: int = SAMPLES,
    job: str = API_JOB,
    where: Mapping[str, str] | None = None,
    **labels: str,
) -> Series:
    """Return a gauge that stays as it is; labels are given one by one, or together in `where`."""
    every = {**(where or {}), **labels}
    return Series(metric, tuple(every.items()), f"{value:.10g}x{steps}", job=job)


@dataclass(frozen=True, slots=True)
class Firing:
    """One expected alert: its stack, its value as the description shows it, its own labels."""

    value: str
    namespace: str = NAMESPACE
    labels: Mapping[str, str] = field(default_factory=dict)

    def every_label(self) -> dict[str, str]:
        """Return the labels that come from the series."""
        stack = {"namespace": self.namespace} if self.namespace else {}
        return {**stack, **self.labels}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is scraped, and which alerts of one rule fire at a time after the start."""

    alert: Alert
    name: str
    series: tuple[Series, ...]
    at: str
    fires: tuple[Firing, ...] = ()

    def document(self, area: Area, interval: str) -> dict[str, Any]:
        """Return the scenario as an entry of promtool's `tests`."""
        return {
            "name": f"{self.alert.name}: {self.name}",
            "interval": interval,
            "input_series": [series.document() for series in self.series],
            "alert_rule_test": [
                {
                    "eval_time": self.at,
                    "alertname": self.alert.name,
                    "exp_alerts": [self._expected(area, firing) for firing in self.fires],
                }
            ],
        }

    def _expected(self, area: Area, firing: Firing) -> dict[str, dict[str, str]]:
        labels = firing.every_label()
        return {
            "exp_labels": {**self.alert.labels(area.name), **labels},
            "exp_annotations": self.alert.annotations(firing.value, labels),
        }


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is scraped, and what a recording rule makes of it, by namespace."""

    metric: Metric
    name: str
    series: tuple[Series, ...]
    at: str
    value: float

    def document(self, area: Area, interval: str) -> dict[str, Any]:
        """Return the scenario as an entry of promtool's `tests`."""
        if all(rule.metric != self.metric for rule in area.recordings):
            raise ValueError(f"{area.name} does not record {self.metric.name}")
        rounded = f"round({self.metric.name}, 0.001)"  # sums of floats are never quite even
        sample = {"labels": f'{{namespace="{NAMESPACE}"}}', "value": self.value}
        return {
            "name": f"{self.metric.name}: {self.name}",
            "interval": interval,
            "input_series": [series.document() for series in self.series],
            "promql_expr_test": [{"expr": rounded, "eval_time": self.at, "exp_samples": [sample]}],
        }


@dataclass(frozen=True, slots=True)
class Suite:
    """The scenarios of an area; over days they are looked at in wider steps."""

    area: Area
    scenarios: Sequence[Scenario | Recorded]
    name: str = ""
    interval: str = EVALUATION_INTERVAL
    needs: tuple[Area, ...] = ()
    """Areas that record series which this one reads."""

    @property
    def file(self) -> str:
        """The name of the file that promtool reads."""
        return f"{self.name or self.area.name}.yaml"

    def document(self, rules: str) -> dict[str, Any]:
        """Return a promtool unit-test file; `rules` is the folder of rule files, relative to it.

        Only the rules that are tested are loaded: promtool evaluates all it knows at every step.
        Without an order of groups an alert may see what is recorded for it one step later.
        """
        areas = (*self.needs, self.area)
        return {
            "rule_files": [f"{rules}/{area.file}" for area in areas],
            "evaluation_interval": self.interval,
            "group_eval_order": [area.group for area in areas],
            "tests": [one.document(self.area, self.interval) for one in self.scenarios],
        }


def borders(
    alert: Alert,
    *,
    over: Iterable[Series],
    under: Iterable[Series],
    value: str,
    starts_s: int = 0,
    labels: Mapping[str, str] | None = None,
    namespace: str = NAMESPACE,
) -> Iterator[Scenario]:
    """Yield the scenarios around a rule's threshold and for_duration.

    With `over` its condition is true from `starts_s` on; with `under` it is just not.
    """
    over, under = tuple(over), tuple(under)
    fires = (Firing(value, namespace, labels or {}),)
    for_s = seconds(alert.for_duration.duration)
    at = duration(starts_s + for_s)
    yield Scenario(alert, "just above the limit, for long enough", over, at, fires)
    if for_s:
        before = duration(starts_s + for_s - STEP_S)
        yield Scenario(alert, "just above the limit, not yet long enough", over, before)
    yield Scenario(alert, "not above the limit", under, at)


_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def seconds(text: str) -> int:
    """Return the seconds of a Prometheus duration with one unit, such as `5m`."""
    return int(text[:-1]) * _UNITS[text[-1]]


def duration(number: int) -> str:
    """Return seconds as promtool takes them: `330` is `5m30s`."""
    passed = timedelta(seconds=number)
    hours, rest = divmod(int(passed.total_seconds()), 3_600)
    minutes, left = divmod(rest, 60)
    parts = [f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if n]
    return "".join(parts) or "0s"
