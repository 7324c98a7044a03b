"""Charts, and the one self-contained HTML page that a report is.

A page needs no network: the plotting library is inside it. Charts follow the reader's light or dark
theme; a line's name has the same color in all charts of a page, and the colors differ for people
with any kind of color vision (after Okabe and Ito, darkened or lightened for each background).
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle
from pathlib import Path
from string import Template
from typing import Any, Final, Literal

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

TEMPLATE: Final = Path(__file__).with_name("page.html")
PASS, FAIL = "pass", "FAIL"
"""A table's cells with these texts are shown green and red."""

Dash = Literal["solid", "dot", "dash", "dashdot"]

PALETTE: Final[Mapping[str, str]] = {
    "#0072b2": "#4da3db",  # blue
    "#d55e00": "#ff8a3d",  # vermilion
    "#008a63": "#2bc596",  # green
    "#b5538c": "#e59ac5",  # purple
    "#8f6c00": "#f0e442",  # yellow
    "#3a93cc": "#9ad6ff",  # sky
    "#444444": "#d0d7de",  # gray
}
"""The color of a line on a light page, and the same one on a dark page."""

BACKGROUNDS: Final = {"light": "#ffffff", "dark": "#0d1117"}
_TEXTS: Final = {"light": "#1f2328", "dark": "#e6edf3"}
_BAND_FILLS: Final = ("rgba(128,128,128,0.16)", "rgba(128,128,128,0.04)")
_GRID: Final = "rgba(128,128,128,0.25)"
_LIMIT: Final = "rgba(214,64,69,0.9)"
_MARK: Final = "rgba(128,128,128,0.9)"
_ROOM: Final = 1.12  # of the highest value, so that no line runs along the frame
_LIMIT_SHOWN_BELOW: Final = 2.5  # of the highest value: a limit far above would flatten the lines


@dataclass(frozen=True, slots=True)
class Line:
    """Values over the x axis; None or NaN leaves a gap. Lines of one name share a color."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    dash: Dash = "solid"
    markers: bool = False
    step: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A part of the x axis, shaded, such as a phase of the run."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A value that the lines should stay on one side of: a dashed horizontal line."""

    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the x axis that a reader should see: a dotted vertical line."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines with one y axis. `unit` stands at the axis and after each value, such as `ms`."""

    title: str
    x_title: str
    y_title: str
    unit: str
    lines: Sequence[Line]
    bands: Sequence[Band] = ()
    limits: Sequence[Limit] = ()
    marks: Sequence[Mark] = ()
    note: str = ""

    @property
    def highest(self) -> float:
        """Return the largest value of all lines; 0 when there is none."""
        return max((value for line in self.lines for value in _numbers(line.ys)), default=0.0)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; a column of numbers, with a sign or without, stands to the right.

    With a text in `folded` the reader sees that text, and the table when he clicks on it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it: paragraphs of text, tables, charts."""

    title: str
    parts: Sequence[str | Table | Chart]


def page(title: str, sections: Sequence[Section], *, passed: bool, summary: str = "") -> str:
    """Return one HTML page that needs nothing but itself, the verdict at its top."""
    charts = [part for section in sections for part in section.parts if isinstance(part, Chart)]
    colors = assign_colors(charts)
    numbers = iter(range(len(charts)))
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        outcome="passed" if passed else "failed",
        summary=escape(summary),
        sections="\n".join(_section(section, colors, numbers) for section in sections),
        plotly=get_plotlyjs(),
        themes=_embedded({name: _theme(name) for name in BACKGROUNDS}),
    )


def assign_colors(charts: Iterable[Chart]) -> dict[str, str]:
    """Return a color for each name; names that share a chart differ while the palette lasts."""
    together: dict[str, set[str]] = {}
    for chart in charts:
        names = {line.name for line in chart.lines}
        for line in chart.lines:
            together.setdefault(line.name, set()).update(names - {line.name})
    colors: dict[str, str] = {}
    spare = cycle(PALETTE)
    for name, others in together.items():
        taken = {colors[other] for other in others if other in colors}
        free = (color for color in PALETTE if color not in taken)
        colors[name] = next(free, None) or next(spare)
    return colors


def _section(section: Section, colors: Mapping[str, str], numbers: Iterator[int]) -> str:
    parts = []
    for part in section.parts:
        if isinstance(part, Chart):
            parts.append(_figure(part, colors, f"chart-{next(numbers)}"))
        elif isinstance(part, Table):
            parts.append(_table(part))
        else:
            parts.append(f"<p>{escape(part)}</p>")
    return "\n".join((f"<section>\n<h2>{escape(section.title)}</h2>", *parts, "</section>"))


def _table(table: Table) -> str:
    numeric = [all(map(_is_numeric, column)) for column in zip(*table.rows, strict=True)]
    numeric = numeric or [False] * len(table.columns)
    head = _row("th", table.columns, numeric)
    rows = "\n".join(_row("td", row, numeric) for row in table.rows)
    drawn = f'<div class="tables"><table>\n{head}\n{rows}\n</table></div>'
    if not table.folded:
        return drawn
    return f"<details><summary>{escape(table.folded)}</summary>\n{drawn}</details>"


def _row(tag: str, cells: Sequence[str], numeric: Sequence[bool]) -> str:
    pairs = zip(cells, numeric, strict=True)
    return f"<tr>{''.join(_cell(tag, text, numeric=number) for text, number in pairs)}</tr>"


def _cell(tag: str, text: str, *, numeric: bool) -> str:
    kind = text.lower() if text in {PASS, FAIL} else "number" if numeric else ""
    attribute = f' class="{kind}"' if kind else ""
    return f"<{tag}{attribute}>{escape(text)}</{tag}>"


def _is_numeric(text: str) -> bool:
    return text[:1].isdigit() or text[:1] in {"+", "-", "±", ""}


def _figure(chart: Chart, colors: Mapping[str, str], id_: str) -> str:
    notes = (chart.note, *(f"{limit.label} lies above the chart." for limit in _above(chart)))
    return (
        f"<figure><figcaption>{escape(chart.title)}</figcaption>"
        + "".join(f'<p class="note">{escape(note)}</p>' for note in notes if note)
        + f'<div class="chart" id="{id_}" data-axis="{escape(chart.x_title)}" role="img" '
        f'aria-label="{escape(chart.title)}"></div></figure>\n'
        f'<script id="{id_}-figure" type="application/json">{_embedded(draw(chart, colors))}'
        "</script>"
    )


def draw(chart: Chart, colors: Mapping[str, str]) -> dict[str, Any]:
    """Return the chart as the plotting library's JSON: `data` and `layout`."""
    figure = go.Figure(
        [_trace(line, chart, colors[line.name]) for line in chart.lines], _layout(chart)
    )
    for number, band in enumerate(chart.bands):
        figure.add_vrect(
            x0=band.start, x1=band.end, fillcolor=_BAND_FILLS[number % 2], line_width=0,
            layer="below", annotation_text=escape(band.label), annotation_position="top",
        )  # fmt: skip
    for limit in chart.limits:
        if limit not in _above(chart):
            figure.add_hline(
                y=limit.value, line={"dash": "dash", "color": _LIMIT, "width": 1.5},
                annotation_text=escape(limit.label), annotation_position="bottom right",
                annotation_font_color=_LIMIT,
            )  # fmt: skip
    for mark in chart.marks:
        figure.add_vline(
            x=mark.x, line={"dash": "dot", "color": _MARK, "width": 2},
            annotation_text=escape(mark.label), annotation_position="bottom right",
        )  # fmt: skip
    return {
        name: value for name, value in figure.to_plotly_json().items() if name in {"data", "layout"}
    }


