"""Rules and panels whose windows are shorter by one factor, so that minutes show what hours do.

Windows, offsets, holds and intervals are divided by FACTOR; what would still be longer than
LONGEST_S is cut there. Thresholds stay as they are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from alerts import groups, parsing
from alerts.model import EVALUATION_INTERVAL, EVALUATION_INTERVAL_S
from dashboards import ALL
from dashboards.lint import RATE_INTERVAL

FACTOR: Final = 30
"""The largest that leaves the shortest window, 2m, four scrapes that are a second apart."""

SHORTEST_S: Final = 1.0
"""Of an interval: Prometheus and a small machine keep up with one scrape a second."""

LONGEST_S: Final = 30.0
"""What a quarter of an hour becomes; hours and days are not told apart, nor need they be: each
alert's own scenarios try its real windows (alerts/scenarios)."""

RATE_INTERVAL_S: Final = 10.0
"""What a dashboard's $__rate_interval is: that of a view of five minutes, scaled."""

_DURATION: Final = r"(?:\d+[smhdwy])+"
_WINDOW: Final = re.compile(rf"\[(?P<window>{_DURATION})\]|\boffset (?P<offset>{_DURATION})")
_EVENTS: Final = re.compile(rf"\b{EVALUATION_INTERVAL_S} \* (?=sum_over_time)")
"""Rates of each evaluation, added up to events: an evaluation apart, times an evaluation."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One query of a panel, or an event's, with the variables filled in."""

    dashboard: str
    panel: str
    expression: str


def scaled_s(duration: str) -> float:
    """Return the seconds that a Prometheus duration becomes; 0s stays 0."""
    real: timedelta = parsing.duration(duration)
    return min(real.total_seconds() / FACTOR, LONGEST_S)


def scaled(duration: str) -> str:
    """Return the Prometheus duration that another one becomes."""
    return f"{round(scaled_s(duration) * 1000)}ms"


def interval_s(duration: str) -> float:
    """Return the seconds between two scrapes or evaluations that an interval becomes."""
    return max(scaled_s(duration), SHORTEST_S)


def scaled_expression(expression: str) -> str:
    """Return an expression with all its windows and offsets scaled."""
    evaluation = f"{interval_s(EVALUATION_INTERVAL):g} * "
    return _EVENTS.sub(evaluation, _WINDOW.sub(_replaced, expression))


def scaled_groups() -> list[dict[str, Any]]:
    """Return all rule groups of the service, scaled."""
    return [
        {
            **group,
            "interval": f"{round(interval_s(group['interval']) * 1000)}ms",
            "rules": [_rule(rule) for rule in group["rules"]],
        }
        for group in groups()
    ]


def shown() -> Iterator[Shown]:
    """Yield every query of every dashboard, scaled, as Grafana would ask it for all stacks."""
    for board in ALL:
        for panel in (panel for row in board.rows for line in row.lines for panel in line):
            for query in panel.queries:
                yield Shown(board.uid, panel.title, _filled(query.expression))
        for event in board.annotations:
            yield Shown(board.uid, event.name, _filled(event.expression))


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    held = {"for": scaled(rule["for"])} if "for" in rule else {}
    return {**rule, "expr": scaled_expression(rule["expr"]), **held}


def _replaced(found: re.Match[str]) -> str:
    if found["window"]:
        return f"[{scaled(found['window'])}]"
    return f"offset {scaled(found['offset'])}"


def _filled(expression: str) -> str:
    rate_interval = f"{round(RATE_INTERVAL_S * 1000)}ms"
    expression = scaled_expression(expression.replace(f"[{RATE_INTERVAL}]", "[$]"))
    for variable, value in (("namespace", ".*"), ("job", ".+"), ("currency", "EUR")):
        expression = expression.replace(f'"${variable}"', f'"{value}"')
    return expression.replace("[$]", f"[{rate_interval}]")
