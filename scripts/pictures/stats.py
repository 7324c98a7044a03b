"""Panels of the kind `stat`: the last number, coloured by its limits, its past behind it."""

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes

from scripts.pictures import units
from scripts.pictures.answers import Line, Shown
from scripts.pictures.boards import Panel
from scripts.pictures.canvas import GAP, TITLE, Box, Sheet, bare, points, reached

BIGGEST: Final = 34  # px
SMALLEST: Final = 14
BOLD: Final = 1.15  # bold letters are wider by this
PAST_SHARE: Final = 0.35  # of the panel's height

Past = Sequence[tuple[float, float]]


def draw(sheet: Sheet, panel: Panel, shown: Shown, box: Box) -> None:
    """Draw the last value of the panel's only line, or the panel's own word for none."""
    past = _past(shown.lines[panel.number])
    value = past[-1][1] if past else math.nan
    words = units.text(value, panel.unit) if past else panel.nothing
    ink = reached(panel.steps, value) if past else reached(panel.steps[:1], 0.0)
    inside = box.inner(1, TITLE, 1, 1)
    if len(past) > 1:
        _spark(sheet, panel, shown, inside, past, ink)
    axes = sheet.axes(inside, panel.title)
    axes.patch.set_visible(False)
    bare(axes)
    size = points(_size(sheet, words, box.width - 2 * GAP))
    axes.text(0.5, 0.6, words, ha="center", va="center", color=ink, fontsize=size, weight="bold")


def _past(lines: Sequence[Line]) -> Past:
    """Return the points of the first line that are numbers; a stat of ours asks for one line."""
    return [(at, value) for at, value in lines[0].points if math.isfinite(value)] if lines else []


def _spark(sheet: Sheet, panel: Panel, shown: Shown, inside: Box, past: Past, ink: str) -> None:
    strip = inside.inner(0, inside.height * (1 - PAST_SHARE), 0, 0)
    axes: Axes = sheet.axes(strip, f"{panel.title} before")
    axes.set_axis_off()
    times, values = [at for at, _ in past], [value for _, value in past]
    axes.set_xlim(shown.span.start, shown.span.end)
    axes.set_ylim(min(0.0, *values), (max(values) * 1.1) or 1.0)
    axes.fill_between(times, values, color=ink, alpha=0.15, linewidth=0)
    axes.plot(times, values, color=ink, linewidth=1.0, alpha=0.6)


def _size(sheet: Sheet, words: str, width: float) -> int:
    """Return the largest font in which the words fit."""
    sizes = range(BIGGEST, SMALLEST, -2)
    return next((size for size in sizes if sheet.width_of(words, size * BOLD) <= width), SMALLEST)
