"""Every PromQL of ours speaks of metrics that exist, with labels that they have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from alerts import all_alerts, all_recordings
from alerts.api import NO_REQUESTS
from alerts.known_series import known_series
from alerts.lint import expression_problems
from dashboards import documents
from dashboards.lint import expressions
from service.web.middleware import QUIET, UNMATCHED

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^ *```promql\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
KNOWN = known_series()


def collected() -> Iterator[tuple[str, str]]:
    """Yield (where it stands, expression)."""
    for alert in all_alerts():
        yield f"alert {alert.name}", alert.expression
    for rule in all_recordings():
        yield f"recording {rule.metric.name}", rule.expression
    for uid, text in documents().items():
        for title, expression in expressions(json.loads(text)):
            yield f"dashboard {uid}: {title}", expression
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for expression in FENCE.findall(page.read_text(encoding="utf-8")):
            yield f"page {page.name}", expression.strip()
    yield from autoscaled()
    yield from adapted()


def autoscaled() -> Iterator[tuple[str, str]]:
    """Yield the metrics that autoscalers follow: gauges that are asked for as they are."""
    for path in sorted((ROOT / "infra" / "rendered").rglob("*horizontalpodautoscaler*.yaml")):
        for metric in yaml.safe_load(path.read_text())["spec"]["metrics"]:
            if metric["type"] == "Pods":
                yield f"autoscaler {path.parts[-3]}", metric["pods"]["metric"]["name"]


def adapted() -> Iterator[tuple[str, str]]:
    """Yield what the adapter asks Prometheus, its templates filled in as it does."""
    for path in sorted((ROOT / "infra" / "rendered").rglob("*adapter-rules.yaml")):
        (text,) = yaml.safe_load(path.read_text())["data"].values()
        for rule in yaml.safe_load(text)["rules"]:
            yield f"adapter {path.parts[-3]}", rule["seriesQuery"]
            name = rule["seriesQuery"].partition("{")[0]
            for template, value in (
                ("<<.Series>>", name),
                ("<<.LabelMatchers>>", 'namespace="coinslot-prod"'),
                ("<<.GroupBy>>", "pod"),
            ):
                rule["metricsQuery"] = rule["metricsQuery"].replace(template, value)
            yield f"adapter {path.parts[-3]}", rule["metricsQuery"]


@pytest.mark.parametrize(
    ("where", "expression"), list(collected()), ids=lambda value: str(value)[:60]
)
def test_each_expression_speaks_of_what_is_exported(where: str, expression: str) -> None:
    # A dashboard's drop-down passes `.*` for "all", and a page's reader narrows down as needed.
    assert list(expression_problems(expression, KNOWN)) == [], where


def test_all_kinds_of_places_are_looked_at() -> None:
    kinds = {where.split()[0] for where, _ in collected()}
    assert kinds == {"alert", "recording", "dashboard", "page", "autoscaler", "adapter"}


def test_what_is_no_request_has_the_name_that_the_service_gives_it() -> None:
    assert [route for route in NO_REQUESTS if not QUIET.match(route)] == [UNMATCHED]
