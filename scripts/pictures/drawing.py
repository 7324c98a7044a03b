"""The picture of a dashboard."""

from collections.abc import Callable, Mapping
from typing import Final

import matplotlib.style
from matplotlib.figure import Figure

from scripts.pictures import clock, heatmaps, stats, tables, timelines
from scripts.pictures.answers import Shown
from scripts.pictures.boards import ROW, Panel, PictureError
from scripts.pictures.canvas import (
    GAP,
    HEAD,
    LARGE,
    MARGIN,
    PALE,
    ROW_ID,
    USUAL,
    WIDTH,
    Box,
    Sheet,
)

Draw = Callable[[Sheet, Panel, Shown, Box], None]

KINDS: Final[Mapping[str, Draw]] = {
    "timeseries": timelines.draw,
    "stat": stats.draw,
    "table": tables.draw,
    "heatmap": heatmaps.draw,
}
STYLE: Final = {"text.parse_math": False, "font.family": "DejaVu Sans", "text.usetex": False}
"""matplotlib's own style and the font that it brings, whatever the machine's settings are."""


def draw(shown: Shown) -> Figure:
    """Return a dashboard's picture, each panel once at its place; raise PictureError."""
    panels = shown.board.panels
    with matplotlib.style.context(["default", STYLE], after_reset=True):
        sheet = Sheet(max(one.place.y + one.place.h for one in panels))
        _head(sheet, shown)
        for panel in panels:
            if panel.kind == ROW:
                _row(sheet, panel)
            else:
                _panel(sheet, panel, shown)
        sheet.canvas.draw()
        return sheet.figure


def _head(sheet: Sheet, shown: Shown) -> None:
    span = shown.span
    left = MARGIN + GAP / 2
    sheet.text(left, HEAD * 0.32, shown.board.title, size=LARGE, weight="bold")
    sheet.text(left, HEAD * 0.75, shown.board.description, size=USUAL, color=PALE)
    when = f"{(span.end - span.start) / clock.MINUTE_S:.0f} minutes until {clock.moment(span.end)}"
    sheet.text(WIDTH - left, HEAD * 0.32, when, size=USUAL, color=PALE, ha="right")
    started = "; ".join(dict.fromkeys(mark.title for mark in shown.marks))
    if started:
        sheet.text(WIDTH - left, HEAD * 0.75, f"┊ {started}", color=PALE, ha="right")


def _row(sheet: Sheet, panel: Panel) -> None:
    box = sheet.box(panel.place)
    top = box.top + box.height / 2
    sheet.text(box.left, top, f"▾ {panel.title}", size=USUAL + 2, weight="bold", gid=ROW_ID)


def _panel(sheet: Sheet, panel: Panel, shown: Shown) -> None:
    if panel.kind not in KINDS:
        raise PictureError(f"{panel.title}: panels of the kind {panel.kind} can't be drawn")
    box = sheet.box(panel.place)
    sheet.frame(box, panel.title)
    KINDS[panel.kind](sheet, panel, shown, box)
