"""Prometheus alerts, generated from the metric catalog and the objectives.

A new area is a module with an `AREA`, a module in `alerts.scenarios`, and a line in `AREAS`.
"""

from typing import Any, Final

from alerts import payments
from alerts.model import Alert, Area

AREAS: Final[tuple[Area, ...]] = (payments.AREA,)


def all_alerts() -> tuple[Alert, ...]:
    """Return every alert, area by area."""
    return tuple(alert for area in AREAS for alert in area.alerts)


def groups() -> list[dict[str, Any]]:
    """Return the rule groups, as they go into a PrometheusRule's `spec.groups`."""
    return [area.document() for area in AREAS]
