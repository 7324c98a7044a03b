"""What is deployed is scraped under the names, and often enough, for what alerts look at."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import all_alerts, groups, parsing
from alerts.lint import SCRAPE_INTERVAL
from alerts.model import CONTAINERS, EVALUATION_INTERVAL, JOBS
from alerts.promql import OneOf, Pattern
from dashboards import documents
from infra.policy.objects import selects
from service.settings import Settings
from service.slo import RECONCILIATION_OVERDUE_S

ROOT = Path(__file__).parents[2]
STACKS = ("local", "prod", "staging")
SCRAPES_A_WINDOW = 4
"""Fewer, and one scrape that fails leaves a rate with too little to stand on."""

Object = dict[str, Any]


def objects(stack: str, kind: str) -> list[Object]:
    folder = ROOT / "infra" / "rendered" / stack
    loaded = (yaml.safe_load(path.read_text()) for path in sorted(folder.rglob("*.yaml")))
    return [found for found in loaded if found["kind"] == kind]


def only(stack: str, kind: str) -> Object:
    (found,) = objects(stack, kind)
    return found


def selected(monitor: Object, service: Object) -> bool:
    return selects(monitor["spec"]["selector"], service["metadata"]["labels"])


@pytest.mark.parametrize("stack", STACKS)
def test_every_job_is_one_that_alerts_look_at(stack: str) -> None:
    monitor = only(stack, "ServiceMonitor")
    jobs = [one["metadata"]["name"] for one in objects(stack, "Service") if selected(monitor, one)]
    assert sorted(jobs) == ["coinslot-api", "coinslot-worker"]
    assert all(re.fullmatch(JOBS.regex, name) for name in jobs)


@pytest.mark.parametrize("stack", STACKS)
def test_every_container_is_one_that_alerts_look_at(stack: str) -> None:
    pods, names = CONTAINERS.scope["pod"], CONTAINERS.scope["container"]
    assert isinstance(pods, Pattern)
    assert isinstance(names, OneOf)
    found = [
        one
        for one in objects(stack, "Deployment")
        if re.fullmatch(JOBS.regex, one["metadata"]["name"])
    ]
    assert len(found) == 2
    for one in found:
        assert re.fullmatch(pods.regex, f"{one['metadata']['name']}-6d9f7c5b8-x2x9z")
        (container,) = one["spec"]["template"]["spec"]["containers"]
        assert container["name"] in names.values
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys()


@pytest.mark.parametrize("stack", STACKS)
def test_reconciliation_is_overdue_only_after_two_runs_were_missed(stack: str) -> None:
    configured = [one.get("data", {}) for one in objects(stack, "ConfigMap")]
    default = Settings.__struct_defaults__[
        Settings.__struct_fields__.index("reconciliation_interval_s")
        - len(Settings.__struct_fields__)
    ]
    intervals = [float(one.get("RECONCILIATION_INTERVAL_S", default)) for one in configured]
    assert all(RECONCILIATION_OVERDUE_S.value > 2 * interval for interval in intervals)


@pytest.mark.parametrize("stack", STACKS)
def test_every_window_holds_enough_scrapes(stack: str) -> None:
    (endpoint,) = only(stack, "ServiceMonitor")["spec"]["endpoints"]
    interval: timedelta = parsing.duration(endpoint["interval"])
    windows = [
        node.range
        for alert in all_alerts()
        for node, _ in parsing.walk(alert.expression)
        if parsing.is_window(node)
    ]
    assert windows
    assert min(windows) >= SCRAPES_A_WINDOW * interval
    assert parsing.duration(EVALUATION_INTERVAL) >= interval
    assert interval <= SCRAPE_INTERVAL


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_deployed_is_what_is_generated(stack: str) -> None:
    assert only(stack, "PrometheusRule")["spec"]["groups"] == groups()
    maps = [one["data"] for one in objects(stack, "ConfigMap")]
    for uid, text in documents().items():
        assert {f"{uid}.json": text} in maps
