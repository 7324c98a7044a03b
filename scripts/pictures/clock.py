"""The axis of time: at whole minutes, in UTC, so that a picture is the same everywhere."""

from datetime import UTC, datetime
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MultipleLocator

from scripts.pictures.canvas import BORDER, GRID, PALE, SMALL, points
from scripts.pictures.variables import Span

STEPS_S: Final = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
LABEL_PX: Final = 75.0  # a label and some air
MINUTE_S: Final = 60


def draw(axes: Axes, span: Span, width: float) -> None:
    """Make the horizontal axis of some axes, `width` pixels wide, that of the span."""
    step = _step(span, width)
    axes.set_xlim(span.start, span.end)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _text(at, step)))


def dress(axes: Axes) -> None:
    """Give axes the look that all of them have."""
    axes.tick_params(length=0, labelsize=points(SMALL), labelcolor=PALE, pad=4)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(BORDER)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def moment(at: float) -> str:
    """Return a time in words."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _step(span: Span, width: float) -> float:
    wanted = (span.end - span.start) * LABEL_PX / width
    return float(next((step for step in STEPS_S if step >= wanted), STEPS_S[-1]))


def _text(at: float, step: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):{'%H:%M' if step >= MINUTE_S else '%H:%M:%S'}}"
