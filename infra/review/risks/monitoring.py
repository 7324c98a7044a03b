"""Alarms that come later or never, and targets that nobody looks at any more."""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from infra import labels
from infra.policy.objects import Stack
from infra.review.fields import canonical, dig, items
from infra.review.pairing import Change
from infra.review.risks.rule import Finding, Rule, Scene

SEVERITY_ORDER: Final = ("info", "warning", "critical")
NUMBER: Final = re.compile(r"(?<![\w.\[:])(\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?![\w.\]])")
"""A number of its own: no part of a name, of a range or of a duration."""
STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
SELECTING: Final = re.compile(r"^spec\.(selector|namespaceSelector|endpoints$)")
"""What `target_removed` speaks of."""
COMPARISON: Final = re.compile(r"[<>]=?")
DURATION: Final = re.compile(r"(\d+)(ms|[smhdwy])")
DEFAULT_INTERVAL: Final = "1m"
"""Prometheus' own."""
SECONDS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3_600),
    "d": Decimal(86_400),
    "w": Decimal(604_800),
    "y": Decimal(31_536_000),
}


def alert_removed(scene: Scene) -> Iterator[Finding]:
    """Name alerts that nobody gets any more."""
    before, after = _alerts(scene.before), _alerts(scene.after)
    for name, (owner, _) in before.items():
        if name not in after:
            yield owner, f"alert removed: {name}"


def threshold_loosened(scene: Scene) -> Iterator[Finding]:
    """Name alerts that fire later: a threshold farther off, a longer wait, a lower severity."""
    for owner, name, old, new in _kept(scene):
        asked = (_thresholds(old, new, looser=True), _waits(old, new), _ranks(old, new))
        for text in (text for found in (*asked, _routes(old, new)) for text in found):
            yield owner, f"alert {name} loosened: {text}"


def threshold_tightened(scene: Scene) -> Iterator[Finding]:
    """Name alerts that fire earlier: they may wake people up."""
    for owner, name, old, new in _kept(scene):
        for text in _thresholds(old, new, looser=False):
            yield owner, f"alert {name} tightened: {text}"


def expression_changed(scene: Scene) -> Iterator[Finding]:
    """Name alerts that ask something else."""
    for owner, name, old, new in _kept(scene):
        if _skeleton(old["expr"]) != _skeleton(new["expr"]):
            yield owner, f"alert {name} asks something else: read its expression below"


def recording_changed(scene: Scene) -> Iterator[Finding]:
    """Name recorded series that are made of something else: all that is built on them changes."""
    before, after = _rules(scene.before, "record"), _rules(scene.after, "record")
    for name, (owner, new) in after.items():
        if name in before and before[name][1] != new:
            yield owner, f"recorded series {name} is made of something else"


def evaluated_later(scene: Scene) -> Iterator[Finding]:
    """Name groups of rules that are looked at less often, or that may be cut off."""
    for change in scene.kept("PrometheusRule"):
        groups = (dig(side, "spec.groups") for side in (change.old, change.new))
        for name, old, new in items(*groups):
            if not (old and new):
                continue
            before, after = (str(group.get("interval", DEFAULT_INTERVAL)) for group in (old, new))
            if _seconds(after) > _seconds(before):
                yield change.title, f"group {name} is evaluated every {after}, was {before}"
            if new.get("limit") and old.get("limit") != new["limit"]:
                yield change.title, f"group {name} fails with more than {new['limit']} results"


def recording_removed(scene: Scene) -> Iterator[Finding]:
    """Name recorded series that stop; alerts and dashboards that use them go silent."""
    before, after = _rules(scene.before, "record"), _rules(scene.after, "record")
    for name, (owner, _) in before.items():
        if name not in after:
            yield owner, f"recorded series removed: {name}"


def target_removed(scene: Scene) -> Iterator[Finding]:
    """Name what Prometheus no longer scrapes or no longer finds."""
    for change in scene.of("ServiceMonitor", "PodMonitor"):
        if change.action == "deleted":
            yield change.title, "monitoring target removed: its metrics end, and alerts on them"
        elif change.kept:
            yield from ((change.title, text) for text in _narrowed(change))


def _narrowed(change: Change) -> Iterator[str]:
    endpoints = (dig(side, "spec.endpoints") for side in (change.old, change.new))
    for key, before, after in items(*endpoints):
        if before and not after:
            yield f"monitoring target removed: endpoint {key}"
    for key in ("selector", "namespaceSelector"):
        if dig(change.old, f"spec.{key}") != dig(change.new, f"spec.{key}"):
            yield f"monitoring target may be lost: {key} changed"


def scrape_changed(scene: Scene) -> Iterator[Finding]:
    """Name targets of which other samples are taken, fewer, or under other labels."""
    for change in scene.kept("ServiceMonitor", "PodMonitor"):
        for field in change.fields:
            if field.path.startswith("spec.") and not SELECTING.search(field.path):
                before, after = (canonical(side) for side in (field.before, field.after))
                yield change.title, f"scraping changed: {field.path} {before} → {after}"


def discovery_label_removed(scene: Scene) -> Iterator[Finding]:
    """Name monitors and rules that lose a label by which the operator may be finding them."""
    for change in scene.kept("ServiceMonitor", "PodMonitor", "PrometheusRule"):
        old, new = (side["metadata"].get("labels") or {} for side in (change.old, change.new))
        for key in sorted(old):
            if not key.startswith("app.kubernetes.io/") and old[key] != new.get(key):
                yield change.title, f"label {key}={old[key]} removed: Prometheus may not find it"


