"""What an alert is, and how it becomes a Prometheus rule."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from alerts.links import OVERVIEW_DASHBOARD, dashboard_url, runbook_url
from alerts.promql import Pattern, Source
from service.metric_catalog import LABEL_VALUES

SERVICE_LABEL: Final = "coinslot"

EVALUATION_INTERVAL: Final = "30s"
"""How often rules are evaluated: as often as the service is scraped; more would see nothing new."""

SERVICE: Final = Source({"job": Pattern(f"coinslot-({'|'.join(LABEL_VALUES['role'])})")})
"""What alerts look at: the service's own jobs, so that a namesake's `payments_total` wakes nobody.

Expressions keep `namespace`, so each stack that one Prometheus watches alerts for itself.
"""


class Severity(StrEnum):
    """What the alert asks of a person."""

    CRITICAL = "critical"
    """Wakes someone up."""
    WARNING = "warning"
    """Is looked at in working hours."""


class Show(StrEnum):
    """How `{value}` in a description is written; the values are Prometheus template functions."""

    PERCENTAGE = "humanizePercentage"
    DURATION = "humanizeDuration"
    NUMBER = "humanize"


@dataclass(frozen=True, slots=True)
class Hold:
    """How long a condition lasts before it alerts, and why that long."""

    duration: str
    why: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule.

    `description` may hold `{value}`, the value of the expression, and `{namespace}`, the stack.
    Neither stands in a label: a label that changes makes a new alert each time.
    """

    name: str
    expression: str
    hold: Hold
    severity: Severity
    summary: str
    description: str
    show: Show
    dashboard: str = OVERVIEW_DASHBOARD

    def labels(self, area: str) -> dict[str, str]:
        """Return the labels that the rule adds to those of the expression."""
        return {"severity": str(self.severity), "service": SERVICE_LABEL, "area": area}

    def annotations(self, value: str = "", namespace: str = "") -> dict[str, str]:
        """Return the annotations, as templates or, given a value, as Prometheus renders them."""
        value = value or f"{{{{ $value | {self.show} }}}}"
        templated = namespace or "{{ $labels.namespace }}"
        link = dashboard_url(self.dashboard)
        return {
            "summary": self.summary,
            "description": self.description.format(value=value, namespace=templated),
            "runbook_url": runbook_url(self.name),
            "dashboard_url": link.replace("{{ $labels.namespace }}", templated),
        }


@dataclass(frozen=True, slots=True)
class Area:
    """The alerts about one thing; a rule group in Prometheus."""

    name: str
    alerts: tuple[Alert, ...]

    def document(self) -> dict[str, Any]:
        """Return the area as one entry of a PrometheusRule's `spec.groups`."""
        return {
            "name": f"{SERVICE_LABEL}-{self.name}",
            "interval": EVALUATION_INTERVAL,
            "rules": [self._rule(alert) for alert in self.alerts],
        }

    def _rule(self, alert: Alert) -> dict[str, Any]:
        return {
            "alert": alert.name,
            "expr": alert.expression,
            "for": alert.hold.duration,
            "labels": alert.labels(self.name),
            "annotations": alert.annotations(),
        }
