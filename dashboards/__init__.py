"""Grafana dashboards, generated from the metric catalog and the objectives.

A new dashboard is a module and a line in `ALL`.
"""

from typing import Final

from dashboards.overview import OVERVIEW
from dashboards.panels import Dashboard

ALL: Final[tuple[Dashboard, ...]] = (OVERVIEW,)


def documents() -> dict[str, str]:
    """Return every dashboard: uid to canonical JSON, as Grafana imports it."""
    return {dashboard.uid: dashboard.document() for dashboard in ALL}
