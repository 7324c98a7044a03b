"""The instruments of one process, built from the catalog. The only import of prometheus_client.

Each process has its own registry, so several apps live side by side in a test. A label value that
the catalog doesn't know is refused, and so is one label combination too many: a metric that grows
with its users takes Prometheus down.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

import prometheus_client as prometheus

from service.metric_catalog import BUILD_INFO, CATALOG, EVENT_LOOP_LAG, EVENT_LOOP_TASKS
from service.metric_model import Metric

CONTENT_TYPE: Final = prometheus.CONTENT_TYPE_LATEST
MAX_SERIES_PER_METRIC: Final = 1_000
"""Label combinations of one metric in one process; the widest, http_requests_total, has about
30 routes with 5 statuses each."""

LAG_INTERVAL_S: Final = 0.5
"""Pause between two measurements of the event loop; several for each scrape."""


class LabelError(ValueError):
    """A label is missing, unknown, or has a value that its metric doesn't declare."""


class Metrics:
    """Counts and measures by catalog entry: `metrics.inc(PAYMENTS, status=…, provider=…)`."""

    def __init__(self, *, version: str, role: str) -> None:
        # A `_created` series beside each counter would double what Prometheus stores.
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = prometheus.CollectorRegistry()
        self._families = {metric.name: _family(metric, self.registry) for metric in CATALOG}
        self._children: dict[tuple[str | None, ...], Any] = {}
        self._series = dict.fromkeys(self._families, 0)
        prometheus.ProcessCollector(registry=self.registry)
        prometheus.PlatformCollector(registry=self.registry)
        prometheus.GCCollector(registry=self.registry)
        self.set(BUILD_INFO, 1, version=version, role=role)

    def inc(self, metric: Metric, amount: float = 1, /, **labels: str) -> None:
        """Add to a counter or a gauge."""
        self._child(metric, labels).inc(amount)

    def set(self, metric: Metric, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        self._child(metric, labels).set(value)

    def observe(self, metric: Metric, value: float, /, **labels: str) -> None:
        """Add a measurement to a histogram, in the metric's unit."""
        self._child(metric, labels).observe(value)

    def time(self, metric: Metric, /, **labels: str) -> AbstractContextManager[Any]:
        """Measure a block's duration into a histogram of seconds, also when it fails."""
        timer: AbstractContextManager[Any] = self._child(metric, labels).time()
        return timer

    def in_progress(self, metric: Metric, /, **labels: str) -> AbstractContextManager[Any]:
        """Hold a gauge one higher for as long as a block runs."""
        tracker: AbstractContextManager[Any] = self._child(metric, labels).track_inprogress()
        return tracker

    def read_at_scrape(self, metric: Metric, read: Callable[[], float], /, **labels: str) -> None:
        """Let a gauge ask `read` at every scrape; it must return at once and not raise."""
        self._child(metric, labels).set_function(read)

    def init_series(self, metric: Metric, /, **labels: str) -> None:
        """Export a series at 0 from the start: rate() can't see the first step of a new one."""
        self._child(metric, labels)

    def start_at_zero(self, **present: Collection[str]) -> None:
        """Export at 0 every counter whose labels are known, of the values that are `present`.

        Otherwise the first failure of a fresh pod is missed, and an error panel shows "no data".
        """
        for metric in CATALOG:
            for labels in metric.zeros(present):
                self.init_series(metric, **labels)

    def set_each(self, metric: Metric, values: Mapping[str, float]) -> None:
        """Set a gauge with one label for each of its values; what is not given is 0."""
        (label,) = metric.labels
        for value in metric.values(label):
            self.set(metric, values.get(value, 0), **{label: value})

    def exposition(self) -> bytes:
        """Return every series in Prometheus' text format; its type is CONTENT_TYPE."""
        return prometheus.generate_latest(self.registry)

    def _child(self, metric: Metric, labels: dict[str, str]) -> Any:
        key = (metric.name, *map(labels.get, metric.labels))
        child = self._children.get(key)
        if child is None or len(labels) != len(metric.labels):
            child = self._new_child(metric, labels)
            self._children[key] = child
        return child

    def _new_child(self, metric: Metric, labels: dict[str, str]) -> Any:
        if problem := metric.problem(labels):
            raise LabelError(problem)
        if self._series[metric.name] >= MAX_SERIES_PER_METRIC:
            raise LabelError(
                f"{metric.name} has {MAX_SERIES_PER_METRIC} label combinations already"
            )
        self._series[metric.name] += 1
        family = self._families[metric.name]
        return family.labels(**labels) if labels else family


def _family(metric: Metric, registry: prometheus.CollectorRegistry) -> Any:
    # The library would append `unit` to a name that doesn't end with it; our names are complete.
    if metric.kind == "histogram":
        return prometheus.Histogram(
            metric.name,
            metric.help,
            tuple(metric.labels),
            buckets=metric.buckets,
            registry=registry,
        )
    kind = prometheus.Counter if metric.kind == "counter" else prometheus.Gauge
    return kind(metric.name, metric.help, tuple(metric.labels), registry=registry)


async def sample_event_loop_lag(metrics: Metrics) -> None:
    """Measure for ever how late the event loop runs a timer; run it as a task and cancel it.

    Scrapes see from then on how many tasks the loop has.
    """
    loop = asyncio.get_running_loop()
    metrics.read_at_scrape(EVENT_LOOP_TASKS, lambda: len(asyncio.all_tasks(loop)))
    while True:
        due = time.perf_counter() + LAG_INTERVAL_S  # a loop's own clock may count in milliseconds
        await asyncio.sleep(LAG_INTERVAL_S)
        metrics.set(EVENT_LOOP_LAG, max(0.0, time.perf_counter() - due))
