"""What a good dashboard keeps to, as code: the rules of Grafana's dashboard-linter, and ours.

Each rule takes a dashboard's document and yields problems as text. The linter's rule that
each query also filters by `instance` is left out: pods come and go, and nobody picks one by name.
"""

import re
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, Final

import promql_parser

from alerts.external_catalog import KUBE_STATE_METRICS, KUBELET
from alerts.links import RUNBOOK_BASE
from alerts.parsing import parses, walk
from dashboards.grafana import GRID_COLUMNS, REFRESH_ON_TIME_CHANGE, UNITS

Document = dict[str, Any]
Rule = Callable[[Document], Iterator[str]]

RATE_INTERVAL: Final = "$__rate_interval"
RATE_INTERVAL_STANDIN: Final = "4m7s"
"""A duration that nobody writes by hand: where it stands, `$__rate_interval` stood."""

OLDEST_SCHEMA: Final = 36
"""The first schema in which a data source is an object with a uid."""

RETIRED_PANELS: Final = ("graph", "singlestat", "table-old")
RATES: Final = ("rate", "irate", "increase")
FOREIGN: Final = {
    metric.name for exporter in (KUBELET, KUBE_STATE_METRICS) for metric in exporter.metrics
}
RUNBOOK: Final = re.compile(rf"{re.escape(RUNBOOK_BASE)}/(\w+)\.md")


def problems(document: Document) -> list[str]:
    """Return everything that is wrong with a dashboard; an empty list is what we want."""
    return [problem for rule in RULES for problem in rule(document)]


def panels(document: Document) -> list[Document]:
    """Return the panels that show something, without the titles of rows."""
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def expressions(document: Document) -> list[tuple[str, str]]:
    """Return (title, PromQL with variables filled in) of each query of panels and annotations."""
    found = [
        (panel["title"], target["expr"])
        for panel in panels(document)
        for target in panel.get("targets", ())
    ]
    found += [(event["name"], event["expr"]) for event in document["annotations"]["list"]]
    return [(title, plain_promql(expression)) for title, expression in found]


def plain_promql(expression: str) -> str:
    """Return the expression as Prometheus could read it; a variable in quotes stays a string."""
    return expression.replace(RATE_INTERVAL, RATE_INTERVAL_STANDIN)


def well_formed(document: Document) -> Iterator[str]:
    """Yield what Grafana needs of a dashboard as a whole."""
    if document.get("editable") is not False:
        yield "the dashboard is editable: what is changed by hand is lost with the next rollout"
    if document.get("schemaVersion", 0) < OLDEST_SCHEMA:
        yield f"schemaVersion is below {OLDEST_SCHEMA}"
    for field in ("uid", "title", "description"):
        if not document.get(field):
            yield f"the dashboard has no {field}"


def one_datasource_variable(document: Document) -> Iterator[str]:
    """Yield what keeps a reader from choosing the Prometheus to look at."""
    found = [v for v in document["templating"]["list"] if v["type"] == "datasource"]
    if [v["name"] for v in found] != ["datasource"] or found[0].get("label") != "Data source":
        yield "there must be one data source variable: name `datasource`, label `Data source`"


def variables_are_useful(document: Document) -> Iterator[str]:
    """Yield what is wrong with the variables that are queried."""
    queried = {v["name"]: v for v in document["templating"]["list"] if v["type"] == "query"}
    job = queried.get("job", {})
    if not (job.get("multi") and job.get("allValue") == ".+" and job.get("label") == "Job"):
        yield "the variable `job` must be labelled Job, allow several values, and have All = `.+`"
    for name, variable in queried.items():
        if variable.get("refresh") != REFRESH_ON_TIME_CHANGE:
            yield f"the variable `{name}` is not refreshed when the time range changes"
        if variable["datasource"]["uid"] != "${datasource}":
            yield f"the variable `{name}` does not use ${{datasource}}"
        if not parses(re.sub(r"label_values\((.*), \w+\)", r"\1", variable["query"])):
            yield f"the variable `{name}` has a query that is not PromQL"


