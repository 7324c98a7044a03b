"""Panels of the kind `table`: a row a series, a column a label, and the value."""

from collections.abc import Sequence
from typing import Final

from scripts.pictures import units
from scripts.pictures.answers import Line, Shown
from scripts.pictures.boards import NO_DATA, Panel
from scripts.pictures.canvas import GAP, PALE, SMALL, TITLE, USUAL, Box, Sheet, say

ROW: Final = 22
VALUE: Final = "Value"
BOLD: Final = 1.15  # bold letters are wider by this
CELL_ID: Final = "cell"


def draw(sheet: Sheet, panel: Panel, shown: Shown, box: Box) -> None:
    """Write the panel's lines as rows, as many as fit: Grafana scrolls the rest."""
    lines = shown.lines[panel.number]
    inside = box.inner(GAP, TITLE, GAP, GAP)
    if not lines:
        say(sheet.axes(inside, panel.title), NO_DATA)
        return
    sheet.axes(inside, panel.title).set_axis_off()
    labels = sorted({label for line in lines for label in line.labels} - panel.hidden)
    columns = [*labels, VALUE]
    room = int(inside.height // ROW) - 1
    kept = lines if len(lines) <= room else lines[: room - 1]
    cells = [columns, *(_cells(line, labels, panel.unit) for line in kept)]
    widths = _widths(sheet, cells, inside.width)
    for row, words in enumerate(cells):
        _write(sheet, inside, words, widths, inside.top + ROW * (row + 0.5), heading=row == 0)
    if len(kept) < len(lines):
        more = f"… {len(lines) - len(kept)} more; Grafana scrolls"
        top = inside.top + ROW * (len(cells) + 0.5)
        sheet.text(inside.left, top, more, color=PALE, size=SMALL)


def _cells(line: Line, labels: Sequence[str], unit: str) -> list[str]:
    return [*(line.labels.get(label, "") for label in labels), units.text(line.points[-1][1], unit)]


def _write(
    sheet: Sheet,
    inside: Box,
    words: Sequence[str],
    widths: Sequence[float],
    top: float,
    *,
    heading: bool,
) -> None:
    weight = "bold" if heading else "normal"
    left = inside.left
    for word, width in zip(words, widths, strict=True):
        sheet.text(left, top, sheet.fitted(word, width - GAP, USUAL), weight=weight, gid=CELL_ID)
        left += width


def _widths(sheet: Sheet, cells: Sequence[Sequence[str]], whole: float) -> list[float]:
    """Return the columns' widths: by what stands in them, and together the whole."""
    wanted = [
        max(sheet.width_of(word, USUAL) * BOLD + GAP * 2 for word in column)
        for column in zip(*cells, strict=True)
    ]
    return [width * whole / sum(wanted) for width in wanted]
