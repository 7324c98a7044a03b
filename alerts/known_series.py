"""Every series that an expression may speak of: ours, what is recorded, and what others export."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from alerts import all_recordings
from alerts.external_catalog import EXTERNAL
from alerts.promql import TARGET_LABELS
from service.metric_catalog import CATALOG, RUNTIME_METRICS, Metric

RUNTIME_LABELS: Final = ("generation", "version")


@dataclass(frozen=True, slots=True)
class Series:
    """What Prometheus stores under one name; `counts` means that it needs a rate."""

    counts: bool
    labels: frozenset[str]


Known = Mapping[str, Series]


def known_series(
    catalog: Iterable[Metric] = CATALOG, recorded: Iterable[Metric] | None = None
) -> dict[str, Series]:
    """Return name to series."""
    made = [rule.metric for rule in all_recordings()] if recorded is None else recorded
    target = frozenset(TARGET_LABELS)
    known = {
        name: Series(
            counts=metric.kind != "gauge",
            labels=target | set(metric.labels) | ({"le"} if name.endswith("_bucket") else set()),
        )
        for metric in (*catalog, *EXTERNAL)
        for name in metric.series()
    }
    known |= {metric.name: Series(counts=False, labels=frozenset({"namespace"})) for metric in made}
    known |= {
        name: Series(kind == "counter", target | set(RUNTIME_LABELS))
        for name, kind in RUNTIME_METRICS.items()
    }
    return known
