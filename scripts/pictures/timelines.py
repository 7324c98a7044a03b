"""Panels of the kind `timeseries`: lines or areas over time, limits, and a legend below."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import Final

from matplotlib.axes import Axes

from scripts.pictures import clock, scales, units
from scripts.pictures.answers import Line, Mark, Shown
from scripts.pictures.boards import NO_DATA, Panel
from scripts.pictures.canvas import GAP, PALETTE, SMALL, TITLE, Box, Sheet, color, say
from scripts.pictures.legends import draw as draw_legend
from scripts.pictures.legends import height as legend_height

AXIS_LEFT: Final = 62
AXIS_RIGHT: Final = 24  # half a label of the time axis
AXIS_BOTTOM: Final = 20
HEADROOM: Final = 1.08
AREA_ALPHA: Final = 0.3
WASH_ALPHA: Final = 0.06
LIMIT_ID: Final = "limit"
MARK_ID: Final = "mark"


def draw(sheet: Sheet, panel: Panel, shown: Shown, box: Box) -> None:
    """Draw the panel's lines of `shown` into a box that has a frame and a title already."""
    lines = shown.lines[panel.number]
    if not lines:
        say(sheet.axes(box.inner(GAP, TITLE, GAP, GAP), panel.title), NO_DATA)
        return
    legend = legend_height(lines, box)
    low, high = reach(panel, lines, shown)
    ticks = {at: units.text(at, panel.unit) for at in scales.ticks(low, high, panel.unit)}
    left = GAP * 1.5 + max((sheet.width_of(text, SMALL) for text in ticks.values()), default=0)
    plot = box.inner(left, TITLE + 4, AXIS_RIGHT, AXIS_BOTTOM + legend + GAP)
    axes = sheet.axes(plot, panel.title)
    clock.dress(axes)
    (_stacked if panel.stacked else _lines)(axes, lines, times_of(shown, lines))
    axes.set_ylim(low, high)
    axes.set_yticks(list(ticks), list(ticks.values()))
    clock.draw(axes, shown.span, plot.width)
    _limits(axes, panel)
    _marks(axes, shown.marks)
    draw_legend(sheet, panel, lines, box, legend)


def reach(panel: Panel, lines: Sequence[Line], shown: Shown) -> tuple[float, float]:
    """Return the ends of the axis: the panel's minimum, and its soft maximum or what is above."""
    times = times_of(shown, lines)
    known = [list(map(_finite, spaced(line, times))) for line in lines]
    piled = map(sum, zip(*known, strict=True))
    values = list(piled if panel.stacked else chain.from_iterable(known))
    low = panel.minimum if panel.minimum is not None else min(0.0, *values) * HEADROOM
    high = max(max(values) * HEADROOM, panel.soft_maximum or 0.0)
    return low, high if high > low else low + 1.0


def spaced(line: Line, times: Sequence[float]) -> list[float]:
    """Return the line's values at these times: NaN where it has none, so that gaps are seen."""
    known = {round(at): value for at, value in line.points}
    return [known.get(round(at), math.nan) for at in times]


def times_of(shown: Shown, lines: Iterable[Line]) -> list[float]:
    """Return the times of a panel's points: every step, also where no line has a point."""
    known = sorted({round(at) for line in lines for at, _ in line.points})
    steps = [later - earlier for earlier, later in pairwise(known)]
    if not steps:
        return [float(at) for at in known]
    step = min(steps)
    count = int((shown.span.end - known[0]) // step) + 1
    return [float(known[0] + step * n) for n in range(count)]


def _lines(axes: Axes, lines: Sequence[Line], times: Sequence[float]) -> None:
    for number, line in enumerate(lines):
        values = spaced(line, times)
        ink = PALETTE[number % len(PALETTE)]
        axes.plot(times, values, color=ink, linewidth=1.3, label=line.name)
        if len(lines) == 1:  # the washes of several would mix
            axes.fill_between(times, values, color=ink, alpha=WASH_ALPHA, linewidth=0)
        _dots(axes, times, values, ink)


def _dots(axes: Axes, times: Sequence[float], values: Sequence[float], ink: str) -> None:
    """Show points that have no neighbour: a line of one point would not be seen."""
    padded = [math.nan, *values, math.nan]
    alone = [
        (at, here)
        for at, before, here, after in zip(times, padded, values, padded[2:], strict=False)
        if math.isnan(before) and math.isnan(after) and math.isfinite(here)
    ]
    if alone:
        axes.plot(*zip(*alone, strict=True), ".", color=ink, markersize=4)


def _stacked(axes: Axes, lines: Sequence[Line], times: Sequence[float]) -> None:
    """Pile the lines up; one that is missing for a while is nothing, and hides no other."""
    floor = [0.0] * len(times)
    for number, line in enumerate(lines):
        values = spaced(line, times)
        top = [low + _finite(high) for low, high in zip(floor, values, strict=True)]
        edge = [
            at if math.isfinite(value) else math.nan for at, value in zip(top, values, strict=True)
        ]
        ink = PALETTE[number % len(PALETTE)]
        axes.fill_between(times, floor, top, color=ink, alpha=AREA_ALPHA, linewidth=0)
        axes.plot(times, edge, color=ink, linewidth=1.2, label=line.name)
        floor = top


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _limits(axes: Axes, panel: Panel) -> None:
    """Draw thresholds as dashed lines; Grafana doesn't make room for those out of sight."""
    if not panel.limits_drawn:
        return
    for step in panel.steps:
        if step.value is not None:
            ink = color(step.color)
            axes.axhline(step.value, color=ink, linestyle="--", linewidth=1.1, gid=LIMIT_ID)


def _marks(axes: Axes, marks: Sequence[Mark]) -> None:
    for mark in marks:
        ink = color(mark.color)
        axes.axvline(mark.start, color=ink, linestyle=":", linewidth=1.0, gid=MARK_ID)
