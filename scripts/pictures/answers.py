"""What Prometheus answers to the panels of a dashboard, over a span of time."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import aiohttp

from dashboards.panels import Event
from scripts.pictures.boards import ROW, Board, Panel, PictureError, Query
from scripts.pictures.variables import Span, Values, chosen, filled
from tests.support.prometheus import Prometheus, PrometheusError, Series

AT_ONCE: Final = 4  # queries; Prometheus itself takes 20, and the machine has other things to do
POINTS_A_COLUMN: Final = 60.0  # of the grid: a column is some 65 px wide, and Grafana asks by px
LABEL: Final = re.compile(r"\{\{ *(\w+) *\}\}")
TABLE: Final = "table"


@dataclass(frozen=True, slots=True)
class Line:
    """A series with the name that its legend gives it; `points` are (Unix time, value)."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """An event that began at a Unix time."""

    title: str
    color: str
    start: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A dashboard with all that there is to show: lines by the panel's number, and marks."""

    board: Board
    span: Span
    lines: Mapping[int, tuple[Line, ...]]
    marks: tuple[Mark, ...] = ()


async def ask(board: Board, running: Prometheus, span: Span) -> Shown:
    """Ask for everything; raise PictureError, which names the panel, if an answer is refused."""
    values = await chosen(board.variables, running, span)
    limit = asyncio.Semaphore(AT_ONCE)

    async def answered(panel: Panel) -> tuple[int, tuple[Line, ...]]:
        async with limit:
            try:
                return panel.number, await _lines(panel, running, span, values)
            except (PrometheusError, PictureError, aiohttp.ClientError, TimeoutError) as error:
                raise PictureError(f"{board.uid}, panel {panel.title!r}: {error}") from error

    asked = [answered(panel) for panel in board.panels if panel.kind != ROW]
    lines = dict(await asyncio.gather(*asked))
    marks = [mark for event in board.events for mark in await _marks(event, running, span, values)]
    return Shown(_titled(board, values), span, lines, tuple(marks))


def name(legend: str, labels: Mapping[str, str]) -> str:
    """Return a series' name: the legend with its labels' values, or all labels without one."""
    if not legend:
        return " ".join(labels.values()) or "value"
    return LABEL.sub(lambda found: labels.get(found[1], ""), legend).strip() or legend


def _titled(board: Board, values: Values) -> Board:
    panels = (replace(one, title=filled(one.title, values)) for one in board.panels)
    return replace(board, panels=tuple(panels))


async def _lines(panel: Panel, running: Prometheus, span: Span, values: Values) -> tuple[Line, ...]:
    step_s = span.step_s(panel.place.w * POINTS_A_COLUMN)
    known = {**values, **span.values(step_s)}
    found: list[Line] = []
    for query in panel.queries:
        expression = filled(query.expression, known)
        answer = (
            await running.query(expression)
            if panel.kind == TABLE
            else await running.query_range(expression, span.start, span.end, step_s)
        )
        found += [_line(query, one) for one in answer]
    return tuple(found)


def _line(query: Query, series: Series) -> Line:
    return Line(name(query.legend, series.labels), series.labels, series.points)


async def _marks(event: Event, running: Prometheus, span: Span, values: Values) -> list[Mark]:
    """Return when an event was: points that follow each other without a gap are one."""
    step_s = span.step_s(100)
    expression = filled(event.expression, {**values, **span.values(step_s)})
    marks = []
    for series in await running.query_range(expression, span.start, span.end, step_s):
        title = name(event.title, series.labels)
        marks += [Mark(title, event.color, start) for start in _starts(series, step_s)]
    return marks


def _starts(series: Series, step_s: float) -> list[float]:
    times = [at for at, _ in series.points]
    return [at for n, at in enumerate(times) if n == 0 or at - times[n - 1] > step_s * 1.5]
