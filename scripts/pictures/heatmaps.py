"""Panels of the kind `heatmap`: a histogram over time, from the buckets of Prometheus."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import PowerNorm
from matplotlib.ticker import FixedLocator, FuncFormatter

from scripts.pictures import clock, units
from scripts.pictures.answers import Line, Shown
from scripts.pictures.boards import NO_DATA, Panel
from scripts.pictures.canvas import GAP, PALE, SMALL, TITLE, Box, Sheet, points, say
from scripts.pictures.timelines import AXIS_BOTTOM, AXIS_LEFT, AXIS_RIGHT, spaced, times_of

COLORS: Final = "Oranges"
EXPONENT: Final = 0.5  # small counts are seen beside large ones
SCALE: Final = 34  # what the scale of colours takes of the height
LABELS: Final = 8  # of buckets; more would touch each other
BUCKET: Final = "le"

Cells = list[list[float]]


def draw(sheet: Sheet, panel: Panel, shown: Shown, box: Box) -> None:
    """Draw how many there are in each bucket at each time, and a scale of colours below."""
    buckets = by_size(shown.lines[panel.number])
    times = times_of(shown, buckets)
    cells = counts(buckets, times)
    top = max((value for row in cells for value in row if math.isfinite(value)), default=0.0)
    if top <= panel.floor or len(times) < len(("before", "after")):
        say(sheet.axes(box.inner(GAP, TITLE, GAP, GAP), panel.title), NO_DATA)
        return
    plot = box.inner(AXIS_LEFT, TITLE + 4, AXIS_RIGHT, AXIS_BOTTOM + SCALE)
    axes = sheet.axes(plot, panel.title)
    clock.dress(axes)
    axes.grid(visible=False)
    mesh = _mesh(axes, times, cells, panel.floor, top)
    clock.draw(axes, shown.span, plot.width)
    _name_buckets(axes, [bound(line) for line in buckets], panel.unit)
    _scale(sheet, panel, mesh, box, top)


def bound(line: Line) -> float:
    """Return the upper bound of a bucket."""
    return float(line.labels[BUCKET].replace("Inf", "inf"))


def by_size(lines: Sequence[Line]) -> list[Line]:
    """Return the buckets from the smallest upwards."""
    return sorted(lines, key=bound)


def counts(buckets: Sequence[Line], times: Sequence[float]) -> Cells:
    """Return what is in each bucket itself: Prometheus counts all below its bound."""
    below = [spaced(line, times) for line in buckets]
    inside = [
        [max(high - low, 0.0) for low, high in zip(lower, upper, strict=True)]
        for lower, upper in pairwise(below)
    ]
    return [*below[:1], *inside]


def _mesh(axes: Axes, times: Sequence[float], cells: Cells, floor: float, top: float) -> QuadMesh:
    step = times[1] - times[0]
    edges = [*(at - step / 2 for at in times), times[-1] + step / 2]
    heights = list(range(len(cells) + 1))
    seen = [[value if value > floor else math.nan for value in row] for row in cells]
    norm = PowerNorm(EXPONENT, vmin=0.0, vmax=top)
    return axes.pcolormesh(edges, heights, seen, cmap=COLORS, norm=norm, linewidth=0)


def _name_buckets(axes: Axes, bounds: Sequence[float], unit: str) -> None:
    """Write the bounds at the upper edges of their buckets, as many as there is room for."""
    every = math.ceil(len(bounds) / LABELS)
    axes.yaxis.set_major_locator(FixedLocator(range(1, len(bounds) + 1, every)))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda at, _: units.text(bounds[int(at) - 1], unit))
    )


def _scale(sheet: Sheet, panel: Panel, mesh: QuadMesh, box: Box, top: float) -> None:
    line = box.top + box.height - GAP * 2
    left, width = box.left + AXIS_LEFT + GAP * 2, box.width * 0.3
    bar = sheet.axes(Box(left, line - 5, width, 10), f"{panel.title} scale")
    sheet.figure.colorbar(mesh, cax=bar, orientation="horizontal")
    bar.set_xticks([])
    style = {"size": SMALL, "color": PALE}
    sheet.text(left - GAP, line, "0", ha="right", **style)
    sheet.text(left + width + GAP, line, units.text(top, panel.cells), **style)
    for spine in bar.spines.values():
        spine.set_visible(False)
    bar.tick_params(labelsize=points(SMALL))
