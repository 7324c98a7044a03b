"""What a dashboard's document says, as far as it can be seen in a picture."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dashboards.panels import Annotation, Threshold, Variable

FOLDER: Final = Path(__file__).parents[2] / "dashboards" / "generated"
ROW: Final = "row"
NO_DATA: Final = "No data"

Document = Mapping[str, Any]


class PictureError(Exception):
    """A picture can't be drawn; the message says of what, and why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel stands, in units of Grafana's grid: 24 columns, heights of 30 px."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class Query:
    """An expression with variables in it, and a legend with `{{label}}`."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel, or the title of a row; `unit` is Grafana's name of it, `cells` a heatmap's."""

    number: int
    kind: str
    title: str
    place: Place
    queries: tuple[Query, ...] = ()
    unit: str = "short"
    steps: tuple[Threshold, ...] = ()
    stacked: bool = False
    limits_drawn: bool = False
    minimum: float | None = None
    soft_maximum: float | None = None
    nothing: str = NO_DATA
    hidden: frozenset[str] = frozenset()
    calcs: tuple[str, ...] = ()
    highest_first: bool = False
    cells: str = "short"
    floor: float = 0.0


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard; `digest` changes whenever its document does."""

    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...]
    events: tuple[Annotation, ...]
    digest: str


def shipped(folder: Path = FOLDER) -> list[Board]:
    """Return the dashboards as they are shipped, in order of their uids."""
    return [read(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def read(text: str) -> Board:
    """Return what a document says; `text` is the JSON that Grafana imports."""
    document = json.loads(text)
    return Board(
        uid=document["uid"],
        title=document["title"],
        description=document["description"],
        panels=tuple(_panel(one) for one in document["panels"]),
        variables=tuple(
            Variable(one["name"], one["query"], one.get("allValue"))
            for one in document["templating"]["list"]
            if one["type"] == "query"
        ),
        events=tuple(
            Annotation(one["name"], one["expr"], one["titleFormat"], one["iconColor"])
            for one in document["annotations"]["list"]
        ),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _panel(raw: Document) -> Panel:
    place = Place(*(int(raw["gridPos"][side]) for side in ("x", "y", "w", "h")))
    if raw["type"] == ROW:
        return Panel(raw["id"], ROW, raw["title"], place)
    options, fields = raw["options"], raw["fieldConfig"]["defaults"]
    custom = fields.get("custom", {})
    return Panel(
        number=raw["id"],
        kind=raw["type"],
        title=raw["title"],
        place=place,
        queries=tuple(Query(one["expr"], one["legendFormat"]) for one in raw["targets"]),
        unit=fields.get("unit") or options.get("yAxis", {}).get("unit", "short"),
        steps=tuple(Threshold(one["value"], one["color"]) for one in fields["thresholds"]["steps"]),
        stacked=custom.get("stacking", {}).get("mode") == "normal",
        limits_drawn=custom.get("thresholdsStyle", {}).get("mode", "off") != "off",
        minimum=fields.get("min"),
        soft_maximum=custom.get("axisSoftMax"),
        nothing=fields.get("noValue", NO_DATA),
        hidden=_hidden(raw),
        calcs=tuple(options.get("legend", {}).get("calcs", ())),
        highest_first=_highest_first(options.get("legend", {})),
        cells=options.get("cellValues", {}).get("unit", "short"),
        floor=options.get("filterValues", {}).get("le", 0.0),
    )


def _highest_first(legend: Document) -> bool:
    """Say whether a legend is sorted; raise PictureError if in a way that is not known here."""
    sorting = legend.get("sortBy"), legend.get("sortDesc")
    if sorting not in ((None, None), ("Max", True)):
        raise PictureError(f"a legend is sorted by {sorting}; only by the highest first is known")
    return sorting != (None, None)


def _hidden(raw: Document) -> frozenset[str]:
    """Return the columns of a table that its transformations leave out."""
    return frozenset(
        name
        for one in raw.get("transformations", ())
        if one["id"] == "organize"
        for name, left_out in one["options"]["excludeByName"].items()
        if left_out
    )
