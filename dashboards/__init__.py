"""Grafana dashboards, generated from the metric catalog and the objectives.

A new dashboard is a module and a line in `ALL`.
"""

from typing import Final

from dashboards.active import ACTIVE
from dashboards.amounts import AMOUNTS
from dashboards.errors import ERROR_ANALYSIS
from dashboards.grafana import document
from dashboards.integrations import INTEGRATIONS
from dashboards.money import MONEY
from dashboards.objectives import OBJECTIVES
from dashboards.overview import OVERVIEW
from dashboards.panels import Dashboard
from dashboards.providers import PROVIDERS
from dashboards.resources import RESOURCES
from dashboards.rollout import ROLLOUT

ALL: Final[tuple[Dashboard, ...]] = (
    OVERVIEW,
    OBJECTIVES,
    PROVIDERS,
    INTEGRATIONS,
    MONEY,
    ERROR_ANALYSIS,
    ACTIVE,
    AMOUNTS,
    RESOURCES,
    ROLLOUT,
)


def documents() -> dict[str, str]:
    """Return every dashboard: uid to canonical JSON, as Grafana imports it."""
    return {dashboard.uid: document(dashboard) for dashboard in ALL}
