"""What is deployed is scraped under the names, and often enough, for what alerts look at."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from alerts import all_alerts, groups
from alerts.model import EVALUATION_INTERVAL, SERVICE
from alerts.promql import Pattern
from dashboards import documents
from dashboards.lint import walk
from infra.policy.objects import selects

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
    job = SERVICE.scope["job"]
    assert isinstance(job, Pattern)
    assert sorted(jobs) == ["coinslot-api", "coinslot-worker"]
    assert all(re.fullmatch(job.regex, name) for name in jobs)


@pytest.mark.parametrize("stack", STACKS)
def test_every_window_holds_enough_scrapes(stack: str) -> None:
    (endpoint,) = only(stack, "ServiceMonitor")["spec"]["endpoints"]
    interval: timedelta = promql_parser.parse_duration(endpoint["interval"])
    windows = [
        node.range
        for alert in all_alerts()
        for node, _ in walk(alert.expression)
        if isinstance(node, promql_parser.MatrixSelector)
    ]
    assert windows
    assert min(windows) >= SCRAPES_A_WINDOW * interval
    assert promql_parser.parse_duration(EVALUATION_INTERVAL) >= interval


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_deployed_is_what_is_generated(stack: str) -> None:
    assert only(stack, "PrometheusRule")["spec"]["groups"] == groups()
    maps = [one["data"] for one in objects(stack, "ConfigMap")]
    for uid, text in documents().items():
        assert {f"{uid}.json": text} in maps
