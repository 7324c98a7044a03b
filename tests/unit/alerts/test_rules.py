"""The rules as Prometheus sees them: promtool decides which scenario fires."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import AREAS, all_alerts, groups
from alerts.generate import FOLDER, RULES_FILE, SCENARIOS, TEST_FILE, files, write
from alerts.model import Alert, Severity
from alerts.scenarios import Scenario

Promtool = Callable[..., subprocess.CompletedProcess[str]]

CHANGES_ON_EACH_EVALUATION = "$value"


def scenarios_of(alert: Alert) -> list[Scenario]:
    return [one for _, some in SCENARIOS for one in some if one.alert == alert]


def test_prometheus_accepts_the_rules(promtool: Promtool, tmp_path: Path) -> None:
    write(tmp_path)
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES_FILE, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(all_alerts())} rules found" in done.stdout


def test_each_scenario_fires_or_stays_silent_as_it_says(promtool: Promtool, tmp_path: Path) -> None:
    write(tmp_path)
    done = promtool("test", "rules", TEST_FILE, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("> 0.05", "> 0.07"),  # fires too late
        ("> 0.05", "> 0.03"),  # fires too early
        ("> 0.15", ">= 0.15"),  # fires on its border
        ("for: 5m", "for: 4m"),  # fires too soon
        ("for: 2m", "for: 1m"),  # a lone failure wakes someone
        ("failed|unknown|review", "failed|declined"),  # another idea of an error
        ("sum by (namespace)", "sum by (job)"),  # stacks thrown together
        ("coinslot-(api|worker)", ".+"),  # somebody else's payments
    ],
)
def test_scenarios_notice_a_changed_rule(
    promtool: Promtool, tmp_path: Path, old: str, new: str
) -> None:
    write(tmp_path)
    rules = tmp_path / RULES_FILE
    text = rules.read_text()
    assert old in text
    rules.write_text(text.replace(old, new))
    assert promtool("check", "rules", RULES_FILE, cwd=tmp_path).returncode == 0
    assert promtool("test", "rules", TEST_FILE, cwd=tmp_path).returncode == 1


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.name)
def test_each_alert_has_both_kinds_of_scenario(alert: Alert) -> None:
    fires = [bool(scenario.fires) for scenario in scenarios_of(alert)]
    assert any(fires)
    assert not all(fires)


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.name)
def test_each_alert_says_what_its_reader_needs(alert: Alert) -> None:
    assert alert.severity in Severity
    assert alert.hold.why
    annotations = alert.annotations()
    assert annotations["runbook_url"].endswith(f"/{alert.name}.md")
    assert annotations["dashboard_url"].startswith(f"/d/{alert.dashboard}?")
    assert CHANGES_ON_EACH_EVALUATION in annotations["description"]
    assert CHANGES_ON_EACH_EVALUATION not in annotations["summary"]


def test_a_label_never_changes_while_the_alert_lasts() -> None:
    labels = [alert.labels(area.name) for area in AREAS for alert in area.alerts]
    assert not [value for some in labels for value in some.values() if "{{" in value]


def test_names_are_unique_and_every_scenario_belongs_to_an_area_in_use() -> None:
    names = [alert.name for alert in all_alerts()]
    assert len(names) == len(set(names))
    assert [area for area, _ in SCENARIOS] == list(AREAS)


def test_the_groups_are_what_the_rule_file_holds() -> None:
    document: dict[str, Any] = yaml.safe_load(files()[RULES_FILE])
    assert document == {"groups": groups()}


@pytest.mark.parametrize("name", [RULES_FILE, TEST_FILE])
def test_the_committed_file_is_fresh(name: str) -> None:
    assert (FOLDER / name).read_text() == files()[name], "run `make render`"
