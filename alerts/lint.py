"""A linter of rules: much of what pint checks, and rules of our own.

Each check yields problems as text. `expression_problems` is for any
PromQL of ours, also that of dashboards and pages; `group_problems` for the groups of a rule file.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from alerts import parsing
from alerts.known_series import Known
from alerts.model import EVALUATION_INTERVAL_S, SERVICE_LABEL, Severity

Rule = Mapping[str, Any]
Group = Mapping[str, Any]

RATES: Final = frozenset({"rate", "irate", "increase", "resets"})
COMPARISONS: Final = frozenset({">", "<", ">=", "<=", "==", "!="})
SAMPLING: Final = frozenset({"limitk", "limit_ratio"})
"""They return another choice of series each time, so that an alert comes and goes."""

LABELS: Final = frozenset({"severity", "service", "area"})
ANNOTATIONS: Final = frozenset({"summary", "description", "why", "runbook_url", "dashboard_url"})
LONGEST_INTERVAL: Final = timedelta(minutes=5)
"""Prometheus forgets a series after five minutes: a rule that is slower has gaps."""
LONGEST_FOR: Final = timedelta(hours=6)
LEAST_FOR: Final = 2
"""Evaluations in a `for`; with one it would change nothing."""
LEAST_SCRAPES: Final = 4
"""Scrapes in a window; with fewer, one failed scrape leaves a rate without samples."""
SCRAPE_INTERVAL: Final = timedelta(seconds=EVALUATION_INTERVAL_S)

RECORDED_NAME: Final = re.compile(r"[a-z_]+:[a-z0-9_]+:[a-z0-9_]+")
TEMPLATE: Final = re.compile(r"\$labels\.(\w+)")
FOREIGN_UNITS: Final = ("_ms", "_milliseconds", "_minutes", "_hours", "_kb", "_mb", "_percent")


def expression_problems(expression: str, known: Known) -> Iterator[str]:
    """Yield what is wrong with an expression: names, labels, kinds, buckets, regexes."""
    if not parsing.parses(expression):
        yield f"not PromQL: {expression}"
        return
    for node, parents in parsing.walk(expression):
        if parsing.is_selector(node):
            yield from _selector(node, parents, known)
        elif parsing.grouping(node) is not None:
            yield from _grouping(node, known)
        if parsing.function(node) == "histogram_quantile":
            yield from _quantile(node)
        if parsing.function(node) in SAMPLING:
            yield f"{parsing.function(node)} picks other series each time"


def group_problems(groups: Sequence[Group], known: Known) -> Iterator[str]:
    """Yield what is wrong with the groups of a rule file."""
    yield from _duplicates(groups)
    for group in groups:
        if parsing.duration(group["interval"]) > LONGEST_INTERVAL:
            yield f"{group['name']}: evaluated less often than each five minutes"
        for rule in group["rules"]:
            name = rule.get("alert") or rule.get("record")
            check = _alert if "alert" in rule else _record
            every = (*expression_problems(rule["expr"], known), *_rule(rule), *check(rule, group))
            yield from (f"{name}: {problem}" for problem in every)


def metric_problems(name: str, kind: str) -> Iterator[str]:
    """Yield what is wrong with a metric's name, by https://prometheus.io/docs/practices/naming/."""
    if (kind == "counter") != name.endswith("_total"):
        yield f"{name} is a {kind}: counters end in _total, and nothing else does"
    if name.removesuffix("_total").endswith(FOREIGN_UNITS):
        yield f"{name} is not in a base unit: seconds, bytes, ratios of 1"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        yield f"{name} is not snake_case; a colon is for recorded series"


def _selector(selector: Any, parents: tuple[Any, ...], known: Known) -> Iterator[str]:
    series = known.get(selector.name)
    if series is None:
        yield f"{selector.name} is not in the catalog"
        return
    for matcher in selector.matchers.matchers:
        if matcher.name not in series.labels:
            yield f"{selector.name} has no label {matcher.name}"
        yield from _values(matcher, series.labels.get(matcher.name, ()))
        yield from _matcher(matcher)
    functions = {parsing.function(node) for node in parents}
    if series.counts and not functions & RATES:
        yield f"{selector.name} counts, so it needs a rate"
    if not series.counts and functions & RATES:
        yield f"{selector.name} is a gauge, and rates are for counters"


def _values(matcher: Any, declared: Sequence[str]) -> Iterator[str]:
    for value in matcher.value.split("|") if declared else ():
        if parsing.PLAIN.fullmatch(value) and value not in (*declared, ""):
            yield f"{matcher.name}={value} never occurs"


def _matcher(matcher: Any) -> Iterator[str]:
    if "Re" not in str(matcher.op):
        return
    if matcher.value.startswith(("^", "$")) and not matcher.value[1:].isidentifier():
        yield f"{matcher.name}: Prometheus anchors by itself; drop ^"
    if matcher.value.endswith("$"):
        yield f"{matcher.name}: Prometheus anchors by itself; drop $"
    if parsing.PLAIN.fullmatch(matcher.value):
        yield f"{matcher.name}: {matcher.value!r} needs no regular expression"
    if matcher.value == ".*":
        yield f"{matcher.name}: .* matches everything, also a label that isn't there"