def panel_removed(scene: Scene) -> Iterator[Finding]:
    """Name panels that are gone from a dashboard that stays."""
    for change in scene.kept("ConfigMap"):
        if labels.DASHBOARD not in (dig(change.new, "metadata.labels") or {}):
            continue
        old, new = change.old.get("data") or {}, change.new.get("data") or {}
        for key in sorted(old):
            for panel in sorted(_panels(old[key]) - _panels(new.get(key))):
                yield change.title, f"panel removed: {panel}"


def _panels(text: str | None) -> set[str]:
    """Return the titles of a dashboard's panels; what Grafana can't read shows none."""
    try:
        found = json.loads(text or "{}").get("panels") or []
    except ValueError:
        return set()
    rows = [panel for row in found for panel in row.get("panels") or ()]
    return {str(panel.get("title") or panel.get("id")) for panel in (*found, *rows)}


def scaled_metric_changed(scene: Scene) -> Iterator[Finding]:
    """Name changes of the rules by which an autoscaler's own metric is served."""
    for change in scene.of("ConfigMap"):
        marked = labels.ADAPTER_RULES in (dig(change.old, "metadata.labels") or {})
        kept = labels.ADAPTER_RULES in (dig(change.new, "metadata.labels") or {})
        if marked and (not kept or change.old.get("data") != change.new.get("data")):
            yield change.title, "prometheus-adapter's rules changed: the HPA may lose its metric"


def dashboard_removed(scene: Scene) -> Iterator[Finding]:
    """Name dashboards that are gone."""
    for change in scene.of("ConfigMap"):
        old, new = (
            labels.DASHBOARD in ((side.get("metadata") or {}).get("labels") or {})
            for side in (change.old, change.new)
        )
        if old and not new:
            yield change.title, "dashboard removed"


def _rules(stack: Stack, key: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return the rules of a kind by name; severities that share a name are told apart."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for obj in stack.of("PrometheusRule"):
        for group in dig(obj, "spec.groups") or ():
            for rule in group.get("rules") or ():
                if key in rule:
                    name = rule[key]
                    if name in found:
                        name = f"{name} ({dig(rule, 'labels.severity')})"
                    found[name] = (f"PrometheusRule {obj['metadata']['name']}", rule)
    return found


def _alerts(stack: Stack) -> dict[str, tuple[str, Mapping[str, Any]]]:
    return _rules(stack, "alert")


def _kept(scene: Scene) -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    before, after = _alerts(scene.before), _alerts(scene.after)
    for name, (owner, new) in after.items():
        if name in before and before[name][1] != new:
            yield owner, name, before[name][1], new


def _thresholds(old: Mapping[str, Any], new: Mapping[str, Any], *, looser: bool) -> Iterator[str]:
    """Yield thresholds that moved, of two expressions that differ in numbers only.

    The sign before a number says which direction is looser: above `>`, below `<`.
    """
    one, other = str(old["expr"]), str(new["expr"])
    if _skeleton(one) != _skeleton(other):
        return
    before, after = _numbers(one), _numbers(other)
    for (sign, was), (_, now) in zip(before, after, strict=True):
        if sign and Decimal(was) != Decimal(now):
            rises = Decimal(now) > Decimal(was)
            if (rises == sign.startswith(">")) == looser:
                yield f"threshold {sign} {was} → {sign} {now}"


def _numbers(expression: str) -> list[tuple[str, str]]:
    """Return each number with the comparison before it, or none."""
    text = _blind(expression)
    found = []
    for match in NUMBER.finditer(text):
        signs = COMPARISON.findall(text[: match.start()])
        found.append((signs[-1] if signs else "", match[1]))
    return found


def _skeleton(expression: str) -> str:
    """Return an expression with its numbers blanked out, and its spaces alike."""
    strings = STRINGS.findall(str(expression))
    return " ".join(NUMBER.sub("#", _blind(str(expression))).split()) + "".join(strings)


def _blind(expression: str) -> str:
    """Return an expression whose strings hold nothing that looks like a number or a sign."""
    return STRINGS.sub('""', expression)


def _waits(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = (str(rule.get("for", "0s")) for rule in (old, new))
    if _seconds(after) > _seconds(before):
        yield f"for {before} → {after}"


def _ranks(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = (str(dig(rule, "labels.severity")) for rule in (old, new))
    if before != after and _rank(after) < _rank(before):
        yield f"severity {before} → {after}"


def _routes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield labels that are gone or changed: by them Alertmanager knows whom to tell."""
    before, after = (rule.get("labels") or {} for rule in (old, new))
    for key in sorted(before.keys() - {"severity"}):
        if before[key] != after.get(key):
            yield f"label {key} {before[key]} → {after.get(key)}, by which it is routed"


def _rank(severity: str) -> int:
    """Return how loud a severity is; an unknown one may be routed to nobody."""
    return SEVERITY_ORDER.index(severity) if severity in SEVERITY_ORDER else -1


def _seconds(duration: str) -> Decimal:
    parts = DURATION.findall(duration)
    return sum((Decimal(count) * SECONDS[unit] for count, unit in parts), Decimal(0))


RULES: Final = (
    Rule("alert-removed", "high", alert_removed),
    Rule("alert-loosened", "high", threshold_loosened),
    Rule("monitoring-target-removed", "high", target_removed),
    Rule("monitoring-label-removed", "high", discovery_label_removed),
    Rule("recording-removed", "high", recording_removed),
    Rule("alerts-evaluated-later", "high", evaluated_later),
    Rule("alert-changed", "medium", expression_changed),
    Rule("recording-changed", "medium", recording_changed),
    Rule("scrape-changed", "medium", scrape_changed),
    Rule("scaled-metric-changed", "medium", scaled_metric_changed),
    Rule("dashboard-removed", "medium", dashboard_removed),
    Rule("panel-removed", "low", panel_removed),
    Rule("alert-tightened", "low", threshold_tightened),
)
