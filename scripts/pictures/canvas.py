"""The sheet that panels are drawn on: a grid as Grafana's, frames, titles, colours.

Everything is measured in pixels from the upper left corner, as in a browser.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from dashboards.panels import Threshold
from scripts.pictures.boards import Place

WIDTH: Final = 1600
DOTS_PER_INCH: Final = 100
POINTS_PER_INCH: Final = 72
COLUMNS: Final = 24
MARGIN: Final = 10
HEAD: Final = 56
LINE: Final = 38  # a row of Grafana's grid: 30 px, and 8 px to the next
GAP: Final = 8
TITLE: Final = 26  # what a panel's title takes of its height

SMALL: Final = 11  # font sizes, px
USUAL: Final = 12
LARGE: Final = 19
TITLE_ID: Final = "title"
ROW_ID: Final = "row"

PAPER: Final = "#f4f5f5"
PANEL: Final = "#ffffff"
BORDER: Final = "#d8d9da"
GRID: Final = "#e4e7e7"
INK: Final = "#24292e"
PALE: Final = "#6e7276"
COLORS: Final[Mapping[str, str]] = {
    "green": "#3d9a33",
    "orange": "#f2760b",
    "yellow": "#d9a400",
    "red": "#d62638",
    "blue": "#3274d9",
}
PALETTE: Final = (
    "#56a64b", "#e0a800", "#3c88e0", "#f2760b", "#d62638", "#1f5fbf", "#a352cc", "#6a7a80",
    "#19978a", "#8f5a2b", "#c4577f", "#7f8f1f",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the sheet."""

    left: float
    top: float
    width: float
    height: float

    def inner(self, left: float, top: float, right: float, bottom: float) -> "Box":
        """Return what is left without these margins."""
        width, height = self.width - left - right, self.height - top - bottom
        return Box(self.left + left, self.top + top, max(width, 1), max(height, 1))


class Sheet:
    """A figure of a fixed width, and what is common to all panels on it."""

    def __init__(self, lines: int) -> None:
        self.height = HEAD + lines * LINE + MARGIN
        size = (WIDTH / DOTS_PER_INCH, self.height / DOTS_PER_INCH)
        self.figure = Figure(figsize=size, dpi=DOTS_PER_INCH, facecolor=PAPER)
        self.canvas = FigureCanvasAgg(self.figure)

    def box(self, place: Place) -> Box:
        """Return where a panel stands."""
        column = (WIDTH - 2 * MARGIN) / COLUMNS
        left = MARGIN + place.x * column + GAP / 2
        top = HEAD + place.y * LINE
        return Box(left, top, place.w * column - GAP, place.h * LINE - GAP)

    def axes(self, box: Box, label: str) -> Axes:
        """Return empty axes in a box; `label` finds them again."""
        axes = self.figure.add_axes(self._fraction(box), label=label)
        axes.set_facecolor(PANEL)
        return axes

    def frame(self, box: Box, title: str) -> None:
        """Draw a panel's frame and its title."""
        left, bottom, width, height = self._fraction(box)
        style: dict[str, Any] = {"facecolor": PANEL, "edgecolor": BORDER, "linewidth": 0.8}
        self.figure.add_artist(Rectangle((left, bottom), width, height, zorder=-1, **style))
        shown = self.fitted(title, box.width - 2 * GAP, USUAL)
        self.text(box.left + GAP, box.top + TITLE / 2 + 2, shown, weight="bold", gid=TITLE_ID)

    def text(self, left: float, top: float, text: str, **style: Any) -> Text:
        """Write a text; its middle is at `top`."""
        size = points(style.pop("size", USUAL))
        known: dict[str, Any] = {"color": INK, "va": "center", "ha": "left", "fontsize": size}
        return self.figure.text(left / WIDTH, 1 - top / self.height, text, **(known | style))

    def fitted(self, text: str, width: float, size: float) -> str:
        """Return the text, shortened to a width."""
        if self.width_of(text, size) <= width:
            return text
        ends = range(len(text))
        end = bisect_left(ends, width, key=lambda n: self.width_of(f"{text[:n]}…", size))
        return f"{text[: max(end - 1, 0)].rstrip()}…"

    def width_of(self, text: str, size: float) -> float:
        """Return how wide a text is, in pixels."""
        font = FontProperties(size=points(size))
        renderer = self.canvas.get_renderer()
        return float(renderer.get_text_width_height_descent(text, font, ismath=False)[0])

    def _fraction(self, box: Box) -> tuple[float, float, float, float]:
        bottom = self.height - box.top - box.height
        return (
            box.left / WIDTH,
            bottom / self.height,
            box.width / WIDTH,
            box.height / self.height,
        )


def points(pixels: float) -> float:
    """Return a font's size as matplotlib wants it."""
    return pixels * POINTS_PER_INCH / DOTS_PER_INCH


def color(name: str) -> str:
    """Return a colour of Grafana's by its name."""
    return COLORS.get(name, name)


def reached(steps: Sequence[Threshold], value: float) -> str:
    """Return the colour of the highest threshold that a value has reached."""
    found = [step for step in steps if step.value is None or value >= step.value]
    return color(found[-1].color) if found else INK


def bare(axes: Axes) -> None:
    """Take away the axes' own frame and ticks."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def say(axes: Axes, text: str) -> None:
    """Write a text in the middle of empty axes: there is nothing to show."""
    bare(axes)
    axes.text(0.5, 0.5, text, ha="center", va="center", color=PALE, fontsize=points(USUAL + 2))
