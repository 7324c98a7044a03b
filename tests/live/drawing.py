"""The picture of a dashboard: panels at their places in Grafana's grid, drawn by matplotlib."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from matplotlib import dates, rc_context, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH: Final = 1600  # pixels; so are all lengths here
DPI: Final = 100
LINE: Final = 38  # a row of Grafana's grid
HEAD: Final = 60
TITLE: Final = 30
ROW: Final = 17
DAY_S: Final = 86_400
KILO: Final = 1000
LETTER: Final = 6.6  # the mean width of a letter
PALE: Final = "#6e7276"
DURATIONS: Final = ((86_400, "days"), (3_600, "hours"), (60, "mins"))
NAMES: Final = {"short": "", "ops": "ops/s", "bytes": "B"}
STYLE: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "text.parse_math": False,
    "axes.edgecolor": "#d8d9da",
    "grid.color": "#e4e7e7",
    "timezone": "UTC",
    "xtick.color": PALE,
    "ytick.color": PALE,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
CALCS: Final[Sequence[tuple[str, Callable[[list[float]], float]]]] = (
    ("Max", max),
    ("Last", lambda values: values[-1]),
)

Panel = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A series with the name that its legend gives it; `points` are (Unix time, value)."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    def known(self) -> list[float]:
        """Return the values that are numbers; one NaN if there are none."""
        return [value for _, value in self.points if math.isfinite(value)] or [math.nan]


@dataclass(frozen=True, slots=True)
class Shown:
    """A dashboard's document, the time that it shows, and the lines of its panels by their ids."""

    document: Mapping[str, Any]
    start: float
    end: float
    step_s: float
    lines: Mapping[int, Sequence[Line]]

    def times(self) -> Any:
        """Return the times of all points, as matplotlib counts: in days."""
        return np.arange(self.start, self.end, self.step_s) / DAY_S

    def values(self, line: Line) -> Any:
        """Return a line's values at these times: NaN where it has none, so that gaps are seen."""
        found = np.full(len(self.times()), math.nan)
        for at, value in line.points:
            if (n := round((at - self.start) / self.step_s)) < len(found):
                found[n] = value if math.isfinite(value) else math.nan
        return found


def text(value: float, unit: str) -> str:
    """Return a value as Grafana writes it in a unit."""
    if not math.isfinite(value):
        return "?"
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s" and abs(value) >= DURATIONS[-1][0]:
        size, name = next(one for one in DURATIONS if abs(value) >= one[0])
        return f"{value / size:.3g} {name}"
    name, short = NAMES.get(unit, unit.removeprefix("suffix:")), float(f"{value:.3g}")
    if abs(value) >= KILO or unit == "s":
        return ticker.EngFormatter(name)(short).strip()
    return f"{short:g} {name}".strip()


