"""Prometheus rules, generated from the metric catalog and the objectives.

A new area is a module with an `AREA`, a module in `alerts.scenarios`, and a line in `AREAS`.
"""

from typing import Any, Final

from alerts import (
    api,
    availability,
    budgets,
    delivery,
    dependencies,
    disputes,
    merchants,
    money,
    payments,
    resources,
    traffic,
)
from alerts.model import Alert, Area, Recording

AREAS: Final[tuple[Area, ...]] = (
    budgets.RECORDED,
    budgets.MONTH,
    payments.AREA,
    traffic.AREA,
    budgets.AREA,
    api.AREA,
    dependencies.AREA,
    delivery.AREA,
    merchants.AREA,
    money.AREA,
    disputes.AREA,
    resources.AREA,
    availability.AREA,
)
"""Recordings first: a reader meets what is recorded before what uses it."""


def all_alerts() -> tuple[Alert, ...]:
    """Return every alert, area by area."""
    return tuple(alert for area in AREAS for alert in area.alerts)


def all_recordings() -> tuple[Recording, ...]:
    """Return every recording rule, area by area."""
    return tuple(rule for area in AREAS for rule in area.recordings)


def groups() -> list[dict[str, Any]]:
    """Return the rule groups, as they go into a PrometheusRule's `spec.groups`."""
    return [area.document() for area in AREAS]
