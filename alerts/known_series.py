"""Every series that an expression may select: ours, recorded ones, and those of exporters."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from alerts import all_recordings
from alerts.external_catalog import EXTERNAL
from alerts.promql import TARGET_LABELS
from service.metric_catalog import CATALOG, RUNTIME_METRICS, Metric

RUNTIME_LABELS: Final = ("generation", "version")
ANY: Final[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """The series of one name; `counts` means that it needs a rate."""

    counts: bool
    labels: Mapping[str, tuple[str, ...]]
    """Label to its declared values; none declared means any."""


Known = Mapping[str, Series]


def known_series(
    catalog: Iterable[Metric] = CATALOG, recorded: Iterable[Metric] | None = None
) -> dict[str, Series]:
    """Return name to series."""
    made = [rule.metric for rule in all_recordings()] if recorded is None else recorded
    target = dict.fromkeys(TARGET_LABELS, ANY)
    known = {
        name: Series(
            counts=metric.kind != "gauge",
            labels=target
            | {label: metric.values(label) for label in metric.labels}
            | ({"le": ANY} if name.endswith("_bucket") else {}),
        )
        for metric in (*catalog, *EXTERNAL)
        for name in metric.series()
    }
    known |= {metric.name: Series(counts=False, labels={"namespace": ANY}) for metric in made}
    known |= {
        name: Series(kind == "counter", target | dict.fromkeys(RUNTIME_LABELS, ANY))
        for name, kind in RUNTIME_METRICS.items()
    }
    return known