def draw(shown: Shown) -> Figure:
    """Return a dashboard's picture."""
    panels = shown.document["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    with rc_context(STYLE):
        size = (WIDTH / DPI, (HEAD + rows * LINE + 8) / DPI)
        figure = Figure(figsize=size, dpi=DPI, facecolor="#f4f5f5")
        head = _frame(figure, (8, 4, WIDTH - 16, HEAD - 8), visible=False)
        head.text(6, 14, shown.document["title"], size=13.5, weight="bold", va="center")
        head.text(6, 38, shown.document["description"], color=PALE, va="center")
        until = datetime.fromtimestamp(shown.end, UTC)
        when = f"{(shown.end - shown.start) / 60:.0f} min until {until:%Y-%m-%d %H:%M}"
        head.text(WIDTH - 22, 14, f"{when} UTC", color=PALE, va="center", ha="right")
        for panel in panels:
            _panel(figure, panel, shown)
        return figure


def _panel(figure: Figure, panel: Panel, shown: Shown) -> None:
    place, column, is_row = panel["gridPos"], (WIDTH - 16) / 24, panel["type"] == "row"
    corner = (12 + place["x"] * column, HEAD + place["y"] * LINE)
    box = (*corner, place["w"] * column - 8, place["h"] * LINE - 8)
    frame = _frame(figure, box, visible=not is_row)
    title = _fitted(f"▾ {panel['title']}" if is_row else panel["title"], box[2] / 1.25)
    frame.text(8, 15, title, va="center", weight="bold", size=8.8)
    if panel["type"] == "stat":
        _stat(frame, panel, shown)
    elif not is_row and not shown.lines[panel["id"]]:
        frame.text(box[2] / 2, box[3] / 2, "No data", ha="center", color=PALE, size=10)
    elif not is_row:
        {"timeseries": _timeseries, "table": _table, "heatmap": _heatmap}[panel["type"]](
            frame, panel, shown
        )


def _frame(figure: Figure, box: Sequence[float], *, visible: bool) -> Axes:
    """Return axes in pixels, whose 0, 0 is the upper left corner of the box."""
    left, top, width, height = box
    total = figure.get_figheight() * DPI
    share = (left / WIDTH, 1 - (top + height) / total, width / WIDTH, height / total)
    frame = figure.add_axes(share, xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    frame.set_frame_on(visible)
    return frame


def _inner(frame: Axes, shown: Shown, left: float, top: float, bottom: float) -> Axes:
    """Return axes over the time that is shown, within these margins of a frame."""
    width, height = _size(frame)
    share = (1 - left * 1.3 / width, 1 - (top + bottom) / height)
    axes = frame.inset_axes((left / width, bottom / height, *share))
    axes.set_xlim(shown.start / DAY_S, shown.end / DAY_S)
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=4, maxticks=9))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    axes.grid(linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _timeseries(frame: Axes, panel: Panel, shown: Shown) -> None:
    fields, lines = panel["fieldConfig"]["defaults"], shown.lines[panel["id"]]
    axes = _inner(frame, shown, 66, TITLE, 24 + _legend(frame, panel, lines))
    stacked = fields["custom"].get("stacking", {}).get("mode") == "normal"
    values = [shown.values(line) for line in lines]
    if stacked:
        values = list(np.cumsum(np.nan_to_num(values), axis=0))
    for n, each in enumerate(values):
        ink = f"C{n}"
        axes.plot(shown.times(), each, color=ink, linewidth=1.2, marker=".", markersize=2.5)
        if stacked:
            below = values[n - 1] if n else 0
            axes.fill_between(shown.times(), below, each, color=ink, alpha=0.35, linewidth=0)
    known = np.concatenate([[0.0], *(each[np.isfinite(each)] for each in values)]) * 1.08
    low = fields.get("min", known.min())
    high = max(known.max(), fields["custom"].get("axisSoftMax") or 0)
    axes.set_ylim(low, high if high > low else low + 1.0)
    unit = fields.get("unit", "short")
    whole = unit == "short" and high >= 1
    axes.yaxis.set_major_locator(
        ticker.MaxNLocator(5, steps=[1, 2, 3, 6, 10] if unit == "s" else None, integer=whole)
    )
    axes.yaxis.set_major_formatter(lambda value, _: text(value, unit))
    for step in fields["thresholds"]["steps"]:
        drawn = fields["custom"].get("thresholdsStyle", {}).get("mode", "off") != "off"
        if drawn and step["value"] is not None and step["value"] <= high:
            axes.axhline(step["value"], color=step["color"], linestyle="--", linewidth=1)


def _legend(frame: Axes, panel: Panel, lines: Sequence[Line]) -> float:
    """Write name, last and highest value at the bottom, the highest first; return the height."""
    width, height = _size(frame)
    ranked = sorted(enumerate(lines), key=lambda one: -max(one[1].known()))
    room = max(int(height * 0.4 / ROW) - 1, 1)
    kept = ranked[: room if len(ranked) <= room else room - 1]
    tall = (1 + min(len(ranked), room)) * ROW
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    tops = [height - tall + ROW * (n + 0.5) - 2 for n in range(room + 1)]
    for place, (title, reduce) in enumerate(CALCS):
        right = width - 14 - 84 * place
        frame.text(right, tops[0], title, ha="right", va="center", color=PALE)
        for top, (_, line) in zip(tops[1:], kept, strict=False):
            frame.text(right, top, text(reduce(line.known()), unit), ha="right", va="center")
    for top, (n, line) in zip(tops[1:], kept, strict=False):
        frame.plot([14, 26], [top, top], color=f"C{n}", linewidth=2.2)
        frame.text(32, top, _fitted(line.name, width - 218), va="center")
    if len(kept) < len(ranked):
        frame.text(32, tops[room], f"… {len(ranked) - len(kept)} more", va="center", color=PALE)
    return tall


def _stat(frame: Axes, panel: Panel, shown: Shown) -> None:
    fields, width, height = panel["fieldConfig"]["defaults"], *_size(frame)
    line = next(iter(shown.lines[panel["id"]]), Line("", {}, ()))
    value = line.known()[-1]
    steps = [s for s in fields["thresholds"]["steps"] if s["value"] is None or value >= s["value"]]
    ink, empty = steps[-1]["color"], fields.get("noValue", "No data")
    words = empty if math.isnan(value) else text(value, fields.get("unit", "short"))
    style: dict[str, Any] = {"ha": "center", "va": "center", "weight": "bold", "color": ink}
    frame.text(width / 2, height * 0.55, words, size=min(24.0, width / len(words)), **style)
    if len(line.points) > 1:
        past = _inner(frame, shown, 1, height * 0.7, 1)
        past.set_ylim(0, max(line.known()) * 1.1 or 1)
        past.set_axis_off()
        past.fill_between(shown.times(), 0, shown.values(line), color=ink, alpha=0.2)


def _table(frame: Axes, panel: Panel, shown: Shown) -> None:
    """Write a line a series: its labels that are not left out, and its value."""
    width, height = _size(frame)
    left_out = {
        name for one in panel["transformations"] for name in one["options"]["excludeByName"]
    }
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    tops = range(TITLE + 10, int(height), 22)
    for top, line in zip(tops, shown.lines[panel["id"]], strict=False):
        labels = " · ".join(word for name, word in line.labels.items() if name not in left_out)
        frame.text(10, top, _fitted(labels, width - 120), va="center")
        frame.text(width - 14, top, text(line.known()[-1], unit), ha="right", va="center")


def _heatmap(frame: Axes, panel: Panel, shown: Shown) -> None:
    buckets = sorted(shown.lines[panel["id"]], key=lambda line: float(line.labels["le"]))
    counts = np.nan_to_num([shown.values(line) for line in buckets])
    inside = np.diff(counts, axis=0, prepend=0)  # Prometheus counts all below a bucket's bound
    axes = _inner(frame, shown, 66, TITLE, 24)
    axes.grid(visible=False)
    seen = np.ma.masked_less_equal(inside, 1e-9)
    middles = np.arange(len(buckets)) + 0.5
    axes.pcolormesh(shown.times(), middles, seen, cmap="Oranges", vmin=0, shading="nearest")
    unit = panel["options"]["yAxis"]["unit"]
    every = math.ceil(len(buckets) / 8)
    bounds = [text(float(line.labels["le"]), unit) for line in buckets]
    axes.set_yticks(range(1, len(bounds) + 1, every), bounds[::every])


def _size(frame: Axes) -> tuple[float, float]:
    return frame.get_xlim()[1], frame.get_ylim()[0]


def _fitted(words: str, width: float) -> str:
    most = int(width / LETTER)
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"
