"""Rules in a scaled time: every window is divided, nothing else is changed."""

from typing import Any

import pytest

from alerts import groups, parsing
from tests.live.scale import (
    FACTOR,
    LONGEST_S,
    SHORTEST_S,
    interval_s,
    scaled,
    scaled_expression,
    scaled_groups,
    scaled_s,
    shown,
)
from tests.live.stack import EVALUATE_S, SCRAPE_S

LEAST_SCRAPES = 4
WEEK_S = 7 * 86_400


def rules(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for group in found for rule in group["rules"]]


def durations(expression: str) -> list[float]:
    """Return every window and offset of an expression, in seconds, in the tree's order."""
    found = []
    for node, _ in parsing.walk(expression):
        if parsing.is_window(node):
            found.append(node.range.total_seconds())
        if parsing.is_selector(node) and node.offset:
            found.append(node.offset.total_seconds())
    return found


@pytest.mark.parametrize(
    ("real", "seconds"), [("2m", 4), ("5m", 10), ("15m", 30), ("30m", 30), ("1w", 30), ("0s", 0)]
)
def test_a_duration_is_divided_and_a_long_one_cut(real: str, seconds: float) -> None:
    assert scaled_s(real) == seconds
    assert scaled(real) == f"{seconds * 1000}ms"


def test_every_window_and_offset_of_every_rule_is_scaled() -> None:
    pairs = list(zip(rules(groups()), rules(scaled_groups()), strict=True))
    offsets = [one for rule, _ in pairs for one in durations(rule["expr"]) if one == WEEK_S]
    assert offsets, "the volume of a week ago"
    for real, fast in pairs:
        wanted = [min(one / FACTOR, LONGEST_S) for one in durations(real["expr"])]
        assert durations(fast["expr"]) == wanted
        assert fast.get("for") == (scaled(real["for"]) if "for" in real else None)
        same = {key: real[key] for key in real.keys() - {"expr", "for"}}
        assert same == {key: fast[key] for key in fast.keys() - {"expr", "for"}}


def test_the_shortest_window_holds_enough_scrapes() -> None:
    windows = [one for rule in rules(scaled_groups()) for one in durations(rule["expr"])]
    assert min(windows) >= LEAST_SCRAPES * SCRAPE_S
    assert EVALUATE_S == SCRAPE_S == SHORTEST_S == interval_s("30s")


def test_thresholds_and_what_stands_in_quotes_stay() -> None:
    expression = 'sum(rate(a{status=~"[45].."}[5m] offset 1d)) > 0.05 and b > 900'
    wanted = 'sum(rate(a{status=~"[45].."}[10000ms] offset 30000ms)) > 0.05 and b > 900'
    assert scaled_expression(expression) == wanted


def test_events_are_counted_by_the_scaled_evaluation() -> None:
    assert scaled_expression("30 * sum_over_time(a[1h]) > 4") == "1 * sum_over_time(a[30000ms]) > 4"


def test_every_query_of_every_panel_can_be_asked() -> None:
    queries = list(shown())
    assert {query.expression for query in queries if not parsing.parses(query.expression)} == set()
    assert not any("$" in query.expression for query in queries)
