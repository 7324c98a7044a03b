"""Each rule names its example, and says nothing about the way back where that is safe."""

from typing import Any

import pytest

from infra.review import RULES, Review, compare
from tests.infra.review import (
    examples_capacity,
    examples_monitoring,
    examples_objects,
    examples_pods,
)
from tests.infra.review.examples import ALERTS, ERRORS, Example
from tests.infra.review.small_stack import put, stack

EXAMPLES = [
    *examples_objects.EXAMPLES,
    *examples_capacity.EXAMPLES,
    *examples_pods.EXAMPLES,
    *examples_monitoring.EXAMPLES,
]


def named(review: Review, rule: str) -> list[str]:
    return [risk.text for risk in review.risks if risk.rule == rule]


@pytest.mark.parametrize("case", EXAMPLES, ids=lambda case: f"{case.rule}: {case.text[:40]}")
def test_a_rule_names_its_example(case: Example) -> None:
    whole, broken = stack(), stack(case.edit)

    found = named(compare("staging", whole, broken), case.rule)
    assert any(case.text in text for text in found), found
    if case.one_way:
        assert named(compare("staging", broken, whole), case.rule) == []


def test_every_rule_has_an_example() -> None:
    assert {rule.id for rule in RULES} == {case.rule for case in EXAMPLES}
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_no_change_is_no_risk() -> None:
    review = compare("staging", stack(), stack())
    assert (review.changes, review.risks) == ([], [])


def test_the_worst_comes_first() -> None:
    edits: list[Any] = [
        case.edit for case in EXAMPLES if case.rule in ("pods-restart", "hpa-removed")
    ]
    review = compare("staging", stack(), stack(*edits))
    assert [risk.severity for risk in review.risks] == ["high", "low"]


def test_a_number_in_a_name_a_range_or_a_string_is_no_threshold() -> None:
    expression = 'sum(rate(http2_total{code="500"}[5m])) > 0.5'
    other = expression.replace("http2", "http3")
    before = stack(put(ALERTS, f"{ERRORS}.expr", expression))
    after = stack(put(ALERTS, f"{ERRORS}.expr", other))
    review = compare("staging", before, after)
    assert [risk.rule for risk in review.risks] == ["alert-changed"]


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("a < 0.4 * b", "a < 0.2 * b", "alert-loosened"),
        ("a < 0.4 * b", "a < 0.5 * b", "alert-tightened"),
        ("0.1 < a", "0.2 < a", "alert-loosened"),
        ("a > 0.05", "(a) > 5e-2", "alert-changed"),
        ("a > 0.05", "a  >  5e-2", None),
        ("quantile(0.5, a) > 1", "quantile(0.9, a) > 1", "alert-changed"),
        ("a > 1 and b < 2", "a > 1 and b < 1", "alert-loosened"),
    ],
)
def test_alerts_are_compared_as_what_they_mean(before: str, after: str, rule: str | None) -> None:
    old, new = (stack(put(ALERTS, f"{ERRORS}.expr", text)) for text in (before, after))
    found = [risk.rule for risk in compare("staging", old, new).risks]
    assert found == ([rule] if rule else [])
