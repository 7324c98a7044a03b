"""When alerts fire and when they don't, as data; promtool decides whether it is so.

Written next to the rules as `prometheus-rules.test.yaml`, for `promtool test rules`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from alerts.model import EVALUATION_INTERVAL, Alert, Area
from service.metric_catalog import Metric

NAMESPACE: Final = "coinslot-test"
API_JOB: Final = "coinslot-api"


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one series, one each 30 s, in promtool's notation, such as `0+5x20`."""

    metric: Metric
    labels: tuple[tuple[str, str], ...]
    samples: str
    namespace: str = NAMESPACE
    job: str = API_JOB

    def document(self) -> dict[str, str]:
        """Return the series as an entry of promtool's `input_series`."""
        labels = {"namespace": self.namespace, "job": self.job, **dict(self.labels)}
        inside = ", ".join(f'{name}="{value}"' for name, value in labels.items())
        return {"series": f"{self.metric.name}{{{inside}}}", "values": self.samples}


@dataclass(frozen=True, slots=True)
class Firing:
    """One expected alert: its stack and its value as the description shows it."""

    value: str
    namespace: str = NAMESPACE


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is scraped, and which alerts of one rule fire at a time after the start."""

    alert: Alert
    name: str
    series: tuple[Series, ...]
    at: str
    fires: tuple[Firing, ...] = ()

    def document(self, area: Area) -> dict[str, Any]:
        """Return the scenario as an entry of promtool's `tests`."""
        return {
            "name": f"{self.alert.name}: {self.name}",
            "interval": EVALUATION_INTERVAL,
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
        return {
            "exp_labels": {**self.alert.labels(area.name), "namespace": firing.namespace},
            "exp_annotations": self.alert.annotations(firing.value, firing.namespace),
        }


def test_document(
    rule_file: str, scenarios: Sequence[tuple[Area, Sequence[Scenario]]]
) -> dict[str, Any]:
    """Return a promtool unit-test file for the rules in `rule_file`, a path beside it."""
    return {
        "rule_files": [rule_file],
        "evaluation_interval": EVALUATION_INTERVAL,
        "tests": [one.document(area) for area, some in scenarios for one in some],
    }
