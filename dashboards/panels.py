"""Panels in rows, variables and annotations; `dashboards.grafana` writes them as Grafana's JSON."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from alerts.model import Alert

PANEL_IDS: Final = 1_000_000
TAG: Final = "coinslot"

Unit = Literal["percent", "seconds", "per_second", "count", "minor", "bytes", "cores", "times"]


@dataclass(frozen=True, slots=True)
class Query:
    """One line, or one family of lines, of a panel; `legend` may hold `{{label}}`."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """From `value` on, the panel shows `color`; the first step's value is None."""

    value: float | None
    color: str


GOOD: Final = Threshold(None, "green")


@dataclass(frozen=True, slots=True)
class Panel:
    """What every kind of panel has; `description` tells its reader what to do with it.

    `runbooks` are the names of the alerts about what it shows.
    """

    kind: Literal["stat", "timeseries", "heatmap", "table"]
    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    thresholds: tuple[Threshold, ...] = (GOOD,)
    stacked: bool = False
    minimum: int | None = 0
    maximum: int | None = None
    runbooks: tuple[str, ...] = ()


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
class Annotation:
    """What is marked in every panel while `expression` has series: what has just happened."""

    name: str
    expression: str
    title: str
    color: str = "blue"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard; `uid` is its address in Grafana for good."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    annotations: tuple[Annotation, ...]
    tags: tuple[str, ...] = (TAG,)


def stat(
    title: str,
    description: str,
    query: str,
    unit: Unit,
    thresholds: Sequence[Threshold] = (GOOD,),
    alerts: Iterable[Alert] = (),
) -> Panel:
    """Return one big number with its recent past behind it."""
    queries = (Query(query, title),)
    runbooks = _names(alerts)
    return Panel("stat", title, description, unit, queries, tuple(thresholds), runbooks=runbooks)


def timeseries(
    title: str,
    description: str,
    queries: Iterable[Query],
    unit: Unit,
    *,
    thresholds: Sequence[Threshold] = (GOOD,),
    stacked: bool = False,
    signed: bool = False,
    alerts: Iterable[Alert] = (),
) -> Panel:
    """Return lines over time; thresholds are drawn as lines, ratios end at 100 %.

    The axis starts at 0, below which nothing would be seen, unless the values are `signed`.
    """
    return Panel(
        "timeseries",
        title,
        description,
        unit,
        tuple(queries),
        tuple(thresholds),
        stacked,
        None if signed else 0,
        1 if unit == "percent" else None,
        _names(alerts),
    )


def heatmap(
    title: str, description: str, buckets: str, unit: Unit, alerts: Iterable[Alert] = ()
) -> Panel:
    """Return a histogram over time; `buckets` is an expression by `le`."""
    queries = (Query(buckets, "{{le}}"),)
    return Panel("heatmap", title, description, unit, queries, runbooks=_names(alerts))


def table(
    title: str, description: str, query: str, unit: Unit, alerts: Iterable[Alert] = ()
) -> Panel:
    """Return what is now, a row a series and a column a label."""
    return Panel("table", title, description, unit, (Query(query, ""),), runbooks=_names(alerts))


def rising(warning: float, critical: float) -> tuple[Threshold, ...]:
    """Return thresholds of a value that is bad when it is high."""
    return (GOOD, Threshold(warning, "orange"), Threshold(critical, "red"))


def falling(warning: float, critical: float) -> tuple[Threshold, ...]:
    """Return thresholds of a value that is bad when it is low: good from `warning` on."""
    return (Threshold(None, "red"), Threshold(critical, "orange"), Threshold(warning, "green"))


def panel_id(title: str) -> int:
    """Return the id of the panel: from its title, so that links survive when others move."""
    return zlib.crc32(title.encode()) % PANEL_IDS


def _names(alerts: Iterable[Alert]) -> tuple[str, ...]:
    return tuple(alert.name for alert in alerts)
