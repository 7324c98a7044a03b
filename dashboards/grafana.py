"""Panels as Grafana's JSON, and the only import of grafanalib.

grafanalib is from Grafana 6's days: it knows current panels, but writes out fields that have gone
since, and no data source objects. What it writes is tidied here, once.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from grafanalib import core, formatunits
from grafanalib._gen import DashboardEncoder

from alerts.links import RUNBOOK_BASE, runbook_url
from dashboards.panels import Annotation, Dashboard, Panel, Query, Row, Unit, Variable, panel_id

SCHEMA_VERSION: Final = 39
"""Grafana 10.3's; later ones migrate it when they load it."""

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
GRID_COLUMNS: Final = 24
ROW_HEIGHT: Final = 1
REFRESH_ON_TIME_CHANGE: Final = 2

UNITS: Final[dict[Unit, str]] = {
    "percent": formatunits.PERCENT_UNIT,
    "seconds": formatunits.SECONDS,
    "per_second": formatunits.OPS_PER_SEC,
    "count": formatunits.SHORT,
    "minor": formatunits.SHORT,
    "bytes": formatunits.BYTES_IEC,
    "cores": formatunits.SHORT,
    "times": "suffix:x",
}

_LEFTOVERS: Final = """
__inputs gnetId hideControls rows sharedCrosshair style error height minSpan span maxPerRow
repeatDirection hideTimeOverride cacheTimeout metric step intervalFactor target
tagsQuery tagValuesQuery useTags auto auto_min auto_count maxDataPoints time_options
columns fontSize mappings
"""
_UNWANTED: Final = frozenset(_LEFTOVERS.split())
"""What grafanalib writes and Grafana no longer reads, and a resolution of 100 points a panel."""


def document(board: Dashboard) -> str:
    """Return a dashboard as canonical JSON: sorted keys, the same for the same code."""
    raw = json.dumps(_dashboard(board).to_json_data(), cls=DashboardEncoder)
    return json.dumps(_tidy(json.loads(raw)), indent=2, sort_keys=True) + "\n"


def _dashboard(board: Dashboard) -> Any:
    return core.Dashboard(
        annotations=core.Annotations(list=[_annotation(each) for each in board.annotations]),
        links=_links(board),
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


def _annotation(annotation: Annotation) -> dict[str, Any]:
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": annotation.expression,
        "hide": False,
        "iconColor": annotation.color,
        "name": annotation.name,
        "titleFormat": annotation.title,
    }


def _links(board: Dashboard) -> list[Any]:
    """Lead to the other dashboards, at the same time and of the same stack, and to the runbooks."""
    return [
        core.DashboardLink(
            title="Dashboards", tags=list(board.tags), asDropdown=True, includeVars=True
        ),
        core.DashboardLink(
            title="Runbooks",
            type="link",
            icon="doc",
            uri=f"{RUNBOOK_BASE}/README.md",
            targetBlank=True,
            keepTime=False,
            tooltip="What each alert means, and what to do",
        ),
    ]


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
        "thresholds": [{"value": step.value, "color": step.color} for step in panel.thresholds],
        "links": [
            {"title": f"Runbook: {name}", "url": runbook_url(name), "targetBlank": True}
            for name in panel.runbooks
        ],
    }


def _target(panel: Panel, query: Query, number: int) -> Any:
    return core.Target(
        expr=query.expression,
        legendFormat=query.legend,
        refId=chr(ord("A") + number),
        datasource=DATASOURCE,
        format=_FORMATS.get(panel.kind, core.TIME_SERIES_TARGET_FORMAT),
        instant=panel.kind == "table",
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
        valueMin=panel.minimum,
        axisSoftMax=panel.maximum,
        fillOpacity=30 if panel.stacked else 5,
        stacking={"mode": "normal", "group": "A"} if panel.stacked else {"mode": "none"},
        showPoints="never",
        legendDisplayMode="table",
        legendCalcs=["lastNotNull", "max"],
        tooltipMode="multi",
        tooltipSort="desc",
        thresholdsStyleMode="dashed" if len(panel.thresholds) > 1 else "off",
        extraJson={"options": {"legend": {"sortBy": "Max", "sortDesc": True}}},
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


def _table(panel: Panel, grid: Any) -> Any:
    plain = {"id": "organize", "options": {"excludeByName": {"Time": True}}}
    return core.Table(
        **_common(panel, grid), unit=UNITS[panel.unit], filterable=True, transformations=[plain]
    )


class _CurrentHeatmap(core.Panel):  # type: ignore[misc]  # grafanalib has no types
    """Grafana's present heatmap; grafanalib's own is the one that Grafana 8 had."""

    def to_json_data(self) -> Any:
        return self.panel_json({})


def _tidy(value: Any) -> Any:
    """Drop what Grafana doesn't read; a threshold's `value: null` means "from the bottom"."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    unwanted = _UNWANTED | _unwanted_in(value)
    return {
        key: _tidy(item)
        for key, item in value.items()
        if key not in unwanted and (item is not None or key == "value")
    }


def _unwanted_in(value: dict[str, Any]) -> frozenset[str]:
    """Return fields that are none of this kind of object's, and are of another's."""
    if "refId" in value:
        return frozenset({"query"})  # it has `expr`
    if "filterable" in value:
        return frozenset({"displayMode"})  # of a table's cells; a legend has one too
    if value.get("type") == "row":
        return frozenset(value) - _ROW_FIELDS
    if "gridPos" in value:
        return frozenset({"editable"} if value["type"] != "table" else {"editable", "color"})
    if "tags" in value and "value" in value:  # what a variable is set to at first
        return frozenset({"tags"} if value["value"] is not None else {"tags", "value"})
    return frozenset()


_ROW_FIELDS: Final = frozenset({"collapsed", "gridPos", "id", "panels", "title", "type"})
_FORMATS: Final = {"heatmap": "heatmap", "table": core.TABLE_TARGET_FORMAT}
_BUILDERS: Final = {
    "stat": _stat,
    "timeseries": _timeseries,
    "heatmap": _heatmap,
    "table": _table,
}
_HEIGHTS: Final = {"stat": 4, "timeseries": 8, "heatmap": 8, "table": 8}
