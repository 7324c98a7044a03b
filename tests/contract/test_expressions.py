"""Every PromQL of ours speaks of metrics that exist, with labels that they have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import pytest

from alerts import all_alerts
from alerts.promql import TARGET_LABELS
from dashboards import documents
from dashboards.lint import expressions, walk
from service.metric_catalog import CATALOG, RUNTIME_METRICS

ROOT = Path(__file__).parents[2]
RATES = {"rate", "irate", "increase"}
FENCE = re.compile(r"^ *```promql\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


class Series(NamedTuple):
    """What Prometheus stores under one name."""

    counts: bool
    labels: frozenset[str]


def known_series() -> dict[str, Series]:
    known = {
        name: Series(
            counts=metric.kind != "gauge",
            labels=frozenset((*metric.labels, "le") if name.endswith("_bucket") else metric.labels),
        )
        for metric in CATALOG
        for name in metric.series()
    }
    for name, kind in RUNTIME_METRICS.items():
        known[name] = Series(kind == "counter", frozenset({"generation", "version"}))
    return known


KNOWN = known_series()


def collected() -> Iterator[tuple[str, str]]:
    """Yield (where it stands, expression)."""
    for alert in all_alerts():
        yield f"alert {alert.name}", alert.expression
    for uid, text in documents().items():
        for title, expression in expressions(json.loads(text)):
            yield f"dashboard {uid}: {title}", expression
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for expression in FENCE.findall(page.read_text(encoding="utf-8")):
            yield f"page {page.name}", expression.strip()


def problems(expression: str) -> list[str]:
    """Return what is wrong with an expression that parses."""
    found: list[str] = []
    for node, parents in walk(expression):
        if isinstance(node, promql_parser.VectorSelector):
            found += selector_problems(node, parents)
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            found += grouping_problems(node)
        elif isinstance(node, promql_parser.Call) and node.func.name == "histogram_quantile":
            found += quantile_problems(node)
    return found


def names_below(node: Any) -> list[str]:
    return [
        child.name or ""
        for child, _ in walk(node.prettify())
        if isinstance(child, promql_parser.VectorSelector)
    ]


def selector_problems(selector: Any, parents: tuple[Any, ...]) -> list[str]:
    series = KNOWN.get(selector.name)
    if series is None:
        return [f"{selector.name} is not in the catalog"]
    labels = [matcher.name for matcher in selector.matchers.matchers]
    found = [
        f"{selector.name} has no label {label}"
        for label in labels
        if label not in series.labels | set(TARGET_LABELS)
    ]
    calls = {node.func.name for node in parents if isinstance(node, promql_parser.Call)}
    if series.counts and not calls & RATES:
        found.append(f"{selector.name} counts, so it needs a rate")
    if not series.counts and calls & RATES:
        found.append(f"{selector.name} is a gauge, and rates are for counters")
    return found


def grouping_problems(aggregation: Any) -> list[str]:
    available = set(TARGET_LABELS).union(
        *(KNOWN[name].labels for name in names_below(aggregation.expr) if name in KNOWN)
    )
    missing = set(aggregation.modifier.labels) - available
    return [f"nothing below the aggregation has a label {label}" for label in sorted(missing)]


def quantile_problems(call: Any) -> list[str]:
    buckets = call.args[1]
    if not all(name.endswith("_bucket") for name in names_below(buckets)):
        return ["histogram_quantile needs buckets"]
    if isinstance(buckets, promql_parser.AggregateExpr):
        kept = buckets.modifier.labels if buckets.modifier is not None else []
        if "le" not in kept:
            return ["histogram_quantile needs the label le"]
    return []


@pytest.mark.parametrize(
    ("where", "expression"), list(collected()), ids=lambda value: str(value)[:60]
)
def test_each_expression_speaks_of_what_the_service_exports(where: str, expression: str) -> None:
    assert problems(expression) == [], where


def test_all_kinds_of_places_are_looked_at() -> None:
    assert {where.split()[0] for where, _ in collected()} == {"alert", "dashboard", "page"}


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(rate(payment_total[5m]))", "payment_total is not in the catalog"),
        ('sum(rate(payments_total{user="u1"}[5m]))', "payments_total has no label user"),
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
            "histogram_quantile(0.9, sum by (le) (rate(payment_duration_seconds_count[5m])))",
            "needs buckets",
        ),
    ],
)
def test_a_wrong_expression_is_noticed(expression: str, problem: str) -> None:
    assert any(problem in found for found in problems(expression)), problems(expression)
