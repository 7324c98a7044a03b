"""The rules as Prometheus sees them: promtool decides which scenario fires."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from alerts import AREAS, all_alerts, all_recordings, groups
from alerts.generate import FOLDER, RULES, SUITES, TESTS, files, write
from alerts.model import Alert, Severity
from alerts.scenarios import Recorded, Scenario, Suite

Promtool = Callable[..., subprocess.CompletedProcess[str]]

CHANGES_ON_EACH_EVALUATION = "$value"


def scenarios_of(alert: Alert) -> list[Scenario]:
    every = [one for suite in SUITES for one in suite.scenarios]
    return [one for one in every if isinstance(one, Scenario) and one.alert == alert]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the generated files, to be read only: making them takes half a second."""
    folder = tmp_path_factory.mktemp("alerts")
    write(folder)
    return folder


def test_prometheus_accepts_the_rules(promtool: Promtool, made: Path) -> None:
    names = sorted(path.name for path in (made / RULES).iterdir())
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *names, cwd=made / RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert names == sorted(area.file for area in AREAS)
    found = [int(line.split()[1]) for line in done.stdout.splitlines() if "rules found" in line]
    assert sum(found) == len(all_alerts()) + len(all_recordings())


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.file)
def test_each_scenario_fires_or_stays_silent_as_it_says(
    promtool: Promtool, made: Path, suite: Suite
) -> None:
    done = promtool("test", "rules", suite.file, cwd=made / TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


CHANGES = [
    ("payments-errors", "> 0.05", "> 0.07"),  # fires too late
    ("payments-errors", "> 0.05", "> 0.03"),  # fires too early
    ("payments-errors", "> 0.15", ">= 0.15"),  # fires on its border
    ("payments-errors", "for: 5m", "for: 4m"),  # fires too soon
    ("payments-errors", "for: 2m", "for: 1m"),  # a lone failure wakes someone
    ("payments-errors", "failed|unknown|review", "failed|declined"),  # another idea of an error
    ("payments-errors", "sum by (namespace)", "sum by (job)"),  # stacks thrown together
    ("payments-errors", "coinslot-(api|worker)", ".+"),  # somebody else's payments
    ("api", "route!~", "route=~"),  # probes instead of requests
    ("dependencies", 'integration="library"', 'integration="game_catalog"'),  # the wrong one
    ("delivery-hours", 'outcome="parked"', 'outcome="error"'),  # what is tried again
    ("dependencies", 'job="coinslot-api"', 'job="coinslot-worker"'),  # who hardly calls
    ("money", "max by (namespace) (orphan", "min by (namespace) (orphan"),  # the API knows nothing
    ("money", 'job="coinslot-worker"', 'job=~"coinslot-.+"'),  # the API's 0 is no time
    ("money", ") > 0 < max", ") < max"),  # nor is it a seal
    ("resources", 'container=~"api|worker"', 'container!=""'),  # sidecars, too
    ("availability", 'worker!="reconciliation"', 'worker!=""'),  # a long run
]
"""Suite, what its rules say, and what they must not say instead."""


@pytest.mark.parametrize(("name", "old", "new"), CHANGES)
def test_scenarios_notice_a_changed_rule(
    promtool: Promtool, made: Path, tmp_path: Path, name: str, old: str, new: str
) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (suite,) = (suite for suite in SUITES if suite.file == f"{name}.yaml")
    rules = tmp_path / RULES / suite.area.file
    text = rules.read_text()
    assert old in text
    rules.write_text(text.replace(old, new))
    assert promtool("check", "rules", rules.name, cwd=rules.parent).returncode == 0
    command = ("test", "rules", "--run", concerned(text, old), suite.file)
    assert promtool(*command, cwd=tmp_path / TESTS).returncode == 1


def concerned(rules: str, old: str) -> str:
    """Return a pattern of the scenarios of the alerts that say `old`; a recorded rule has others.

    The rest of a suite takes seconds, and has nothing to notice.
    """
    every = [rule for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]]
    found = [rule for rule in every if any(old in f"{key}: {rule[key]}" for key in rule)]
    names = [rule["alert"] for rule in found if "alert" in rule]
    return f"^({'|'.join(names)}):" if len(names) == len(found) else ""


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.name)
def test_each_alert_has_both_kinds_of_scenario(alert: Alert) -> None:
    fires = [bool(scenario.fires) for scenario in scenarios_of(alert)]
    assert any(fires)
    assert not all(fires)


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.name)
def test_each_hold_is_tested_before_it_is_over(alert: Alert) -> None:
    names = [scenario.name for scenario in scenarios_of(alert) if not scenario.fires]
    assert (
        alert.for_duration.duration == "0s"
        or "just above the limit, not yet long enough" in names
        or ("not yet long enough" in names)
    )


def test_what_is_recorded_is_tested() -> None:
    every = [one for suite in SUITES for one in suite.scenarios]
    tested = {one.metric.name for one in every if isinstance(one, Recorded)}
    assert {name.rpartition(":")[0] for name in tested} == {
        rule.metric.name.rpartition(":")[0] for rule in all_recordings()
    }


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: alert.name)
def test_each_alert_says_what_its_reader_needs(alert: Alert) -> None:
    assert alert.severity in Severity
    assert alert.why
    assert alert.for_duration.why
    annotations = alert.annotations()
    assert annotations["runbook_url"].endswith(f"/{alert.name}.md")
    assert annotations["dashboard_url"].startswith(f"/d/{alert.dashboard}")
    assert CHANGES_ON_EACH_EVALUATION in annotations["description"]
    assert CHANGES_ON_EACH_EVALUATION not in annotations["summary"]


def test_every_suite_belongs_to_an_area_in_use() -> None:
    assert {suite.area.name for suite in SUITES} == {area.name for area in AREAS}
    assert len({suite.file for suite in SUITES}) == len(SUITES)


def test_the_groups_are_what_the_rule_files_hold() -> None:
    texts = files()
    held = [yaml.safe_load(texts[f"{RULES}/{area.file}"])["groups"] for area in AREAS]
    assert [group for some in held for group in some] == groups()


def test_the_committed_files_are_fresh(made: Path) -> None:
    fresh, committed = (
        {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.yaml")}
        for folder in (made, FOLDER)
    )
    assert sorted(committed) == sorted(fresh), "run `make render`"
    assert [name for name in fresh if committed[name] != fresh[name]] == [], "run `make render`"


def test_what_is_gone_is_removed(tmp_path: Path) -> None:
    write(tmp_path)
    stale = tmp_path / TESTS / "gone.yaml"
    shutil.copy(tmp_path / TESTS / SUITES[0].file, stale)
    write(tmp_path)
    assert not stale.exists()
