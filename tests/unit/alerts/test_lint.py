"""Each check of rules, names and expressions: ours pass, and a broken example is noticed."""

from collections.abc import Mapping
from typing import Any

import pytest

from alerts import groups
from alerts.external_catalog import EXTERNAL
from alerts.known_series import known_series
from alerts.lint import expression_problems, group_problems, metric_problems
from service.metric_catalog import CATALOG, Metric

KNOWN = known_series()
PAYMENTS = 'payments_total{job="coinslot-api"}'
GOOD = f"sum by (namespace) (rate({PAYMENTS}[5m])) > 1"


def test_our_rules_pass() -> None:
    assert list(group_problems(groups(), KNOWN)) == []


@pytest.mark.parametrize("metric", [*CATALOG, *EXTERNAL], ids=lambda metric: metric.name)
def test_our_metrics_are_well_named(metric: Metric) -> None:
    assert list(metric_problems(metric.name, metric.kind)) == []


@pytest.mark.parametrize(
    ("name", "kind", "problem"),
    [
        ("payments", "counter", "counters end in _total"),
        ("payments_total", "gauge", "nothing else does"),
        ("lag_milliseconds", "gauge", "not in a base unit"),
        ("wait_ms_total", "counter", "not in a base unit"),
        ("namespace:lag", "gauge", "a colon is for recorded series"),
        ("outboxLag", "gauge", "not snake_case"),
    ],
)
def test_a_badly_named_metric_is_noticed(name: str, kind: str, problem: str) -> None:
    assert any(problem in found for found in metric_problems(name, kind))


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(rate(", "not PromQL"),
        ("sum(rate(payment_total[5m]))", "payment_total is not in the catalog"),
        ('sum(rate(payments_total{user="u1"}[5m]))', "payments_total has no label user"),
        ('sum(rate(payments_total{status="sucess"}[5m]))', "status=sucess never occurs"),
        ('sum(rate(payments_total{status=~"failed|sucess"}[5m]))', "status=sucess never occurs"),
        ("sum by (currency) (rate(payments_total[5m]))", "has a label currency"),
        ("rate(active_payments_gauge[5m])", "active_payments_gauge is a gauge"),
        ("max(payments_total)", "payments_total counts"),
        ("max(payment_duration_seconds_sum)", "payment_duration_seconds_sum counts"),
        ("max(payment_duration_seconds)", "payment_duration_seconds is not in the catalog"),
        (
            "histogram_quantile(0.9, sum(rate(payment_duration_seconds_bucket[5m])))",
            "needs the label le",
        ),
        (
            "histogram_quantile(0.9, (sum by (job) (rate(payment_duration_seconds_bucket[5m]))))",
            "needs the label le",
        ),
        (
            "histogram_quantile(0.9, sum by (le) (rate(payment_duration_seconds_count[5m])))",
            "needs buckets",
        ),
        ('up{job=~"coinslot-api"}', "needs no regular expression"),
        ('up{job!~"coinslot-api"}', "needs no regular expression"),
        ('up{job=~"^coinslot-.+"}', "drop ^"),
        ('up{job=~"coinslot-(api|worker)$"}', "drop $"),
        ('up{job=~".*"}', "matches everything"),
        ("limitk(3, up)", "picks other series"),
    ],
)
def test_a_wrong_expression_is_noticed(expression: str, problem: str) -> None:
    found = list(expression_problems(expression, KNOWN))
    assert any(problem in one for one in found), found


def rule(**changes: Any) -> dict[str, Any]:
    """Return a rule without a fault, and change it."""
    annotations = {
        "summary": "Payments",
        "description": "{{ $value }} of {{ $labels.namespace }}",
        "why": "because",
        "runbook_url": "https://example.com/Payments.md",
        "dashboard_url": "/d/x",
    }
    labels = {"severity": "warning", "service": "coinslot", "area": "payments"}
    good = {
        "alert": "Payments",
        "expr": GOOD,
        "for": "5m",
        "labels": labels,
        "annotations": annotations,
    }
    return {**good, **changes}


def group(*rules: Mapping[str, Any], interval: str = "30s") -> dict[str, Any]:
    return {"name": "coinslot-test", "interval": interval, "rules": list(rules)}


def test_the_good_example_is_good() -> None:
    assert list(group_problems([group(rule())], KNOWN)) == []


BAD_RULES = [
    (rule(expr=f"sum by (namespace) (rate({PAYMENTS}[5m]))"), "compares nothing"),
    (rule(expr=GOOD.replace("> 1", "> bool 1")), "fires always"),
    (rule(expr=GOOD.replace("> 1", "!= 1")), "!= is true of NaN"),
    (rule(expr=GOOD.replace("[5m]", "[1m]")), "a window of less than 4 scrapes"),
    (rule(expr=GOOD.replace("namespace", "job")), "throws the stacks together"),
    (rule(expr=GOOD.replace("> 1", f"/ sum by (namespace) (rate({PAYMENTS}[5m])) > 1")), "NaN"),
    (rule(expr=GOOD.replace("> 1", "/ 0 > 1")), "NaN"),
    (rule(**{"for": "30s"}), "shorter than 2 evaluations"),
    (rule(**{"for": "7h"}), "widen the window"),
    (rule(labels={"severity": "warning", "service": "coinslot"}), "has no label area"),
    (rule(labels={**rule()["labels"], "severity": "bad"}), "severity is none of"),
    (rule(labels={**rule()["labels"], "service": "shop"}), "service is not coinslot"),
    (rule(labels={**rule()["labels"], "area": "{{ $value }}"}), "a label with a template"),
    (rule(annotations={**rule()["annotations"], "summary": ""}), "has no annotation summary"),
    (rule(annotations={**rule()["annotations"], "runbook_url": "x"}), "runbook_url does not"),
    (
        rule(annotations={**rule()["annotations"], "description": "{{ $labels.pod }}"}),
        "shows a label pod",
    ),
    ({"record": "payment_errors", "expr": GOOD}, "is not named level:metric:operations"),
]


@pytest.mark.parametrize(("broken", "problem"), BAD_RULES, ids=[why for _, why in BAD_RULES])
def test_a_broken_rule_is_noticed(broken: dict[str, Any], problem: str) -> None:
    found = list(group_problems([group(broken)], KNOWN))
    assert any(problem in one for one in found), found


@pytest.mark.parametrize(
    ("groups_", "problem"),
    [
        ([group(rule(), interval="6m")], "less often than each five minutes"),
        ([group(rule(), rule())], "twice the same alert"),
        ([group(rule(), rule(alert="Other"))], "twice the same expr"),
        ([group(rule()), group()], "twice the same group"),
    ],
)
def test_a_broken_file_is_noticed(groups_: list[dict[str, Any]], problem: str) -> None:
    found = list(group_problems(groups_, KNOWN))
    assert any(problem in one for one in found), found
