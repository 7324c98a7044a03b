"""The house style of dashboards, and the only import of grafanalib.

grafanalib is from Grafana 6's days: it knows current panels, but writes out fields that have gone
since, and no data source objects. What it writes is tidied here, once.
"""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from grafanalib import core, formatunits
from grafanalib._gen import DashboardEncoder

SCHEMA_VERSION: Final = 39
"""Grafana 10.3's; later ones migrate it when they load it."""

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
GRID_COLUMNS: Final = 24
ROW_HEIGHT: Final = 1
PANEL_IDS: Final = 1_000_000
REFRESH_ON_TIME_CHANGE: Final = 2

Unit = Literal["percent", "seconds", "per_second", "count", "minor"]

UNITS: Final[dict[Unit, str]] = {
    "percent": formatunits.PERCENT_UNIT,
    "seconds": formatunits.SECONDS,
    "per_second": formatunits.OPS_PER_SEC,
    "count": formatunits.SHORT,
    "minor": formatunits.SHORT,
}

_LEFTOVERS: Final = """
__inputs gnetId hideControls rows sharedCrosshair style error height minSpan span maxPerRow
repeatDirection hideTimeOverride cacheTimeout metric step intervalFactor target
tagsQuery tagValuesQuery useTags auto auto_min auto_count maxDataPoints
"""
_UNWANTED: Final = frozenset(_LEFTOVERS.split())
"""What grafanalib writes and Grafana no longer reads, and a resolution of 100 points a panel."""


@dataclass(frozen=True, slots=True)
class Query:
    """One line, or one family of lines, of a panel; `legend` may hold `{{label}}`."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Step:
    """From `value` on, the panel shows `color`; the first step's value is None."""

    value: float | None
    color: str


GOOD: Final = Step(None, "green")


@dataclass(frozen=True, slots=True)
class Panel:
    """What every kind of panel has; `description` tells its reader what to do with it."""

    kind: Literal["stat", "timeseries", "heatmap"]
    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    steps: tuple[Step, ...] = (GOOD,)
    stacked: bool = False
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A titled part of a dashboard: lines of panels, each line over the whole width."""

    title: str
    lines: tuple[tuple[Panel, ...], ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A drop-down; `everything` is what All matches, and None means that one value is chosen."""

    name: str
    query: str
    everything: str | None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard; `uid` is its address in Grafana for good."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    tags: tuple[str, ...] = ("coinslot",)

    def document(self) -> str:
        """Return the dashboard as canonical JSON: sorted keys, the same for the same code."""
        raw = json.dumps(_dashboard(self).to_json_data(), cls=DashboardEncoder)
        return json.dumps(_tidy(json.loads(raw)), indent=2, sort_keys=True) + "\n"


def stat(
    title: str, description: str, query: str, unit: Unit, steps: Sequence[Step] = (GOOD,)
) -> Panel:
    """Return one big number with its recent past behind it."""
    return Panel("stat", title, description, unit, (Query(query, title),), tuple(steps))


def timeseries(
    title: str,
    description: str,
    queries: Iterable[Query],
    unit: Unit,
    *,
    steps: Sequence[Step] = (GOOD,),
    stacked: bool = False,
) -> Panel:
    """Return lines over time; thresholds are drawn as lines, ratios end at 100 %."""
    maximum = 1 if unit == "percent" else None
    return Panel(
        "timeseries", title, description, unit, tuple(queries), tuple(steps), stacked, maximum
    )


def heatmap(title: str, description: str, buckets: str, unit: Unit) -> Panel:
    """Return a histogram over time; `buckets` is an expression by `le`."""
    return Panel("heatmap", title, description, unit, (Query(buckets, "{{le}}"),))


def rising(warning: float, critical: float) -> tuple[Step, ...]:
    """Return steps of a value that is bad when it is high."""
    return (GOOD, Step(warning, "orange"), Step(critical, "red"))


def falling(warning: float, critical: float) -> tuple[Step, ...]:
    """Return steps of a value that is bad when it is low: good from `warning` on."""
    return (Step(None, "red"), Step(critical, "orange"), Step(warning, "green"))


def panel_id(title: str) -> int:
    """Return the id of the panel: from its title, so that links survive when others move."""
    return zlib.crc32(title.encode()) % PANEL_IDS


def _dashboard(board: Dashboard) -> Any:
    return core.Dashboard(
        title=board.title,
        uid=board.uid,
        description=board.description,
        editable=False,
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        panels=_placed(board.rows),
        refresh="30s",
        schemaVersion=SCHEMA_VERSION,
        tags=list(board.tags),
        templating=core.Templating(
            list=[_datasource_variable(), *map(_query_variable, board.variables)]
        ),
        time=core.Time("now-3h", "now"),
        version=1,
    )


