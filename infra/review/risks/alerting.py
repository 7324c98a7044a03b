"""Alarms that come later or never: the rules before and after, read into types and compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from alerts import parsing
from infra.policy.objects import Stack, dig
from infra.review.fields import items
from infra.review.risks.rule import Comparison, Finding, risk

SEVERITIES: Final = ("info", "warning", "critical")
DEFAULT_INTERVAL: Final = "1m"
"""Prometheus' own."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule; `asks` is its expression with 0 in place of its limits."""

    name: str
    owner: str = field(compare=False)
    asks: str
    limits: tuple[tuple[str, float], ...]
    """What it compares with, each after its sign."""
    waits: timedelta
    severity: str
    routing: Mapping[str, str]
    """The other labels, by which Alertmanager knows whom to tell."""

    @property
    def rank(self) -> int:
        """Return how loud it is; an unknown severity may be routed to nobody."""
        return SEVERITIES.index(self.severity) if self.severity in SEVERITIES else -1


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule, with the labels that it adds."""

    name: str
    owner: str = field(compare=False)
    made_of: str
    labels: Mapping[str, str]


@risk("high")
def alert_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name alerts that nobody gets any more."""
    after = _alerts(comparison.after)
    for key, old in _alerts(comparison.before).items():
        if key not in after:
            yield old.owner, f"alert removed: {key}"


@risk("high")
def alert_loosened(comparison: Comparison) -> Iterator[Finding]:
    """Name alerts that fire later: a threshold farther off, a longer wait, a lower severity."""
    for key, old, new in _kept(comparison):
        for text in (*_moved(old, new, looser=True), *_quieter(old, new)):
            yield new.owner, f"alert {key} loosened: {text}"


@risk("low")
def alert_tightened(comparison: Comparison) -> Iterator[Finding]:
    """Name alerts that fire earlier: they may wake people up."""
    for key, old, new in _kept(comparison):
        for text in _moved(old, new, looser=False):
            yield new.owner, f"alert {key} tightened: {text}"


@risk("medium")
def alert_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name alerts that ask something else."""
    for key, old, new in _kept(comparison):
        if old.asks != new.asks:
            yield new.owner, f"alert {key} asks something else: read its expression below"


@risk("medium")
def recording_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name recorded series that are made of something else: all that is built on them changes."""
    before = _recordings(comparison.before)
    for key, new in _recordings(comparison.after).items():
        if before.get(key, new) != new:
            yield new.owner, f"recorded series {key} is made of something else"


@risk("high")
def recording_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name recorded series that stop; alerts and dashboards that use them go silent."""
    after = _recordings(comparison.after)
    for key, old in _recordings(comparison.before).items():
        if key not in after:
            yield old.owner, f"recorded series removed: {key}"


@risk("high")
def alerts_evaluated_later(comparison: Comparison) -> Iterator[Finding]:
    """Name groups of rules that are looked at less often, or that may be cut off."""
    for change in comparison.kept("PrometheusRule"):
        groups = (dig(side, "spec.groups") for side in (change.old, change.new))
        for name, old, new in items(*groups):
            if not (old and new):
                continue
            before, after = (str(group.get("interval", DEFAULT_INTERVAL)) for group in (old, new))
            if parsing.duration(after) > parsing.duration(before):
                yield change.title, f"group {name} is evaluated every {after}, was {before}"
            if new.get("limit") and old.get("limit") != new["limit"]:
                yield change.title, f"group {name} fails with more than {new['limit']} results"


def _rules(stack: Stack, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the rules of a kind, each with the title of its object."""
    for obj in stack.of("PrometheusRule"):
        for group in dig(obj, "spec.groups") or ():
            for rule in group.get("rules") or ():
                if kind in rule:
                    yield f"PrometheusRule {obj['metadata']['name']}", rule


def _alerts(stack: Stack) -> dict[str, Alert]:
    """Return the alerts by name; severities that share a name are told apart."""
    found: dict[str, Alert] = {}
    for owner, rule in _rules(stack, "alert"):
        asks, limits = parsing.limits(str(rule["expr"]))
        routing = {**(rule.get("labels") or {})}
        severity = str(routing.pop("severity", None))
        waits = parsing.duration(str(rule.get("for", "0s")))
        made = Alert(rule["alert"], owner, asks, tuple(limits), waits, severity, routing)
        found[f"{made.name} ({severity})" if made.name in found else made.name] = made
    return found


def _recordings(stack: Stack) -> dict[str, Recording]:
    """Return the recording rules by the series that they make."""
    found: dict[str, Recording] = {}
    for owner, rule in _rules(stack, "record"):
        added = rule.get("labels") or {}
        made = Recording(rule["record"], owner, parsing.canonical(str(rule["expr"])), added)
        found[f"{made.name} {dict(added)}" if made.name in found else made.name] = made
    return found


def _kept(comparison: Comparison) -> Iterator[tuple[str, Alert, Alert]]:
    before = _alerts(comparison.before)
    for key, new in _alerts(comparison.after).items():
        if before.get(key, new) != new:
            yield key, before[key], new


def _moved(old: Alert, new: Alert, *, looser: bool) -> Iterator[str]:
    """Yield limits that moved: above `>` a higher one is looser, below `<` a lower one."""
    if old.asks != new.asks:
        return
    for (sign, was), (_, now) in zip(old.limits, new.limits, strict=True):
        if was != now and ((now > was) == sign.startswith(">")) == looser:
            yield f"threshold {sign} {was:g} → {sign} {now:g}"


def _quieter(old: Alert, new: Alert) -> Iterator[str]:
    if new.waits > old.waits:
        yield f"for {parsing.text(old.waits)} → {parsing.text(new.waits)}"
    if new.severity != old.severity and new.rank < old.rank:
        yield f"severity {old.severity} → {new.severity}"
    for key in sorted(old.routing):
        if old.routing[key] != new.routing.get(key):
            was, now = old.routing[key], new.routing.get(key)
            yield f"label {key} {was} → {now}, by which it is routed"
