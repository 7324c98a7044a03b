"""PromQL as a tree. The only import of the parser."""

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any, Final

import promql_parser

FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""Each comparison, and its mirror: `a > b` is `b < a`."""
ZERO: Final = promql_parser.parse("0")
PLAIN: Final = re.compile(r"[A-Za-z0-9_/:-]*")
"""A value without anything that a regular expression would read."""


def parses(expression: str) -> bool:
    """Return whether Prometheus could read the expression."""
    try:
        promql_parser.parse(expression)
    except ValueError:
        return False
    return True


def walk(expression: str) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield each node of an expression with its parents, outermost first."""
    path: list[Any] = []
    nodes: list[tuple[Any, tuple[Any, ...]]] = []

    def enter(node: Any) -> None:
        nodes.append((node, tuple(path)))
        path.append(node)

    def leave(_: Any) -> None:
        path.pop()

    promql_parser.walk(promql_parser.parse(expression), enter, leave)
    yield from nodes


def limits(expression: str) -> tuple[str, list[tuple[str, float]]]:
    """Return an expression with 0 in place of what it compares with, and each with its sign.

    `0.05 < a` and `a > 0.05` both compare with `>` and 0.05.
    """
    found = {
        place: (sign, float(node.val))
        for place, (node, parents) in enumerate(walk(expression))
        if is_number(node) and (sign := _sign(node, parents))
    }
    places = count()

    def blank(_: Any) -> Any:
        return ZERO if next(places) in found else None

    blanked = promql_parser.transform(promql_parser.parse(expression), blank)
    return blanked.prettify(), list(found.values())


def _sign(node: Any, parents: tuple[Any, ...]) -> str:
    """Return the comparison that has a number as operand or factor; else None."""
    for parent in reversed(parents):
        sign = operator(parent)
        if sign in FLIPPED:
            return sign if parent.rhs.prettify() == node.prettify() else FLIPPED[sign]
        if sign != "*" and not isinstance(parent, promql_parser.ParenExpr):
            return ""
        node = parent
    return ""


def below(node: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield the nodes of a part of an expression, itself first."""
    return walk(node.prettify())


def duration(text: str) -> timedelta:
    """Return a Prometheus duration; raise ValueError."""
    if text == "0s":  # the parser takes it for a window, which can't be nothing
        return timedelta(0)
    found: timedelta = promql_parser.parse_duration(text)
    return found


def text(length: timedelta) -> str:
    """Return a duration as Prometheus writes it: `1h30m`."""
    return promql_parser.display_duration(length) if length else "0s"


def canonical(expression: str) -> str:
    """Return an expression as the parser writes it: equal ones have equal texts."""
    return str(promql_parser.parse(expression).prettify())


def is_selector(node: Any) -> bool:
    """Return whether the node picks series."""
    return isinstance(node, promql_parser.VectorSelector)


def is_window(node: Any) -> bool:
    """Return whether the node picks samples of a window."""
    return isinstance(node, promql_parser.MatrixSelector)


def is_number(node: Any) -> bool:
    """Return whether the node is a number."""
    return isinstance(node, promql_parser.NumberLiteral)


def grouping(node: Any) -> list[str] | None:
    """Return the labels that an aggregation keeps; None for a node that is none."""
    if not isinstance(node, promql_parser.AggregateExpr):
        return None
    if node.modifier is None:
        return []
    return list(node.modifier.labels)


def function(node: Any) -> str:
    """Return the name of the function that is called, or of the aggregation; else nothing."""
    if isinstance(node, promql_parser.Call):
        return str(node.func.name)
    if isinstance(node, promql_parser.AggregateExpr):
        return str(node.op)
    return ""


def operator(node: Any) -> str:
    """Return the operator of a binary expression, such as `>` or `and`; else nothing."""
    return str(node.op) if isinstance(node, promql_parser.BinaryExpr) else ""


def bare(node: Any) -> Any:
    """Return the node without the parentheses around it."""
    while isinstance(node, promql_parser.ParenExpr):
        node = node.expr
    return node
