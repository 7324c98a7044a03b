"""What an alert points at is there, and what is there is pointed at."""

import re
from pathlib import Path

import pytest

from alerts import all_alerts
from alerts.links import RUNBOOK_BASE, RUNBOOK_FOLDER, runbook_url
from alerts.model import Alert
from dashboards import documents

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / RUNBOOK_FOLDER
PARTS = ("Meaning", "Impact", "Diagnosis", "Mitigation", "Afterwards")
INDEX = "README"


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.name)
def test_the_runbook_is_there_and_complete(alert: Alert) -> None:
    path = RUNBOOKS / runbook_url(alert.name).removeprefix(f"{RUNBOOK_BASE}/")
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {alert.name}\n")
    assert f"**Severity: {alert.severity}.**" in text
    assert tuple(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == PARTS
    assert "```promql" in text


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.name)
def test_the_index_lists_the_runbook(alert: Alert) -> None:
    index = (RUNBOOKS / f"{INDEX}.md").read_text(encoding="utf-8")
    assert f"| [{alert.name}]({alert.name}.md) | {alert.severity} |" in index


def test_no_runbook_is_left_of_an_alert_that_is_gone() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {INDEX}
    assert pages == {alert.name for alert in all_alerts()}


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.name)
def test_the_dashboard_is_there(alert: Alert) -> None:
    assert alert.dashboard in documents()