def _trace(line: Line, chart: Chart, color: str) -> go.Scatter:
    unit = f" {chart.unit}" if chart.unit else ""
    return go.Scatter(
        x=list(line.xs),
        y=[value if value is not None and math.isfinite(value) else None for value in line.ys],
        name=line.name,
        mode="lines+markers" if line.markers else "lines",
        line={
            "color": color, "dash": line.dash, "width": 2, "shape": "hv" if line.step else "linear"
        },
        hovertemplate="%{y:,.4~g}" + escape(unit),
    )  # fmt: skip


def _layout(chart: Chart) -> dict[str, Any]:
    shown = [limit.value for limit in chart.limits if limit not in _above(chart)]
    top = max([chart.highest, *shown]) * _ROOM
    named = f"{chart.y_title} ({chart.unit})" if chart.unit else chart.y_title
    x_axis: dict[str, Any] = {"title": {"text": chart.x_title, "standoff": 6}}
    if chart.bands:  # the same in all charts of a run, whenever a line begins and ends
        x_axis["range"] = [chart.bands[0].start, chart.bands[-1].end]
    return {
        "template": "none",
        "hovermode": "x unified",
        "showlegend": True,
        "legend": {"orientation": "h", "y": -0.2, "yanchor": "top"},
        "margin": {"l": 70, "r": 20, "t": 24, "b": 20},
        "xaxis": x_axis | {"zeroline": False, "hoverformat": ",.4~g"},
        "yaxis": {"title": {"text": named}, "range": [0, top or 1], "zeroline": False},
    }


def _above(chart: Chart) -> list[Limit]:
    highest = chart.highest * _LIMIT_SHOWN_BELOW
    return [limit for limit in chart.limits if limit.value > highest]


def _theme(name: str) -> dict[str, Any]:
    """Return what one theme draws with: the library's template, and the palette's colors in it."""
    background, text = BACKGROUNDS[name], _TEXTS[name]
    axis = {"gridcolor": _GRID, "linecolor": _GRID, "tickcolor": _GRID, "automargin": True}
    layout = {
        "font": {"color": text, "family": "system-ui, sans-serif", "size": 13},
        "paper_bgcolor": background,
        "plot_bgcolor": background,
        "hoverlabel": {"bgcolor": background, "bordercolor": _GRID, "font": {"color": text}},
        "xaxis": axis,
        "yaxis": axis,
    }
    return {
        "template": {"layout": layout},
        "colors": dict(PALETTE) if name == "dark" else {},
    }


def _numbers(values: Iterable[float | None]) -> Iterator[float]:
    return (value for value in values if value is not None and math.isfinite(value))


def _embedded(value: Any) -> str:
    """Return JSON that cannot end the script element which it stands in."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")