def _datasource_variable() -> Any:
    return core.Template(
        name="datasource", label="Data source", type="datasource", query="prometheus"
    )


def _query_variable(variable: Variable) -> Any:
    several = variable.everything is not None
    return core.Template(
        name=variable.name,
        label=variable.name.title(),
        query=variable.query,
        dataSource=DATASOURCE,
        multi=several,
        includeAll=several,
        allValue=variable.everything,
        default="$__all" if several else None,
        refresh=REFRESH_ON_TIME_CHANGE,
    )


def _placed(rows: Iterable[Row]) -> list[Any]:
    """Lay the rows out from top to bottom, each line's panels side by side in equal widths."""
    placed: list[Any] = []
    top = 0
    for row in rows:
        grid = core.GridPos(h=ROW_HEIGHT, w=GRID_COLUMNS, x=0, y=top)
        placed.append(_row(row, grid))
        top += ROW_HEIGHT
        for line in row.lines:
            width = GRID_COLUMNS // len(line)
            height = max(_HEIGHTS[panel.kind] for panel in line)
            for column, panel in enumerate(line):
                grid = core.GridPos(h=height, w=width, x=column * width, y=top)
                placed.append(_BUILDERS[panel.kind](panel, grid))
            top += height
    return placed


def _row(row: Row, grid: Any) -> Any:
    return core.RowPanel(id=panel_id(row.title), title=row.title, gridPos=grid, editable=False)


def _common(panel: Panel, grid: Any) -> dict[str, Any]:
    return {
        "id": panel_id(panel.title),
        "title": panel.title,
        "description": panel.description,
        "dataSource": DATASOURCE,
        "editable": False,
        "gridPos": grid,
        "targets": [_target(panel, query, n) for n, query in enumerate(panel.queries)],
        "thresholds": [{"value": step.value, "color": step.color} for step in panel.steps],
    }


def _target(panel: Panel, query: Query, number: int) -> Any:
    return core.Target(
        expr=query.expression,
        legendFormat=query.legend,
        refId=chr(ord("A") + number),
        datasource=DATASOURCE,
        format="heatmap" if panel.kind == "heatmap" else core.TIME_SERIES_TARGET_FORMAT,
    )


def _stat(panel: Panel, grid: Any) -> Any:
    return core.Stat(
        **_common(panel, grid),
        format=UNITS[panel.unit],
        color={"mode": "thresholds"},
        noValue="no data",
        reduceCalc="lastNotNull",
        textMode="value",
    )


def _timeseries(panel: Panel, grid: Any) -> Any:
    return core.TimeSeries(
        **_common(panel, grid),
        unit=UNITS[panel.unit],
        valueMin=0,
        axisSoftMax=panel.maximum,
        fillOpacity=30 if panel.stacked else 5,
        stacking={"mode": "normal", "group": "A"} if panel.stacked else {"mode": "none"},
        showPoints="never",
        legendDisplayMode="table",
        legendCalcs=["lastNotNull", "max"],
        tooltipMode="multi",
        tooltipSort="desc",
        thresholdsStyleMode="dashed" if len(panel.steps) > 1 else "off",
    )


def _heatmap(panel: Panel, grid: Any) -> Any:
    options = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": UNITS["per_second"]},
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "unit": UNITS[panel.unit]},
    }
    return _CurrentHeatmap(
        **_common(panel, grid), extraJson={"type": "heatmap", "options": options}
    )


class _CurrentHeatmap(core.Panel):  # type: ignore[misc]  # grafanalib has no types
    """Grafana's present heatmap; grafanalib's own is the one that Grafana 8 had."""

    def to_json_data(self) -> Any:
        return self.panel_json({})


def _tidy(value: Any) -> Any:
    """Drop what Grafana doesn't read; a threshold's `value: null` means "from the bottom"."""
    if isinstance(value, dict):
        unwanted = _UNWANTED | {"query"} if "refId" in value else _UNWANTED  # a query has `expr`
        return {
            key: _tidy(item)
            for key, item in value.items()
            if key not in unwanted and (item is not None or key == "value")
        }
    return [_tidy(item) for item in value] if isinstance(value, list) else value


_BUILDERS: Final = {"stat": _stat, "timeseries": _timeseries, "heatmap": _heatmap}
_HEIGHTS: Final = {"stat": 4, "timeseries": 8, "heatmap": 8}