def _grouping(aggregation: Any, known: Known) -> Iterator[str]:
    names = [node.name for node, _ in parsing.below(aggregation.expr) if parsing.is_selector(node)]
    there = frozenset[str]().union(*(known[name].labels for name in names if name in known))
    for label in sorted(set(parsing.grouping(aggregation) or ()) - there):
        yield f"nothing below the aggregation has a label {label}"


def _quantile(call: Any) -> Iterator[str]:
    buckets = parsing.bare(call.args[1])
    names = [node.name for node, _ in parsing.below(buckets) if parsing.is_selector(node)]
    if not all(name.endswith("_bucket") for name in names):
        yield "histogram_quantile needs buckets"
    kept = parsing.grouping(buckets)
    if kept is not None and "le" not in kept:
        yield "histogram_quantile needs the label le"


def _rule(rule: Rule) -> Iterator[str]:
    """Yield what is wrong with any rule's expression beyond its names."""
    for node, _ in parsing.walk(rule["expr"]):
        if parsing.operator(node) == "/" and not _never_zero(node.rhs):
            yield "a division by what may be 0 gives NaN or Inf: `/ (… > 0)`"
        if parsing.is_window(node) and node.range < LEAST_SCRAPES * SCRAPE_INTERVAL:
            yield f"a window of less than {LEAST_SCRAPES} scrapes"
        kept = parsing.grouping(node)
        if kept is not None and "namespace" not in kept:
            yield f"{parsing.function(node)} throws the stacks together: keep namespace"


def _never_zero(divisor: Any) -> bool:
    divisor = parsing.bare(divisor)
    if parsing.is_number(divisor):
        return bool(divisor.val)
    return parsing.operator(divisor) == ">" and parsing.is_number(parsing.bare(divisor.rhs))


def _alert(rule: Rule, group: Group) -> Iterator[str]:
    nodes = [node for node, _ in parsing.walk(rule["expr"])]
    compares = any(parsing.operator(node) in COMPARISONS for node in nodes)
    if not compares and not any(parsing.function(node) == "absent" for node in nodes):
        yield "compares nothing, so it fires always or never"
    if " bool " in rule["expr"]:
        yield "a comparison with bool is never empty, so it fires always"
    if any(parsing.operator(node) == "!=" for node in nodes):
        yield "!= is true of NaN"
    yield from _hold(rule, group)
    yield from _words(rule)


def _hold(rule: Rule, group: Group) -> Iterator[str]:
    for_duration, interval = parsing.duration(rule["for"]), parsing.duration(group["interval"])
    if for_duration and for_duration < LEAST_FOR * interval:
        yield f"`for` is shorter than {LEAST_FOR} evaluations"
    if for_duration > LONGEST_FOR:
        yield f"`for` is longer than {LONGEST_FOR}: widen the window instead"


def _words(rule: Rule) -> Iterator[str]:
    labels, annotations = rule.get("labels", {}), rule.get("annotations", {})
    for missing in sorted(LABELS - labels.keys()):
        yield f"has no label {missing}"
    for missing in sorted(name for name in ANNOTATIONS if not annotations.get(name)):
        yield f"has no annotation {missing}"
    if labels.get("severity") not in list(Severity):
        yield f"severity is none of {', '.join(Severity)}"
    if labels.get("service") != SERVICE_LABEL:
        yield f"service is not {SERVICE_LABEL}"
    if any("{{" in value for value in labels.values()):
        yield "a label with a template changes, and makes a new alert each time"
    if not str(annotations.get("runbook_url", "")).endswith(f"/{rule['alert']}.md"):
        yield "runbook_url does not lead to the alert's page"
    yield from _templates(rule["expr"], " ".join(annotations.values()))


def _templates(expression: str, text: str) -> Iterator[str]:
    """Yield labels that a text shows and the alert's series don't have."""
    kept = [parsing.grouping(node) for node, _ in parsing.walk(expression)]
    names = {label for labels in kept for label in labels or ()}
    if not any(labels is not None for labels in kept):
        names = {"namespace"}  # what is recorded keeps it
    for label in sorted(set(TEMPLATE.findall(text)) - names):
        yield f"shows a label {label} that its series don't have"


def _record(rule: Rule, _: Group) -> Iterator[str]:
    if not RECORDED_NAME.fullmatch(rule["record"]):
        yield "is not named level:metric:operations"


def _duplicates(groups: Sequence[Group]) -> Iterator[str]:
    rules = [rule for group in groups for rule in group["rules"]]
    for what in ("alert", "record", "expr"):
        counted = Counter(rule[what] for rule in rules if what in rule)
        yield from (f"twice the same {what}: {value}" for value, n in counted.items() if n > 1)
    names = Counter(group["name"] for group in groups)
    yield from (f"twice the same group: {name}" for name, n in names.items() if n > 1)
