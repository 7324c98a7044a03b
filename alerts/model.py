"""What an alert is, and how it becomes a Prometheus rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from alerts.links import OVERVIEW_DASHBOARD, dashboard_url, runbook_url
from alerts.promql import OneOf, Pattern, Source
from service.metric_catalog import BUILD_INFO, Metric

SERVICE_LABEL: Final = "coinslot"
ROLES: Final = BUILD_INFO.values("role")

EVALUATION_INTERVAL: Final = "30s"
"""Short enough for the shortest `for`, long enough for a window to hold several scrapes."""
EVALUATION_INTERVAL_S: Final = 30

JOBS: Final = Pattern(f"{SERVICE_LABEL}-({'|'.join(ROLES)})")
API_JOB: Final = f"{SERVICE_LABEL}-api"
WORKER_JOB: Final = f"{SERVICE_LABEL}-worker"
"""The workers export the database's gauges; those without labels are 0 in the API."""
SERVICE: Final = Source({"job": JOBS})
"""The service's own jobs, so that another service's `payments_total` fires no alert.

Expressions keep `namespace`, so each stack that one Prometheus watches alerts for itself.
"""

CONTAINERS: Final = Source(
    {"pod": Pattern(f"{SERVICE_LABEL}-({'|'.join(ROLES)})-.+"), "container": OneOf(ROLES)}
)
"""The same service, by the labels of the exporters that measure containers."""

RULES: Final = Source({})
"""Recorded series; they are made from our jobs only."""

STACK: Final = ("namespace",)
INSTANCE: Final = ("namespace", "pod", "instance")
"""One process; outside of Kubernetes there is no `pod`."""


class Severity(StrEnum):
    """What the alert asks of a person."""

    CRITICAL = "critical"
    """Wakes someone up."""
    WARNING = "warning"
    """Is looked at in working hours."""


class ValueFormat(StrEnum):
    """How `{value}` in a description is written; the values are Prometheus template functions."""

    PERCENTAGE = "humanizePercentage"
    DURATION = "humanizeDuration"
    NUMBER = "humanize"


@dataclass(frozen=True, slots=True)
class ForDuration:
    """How long a condition lasts before it alerts, and why that long."""

    duration: str
    why: str


AT_ONCE: Final = "0s"
COUNTED: Final = ForDuration(AT_ONCE, "the events have happened; waiting adds nothing to them")
IN_REVIEW_FOR: Final = ForDuration("15m", "operators who are already at work need no alert")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule.

    `by` are the labels that its series have. `description` may hold each of them in braces, and
    `{value}`, the value of the expression. Neither stands in a label that the rule adds: a label
    that changes makes a new alert each time. `why` is the reason for the threshold.
    """

    name: str
    expression: str
    for_duration: ForDuration
    severity: Severity
    summary: str
    description: str
    value_format: ValueFormat
    why: str
    by: tuple[str, ...] = STACK
    dashboard: str = OVERVIEW_DASHBOARD

    def labels(self, area: str) -> dict[str, str]:
        """Return the labels that the rule adds to those of the expression."""
        return {"severity": str(self.severity), "service": SERVICE_LABEL, "area": area}

    def annotations(
        self, value: str = "", labels: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the annotations, as templates or, given a value, as Prometheus renders them."""
        templates = {label: f"{{{{ $labels.{label} }}}}" for label in self.by}
        shown = templates if labels is None else {**dict.fromkeys(self.by, ""), **labels}
        value = value or f"{{{{ $value | {self.value_format} }}}}"
        return {
            "summary": self.summary,
            "description": self.description.format(value=value, **shown),
            "why": f"{self.why}; {self._held()}: {self.for_duration.why}",
            "runbook_url": runbook_url(self.name),
            "dashboard_url": dashboard_url(self.dashboard, shown.get("namespace", "")),
        }

    def _held(self) -> str:
        return (
            "at once"
            if self.for_duration.duration == AT_ONCE
            else f"held {self.for_duration.duration}"
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording rule: `metric` is what it makes, of the kind gauge."""

    metric: Metric
    expression: str


@dataclass(frozen=True, slots=True)
class Area:
    """The rules about one thing; a rule group in Prometheus."""

    name: str
    alerts: tuple[Alert, ...] = ()
    recordings: tuple[Recording, ...] = ()
    interval: str = EVALUATION_INTERVAL

    @property
    def group(self) -> str:
        """The name of the rule group."""
        return f"{SERVICE_LABEL}-{self.name}"

    @property
    def file(self) -> str:
        """The name of the file that Prometheus reads."""
        return f"{self.name}.yaml"

    def document(self) -> dict[str, Any]:
        """Return the area as one entry of a PrometheusRule's `spec.groups`."""
        recorded = [{"record": one.metric.name, "expr": one.expression} for one in self.recordings]
        return {
            "name": self.group,
            "interval": self.interval,
            "rules": [*recorded, *map(self._rule, self.alerts)],
        }

    def _rule(self, alert: Alert) -> dict[str, Any]:
        return {
            "alert": alert.name,
            "expr": alert.expression,
            "for": alert.for_duration.duration,
            "labels": alert.labels(self.name),
            "annotations": alert.annotations(),
        }
