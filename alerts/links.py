"""Where an alert sends its reader: runbooks and dashboards, named once."""

from typing import Final

RUNBOOK_FOLDER: Final = "docs/operate/runbooks"
RUNBOOK_BASE: Final = f"https://github.com/coinslot/coinslot/blob/main/{RUNBOOK_FOLDER}"
"""Change it here when the repo moves; every alert's `runbook_url` follows."""

OVERVIEW_DASHBOARD: Final = "coinslot-overview"
"""The uid of the dashboard that on-call people see first."""
PROVIDERS_DASHBOARD: Final = "coinslot-providers"
INTEGRATIONS_DASHBOARD: Final = "coinslot-integrations"
MONEY_DASHBOARD: Final = "coinslot-money"
RESOURCES_DASHBOARD: Final = "coinslot-resources"
OBJECTIVES_DASHBOARD: Final = "coinslot-objectives"
ERRORS_DASHBOARD: Final = "coinslot-errors"
AMOUNTS_DASHBOARD: Final = "coinslot-amounts"
ACTIVE_DASHBOARD: Final = "coinslot-active"
ROLLOUT_DASHBOARD: Final = "coinslot-rollout"


def runbook_url(alert_name: str) -> str:
    """Return the address of the runbook page of an alert."""
    return f"{RUNBOOK_BASE}/{alert_name}.md"


def dashboard_url(uid: str, namespace: str) -> str:
    """Return the dashboard's path in any Grafana, opened at a namespace if there is one."""
    return f"/d/{uid}?var-namespace={namespace}" if namespace else f"/d/{uid}"
