"""Every dashboard keeps the rules, and every rule notices when it is broken."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from dashboards import documents
from dashboards.lint import Document, panels, problems

DOCUMENTS = {uid: json.loads(text) for uid, text in documents().items()}


@pytest.mark.parametrize("uid", DOCUMENTS)
def test_each_dashboard_keeps_the_rules(uid: str) -> None:
    assert problems(DOCUMENTS[uid]) == []


def variable(document: Document, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(v for v in document["templating"]["list"] if v["name"] == name)
    return found


def target(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = panels(document)[0]["targets"][0]
    return found


def expression(text: str) -> Callable[[Document], None]:
    return lambda document: target(document).update(expr=text)


BREAKAGES: dict[str, Callable[[Document], object]] = {
    "editable": lambda d: d.update(editable=True),
    "schemaVersion is below 36": lambda d: d.update(schemaVersion=12),
    "has no uid": lambda d: d.pop("uid"),
    "must be one data source variable": lambda d: variable(d, "datasource").update(name="ds"),
    "`job` must be labelled Job": lambda d: variable(d, "job").update(allValue=".*"),
    "`namespace` is not refreshed": lambda d: variable(d, "namespace").update(refresh=1),
    "`namespace` does not use ${datasource}": lambda d: variable(d, "namespace").update(
        datasource={"uid": "prometheus-1"}
    ),
    "`namespace` has a query that is not PromQL": lambda d: variable(d, "namespace").update(
        query="label_values(up{, namespace)"
    ),
    "retired": lambda d: panels(d)[0].update(type="singlestat"),
    "needs a title and a description": lambda d: panels(d)[0].update(description=""),
    "has no unit": lambda d: panels(d)[0]["fieldConfig"]["defaults"].update(unit="furlong"),
    "shows nothing": lambda d: panels(d)[0].update(targets=[]),
    "does not use ${datasource} everywhere": lambda d: target(d).update(datasource={"uid": "p"}),
    "two panels have the same id": lambda d: panels(d)[0].update(id=panels(d)[1]["id"]),
    "overlap": lambda d: panels(d)[0].update(gridPos=panels(d)[1]["gridPos"]),
    "sticks out of the grid": lambda d: panels(d)[5]["gridPos"].update(w=12),
    "two queries have the same refId": lambda d: panels(d)[0]["targets"].append(target(d)),
    "its name `Deployments`": lambda d: d["annotations"].update(list=[]),
    "an annotation does not use": lambda d: d["annotations"]["list"][0].update(
        datasource={"uid": "p"}
    ),
    "Deployments: not PromQL": lambda d: d["annotations"]["list"][0].update(expr="count("),
    "no link to the dashboards": lambda d: d["links"][0].update(includeVars=False),
    "no link to the runbooks": lambda d: d["links"][1].update(url="/runbooks"),
    "links to what is no runbook": lambda d: panels(d)[0].update(links=[{"url": "/elsewhere"}]),
    "container_memory_working_set_bytes is not narrowed down by namespace": expression(
        'max(container_memory_working_set_bytes{pod=~"coinslot-.+"})'
    ),
    "Success ratio: not PromQL": expression("sum(rate(payments_total{)"),
    "a window must be $__rate_interval": expression(
        'sum(rate(payments_total{job=~"$job", namespace=~"$namespace"}[5m]))'
    ),
    'narrowed down by job=~"$job"': expression(
        'sum(rate(payments_total{namespace=~"$namespace"}[$__rate_interval]))'
    ),
    'narrowed down by namespace=~"$namespace"': expression(
        'sum(rate(payments_total{job=~"$job"}[$__rate_interval]))'
    ),
    "is a counter and needs a rate": expression(
        'sum(payments_total{job=~"$job", namespace=~"$namespace"})'
    ),
}


@pytest.mark.parametrize("problem", BREAKAGES)
def test_each_rule_notices_its_breakage(problem: str) -> None:
    document = copy.deepcopy(DOCUMENTS["coinslot-overview"])
    BREAKAGES[problem](document)
    assert any(problem in found for found in problems(document)), problems(document)