def panels_explain_themselves(document: Document) -> Iterator[str]:
    """Yield panels without a title, a description, a unit, a query or the data source."""
    for panel in panels(document):
        name = panel.get("title") or f"panel {panel.get('id')}"
        if panel["type"] in RETIRED_PANELS:
            yield f"{name}: panels of type {panel['type']} are retired"
        if not (panel.get("title") and panel.get("description")):
            yield f"{name}: needs a title and a description"
        if _unit(panel) not in UNITS.values():
            yield f"{name}: has no unit, or an unknown one"
        if not panel.get("targets"):
            yield f"{name}: shows nothing"
        sources = [panel.get("datasource"), *(t.get("datasource") for t in panel["targets"])]
        if any(not source or source["uid"] != "${datasource}" for source in sources):
            yield f"{name}: does not use ${{datasource}} everywhere"


def panels_have_their_place(document: Document) -> Iterator[str]:
    """Yield panels that share an id or a place, or stick out of the grid."""
    ids = [panel["id"] for panel in document["panels"]]
    if len(ids) != len(set(ids)):
        yield "two panels have the same id"
    for one, other in combinations(document["panels"], 2):
        if _overlap(one["gridPos"], other["gridPos"]):
            yield f"{one['title']} and {other['title']} overlap"
    for panel in document["panels"]:
        if panel["gridPos"]["x"] + panel["gridPos"]["w"] > GRID_COLUMNS:
            yield f"{panel['title']}: sticks out of the grid"
        references = [target["refId"] for target in panel.get("targets", ())]
        if len(references) != len(set(references)):
            yield f"{panel['title']}: two queries have the same refId"


def events_are_marked(document: Document) -> Iterator[str]:
    """Yield what keeps deployments from being seen in every panel."""
    annotations = document["annotations"]["list"]
    if [event["name"] for event in annotations] != ["Deployments"]:
        yield "there must be one annotation, and its name `Deployments`"
    if any(event["datasource"]["uid"] != "${datasource}" for event in annotations):
        yield "an annotation does not use ${datasource}"


def links_lead_on(document: Document) -> Iterator[str]:
    """Yield what keeps a reader from the other dashboards and the runbooks."""
    kinds = {link["type"]: link for link in document["links"]}
    others = kinds.get("dashboards", {})
    if not (others.get("tags") == document["tags"] and others.get("includeVars")):
        yield "there is no link to the dashboards of its tags that passes the variables on"
    if not str(kinds.get("link", {}).get("url", "")).startswith(RUNBOOK_BASE):
        yield "there is no link to the runbooks"
    for panel in panels(document):
        if not all(RUNBOOK.fullmatch(link["url"]) for link in panel["links"]):
            yield f"{panel['title']}: links to what is no runbook"


def queries_are_sound(document: Document) -> Iterator[str]:
    """Yield queries that Prometheus would refuse, or answer with something misleading."""
    for title, expression in expressions(document):
        if not parses(expression):
            yield f"{title}: not PromQL: {expression}"
            continue
        for node, parents in walk(expression):
            yield from (f"{title}: {problem}" for problem in _node_problems(node, parents))


def _node_problems(node: Any, parents: tuple[Any, ...]) -> Iterator[str]:
    if isinstance(node, promql_parser.VectorSelector):
        yield from _selector_problems(node, parents)
    wanted = promql_parser.parse_duration(RATE_INTERVAL_STANDIN)
    if isinstance(node, promql_parser.MatrixSelector) and node.range != wanted:
        yield f"a window must be {RATE_INTERVAL}"


def _selector_problems(selector: Any, parents: tuple[Any, ...]) -> Iterator[str]:
    matchers = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
    # What others export or rules record comes from jobs of their own, or from none.
    foreign = selector.name in FOREIGN or ":" in selector.name
    for label in ("namespace",) if foreign else ("job", "namespace"):
        if matchers.get(label) != f"${label}":
            yield f'{selector.name} is not narrowed down by {label}=~"${label}"'
    functions = [node.func.name for node in parents if isinstance(node, promql_parser.Call)]
    counts = selector.name.endswith(("_total", "_bucket", "_count", "_sum"))
    if counts and not set(functions) & set(RATES):
        yield f"{selector.name} is a counter and needs a rate"


def _unit(panel: Document) -> str:
    if panel["type"] == "heatmap":
        return str(panel["options"]["yAxis"].get("unit", ""))
    return str(panel["fieldConfig"]["defaults"].get("unit", ""))


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


RULES: Final[tuple[Rule, ...]] = (
    well_formed,
    one_datasource_variable,
    variables_are_useful,
    panels_explain_themselves,
    panels_have_their_place,
    events_are_marked,
    links_lead_on,
    queries_are_sound,
)
