"""Dashboards and answers that nobody has seen in Grafana."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dashboards.panels import Step
from scripts.pictures.answers import Line, Mark, Shown
from scripts.pictures.boards import Board, Panel, Place, Query
from scripts.pictures.drawing import draw
from scripts.pictures.variables import Span
from tests.support.prometheus import Prometheus, Series

SPAN = Span(1_800_000_000.0, 1_800_000_600.0, 15.0)
TIMES = [SPAN.start + 15 * n for n in range(41)]
LIMITS = (Step(None, "green"), Step(0.5, "orange"), Step(1.0, "red"))


def line(name: str, *values: float, labels: Mapping[str, str] | None = None) -> Line:
    """Return a line that goes through these values in turn; NaN is a scrape without one."""
    told = [(at, values[n % len(values)]) for n, at in enumerate(TIMES)]
    points = tuple((at, value) for at, value in told if not math.isnan(value))
    return Line(name, labels or {}, points)


def panel(kind: str, **others: Any) -> Panel:
    known: dict[str, Any] = {
        "number": 1,
        "title": "A panel",
        "place": Place(0, 0, 12, 8),
        "queries": (Query("up", "{{job}}"),),
        "calcs": ("lastNotNull", "max"),
    }
    return Panel(**(known | {"kind": kind} | others))


def board(*panels: Panel, **others: Any) -> Board:
    known: dict[str, Any] = {
        "uid": "made-up",
        "title": "Made up",
        "description": "What is it?",
        "variables": (),
        "events": (),
        "digest": "0" * 64,
    }
    return Board(**(known | {"panels": panels} | others))


def drawn(one: Panel, *lines: Line, marks: Sequence[Mark] = ()) -> Figure:
    """Return the picture of a dashboard of one panel."""
    return draw(Shown(board(one), SPAN, {one.number: lines}, tuple(marks)))


def axes_of(figure: Figure, label: str = "A panel") -> Axes:
    """Return the only axes of this label."""
    (found,) = (axes for axes in figure.axes if axes.get_label() == label)
    return found


def words(figure: Figure, gid: str | None = None) -> list[str]:
    """Return what is written outside of axes, or only what is marked as such."""
    return [text.get_text() for text in figure.texts if gid is None or text.get_gid() == gid]


class Canned(Prometheus):
    """Answers each expression with the series prepared for it, and keeps what it was asked."""

    def __init__(self, answers: Mapping[str, Sequence[Series]]) -> None:
        self.asked: list[str] = []
        self._answers = answers

    async def query(self, expression: str) -> list[Series]:
        self.asked.append(expression)
        return list(self._answers.get(expression, ()))

    async def query_range(
        self, expression: str, start: float, end: float, step_s: float
    ) -> list[Series]:
        self.asked.append(f"{expression} @{start:g}-{end:g}/{step_s:g}")
        return list(self._answers.get(expression, ()))
