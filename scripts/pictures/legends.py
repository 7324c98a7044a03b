"""The table below a panel of lines: colour, name, the last value and the highest."""

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.lines import Line2D

from scripts.pictures import units
from scripts.pictures.answers import Line
from scripts.pictures.boards import Panel
from scripts.pictures.canvas import GAP, PALE, PALETTE, SMALL, WIDTH, Box, Sheet

ROW: Final = 16
SHARE: Final = 0.40  # of the panel's height; what is more is scrolled in Grafana
VALUE: Final = 84
KEY: Final = 14
LEGEND_ID: Final = "legend"
HEADINGS: Final = {"lastNotNull": "Last", "max": "Max"}


def height(lines: Sequence[Line], box: Box) -> float:
    """Return what the legend of these lines takes of a panel's height."""
    return ROW * (1 + min(len(lines), _room(box)))


def draw(sheet: Sheet, panel: Panel, lines: Sequence[Line], box: Box, tall: float) -> None:
    """Write the table at the bottom of a box."""
    room = _room(box)
    inks = [(line, PALETTE[n % len(PALETTE)]) for n, line in enumerate(lines)]
    if panel.highest_first:
        inks.sort(key=lambda one: -_reduced(one[0], "max", nothing=-math.inf))
    kept = inks if len(inks) <= room else inks[: room - 1]
    top = box.top + box.height - tall - GAP / 2 + ROW / 2
    right = box.left + box.width - GAP * 1.5
    columns = [
        (calc, right - VALUE * (len(panel.calcs) - 1 - n)) for n, calc in enumerate(panel.calcs)
    ]
    for calc, at in columns:
        style = {"ha": "right", "color": PALE, "size": SMALL}
        sheet.text(at, top, HEADINGS[calc], **style)
    for line, ink in kept:
        top += ROW
        _key(sheet, box.left + GAP * 1.5, top, ink)
        space = box.width - VALUE * len(columns) - KEY - GAP * 3
        name = sheet.fitted(line.name, space, SMALL)
        sheet.text(box.left + GAP * 2 + KEY, top, name, size=SMALL, gid=LEGEND_ID)
        for calc, at in columns:
            words = units.text(_reduced(line, calc), panel.unit)
            sheet.text(at, top, words, ha="right", size=SMALL)
    if len(kept) < len(lines):
        more = f"… {len(lines) - len(kept)} more; Grafana scrolls"
        sheet.text(box.left + GAP * 2 + KEY, top + ROW, more, size=SMALL, color=PALE)


def _room(box: Box) -> int:
    """Return how many lines a legend may have, beside its heading."""
    return max(int(box.height * SHARE // ROW) - 1, 1)


def _key(sheet: Sheet, left: float, top: float, ink: str) -> None:
    at = 1 - top / sheet.height
    ends = [left / WIDTH, (left + KEY - 3) / WIDTH]
    sheet.figure.add_artist(Line2D(ends, [at, at], color=ink, linewidth=2.2))


def _reduced(line: Line, calc: str, nothing: float = math.nan) -> float:
    values = [value for _, value in line.points if not math.isnan(value)]
    if not values:
        return nothing
    return values[-1] if calc == "lastNotNull" else max(values)
