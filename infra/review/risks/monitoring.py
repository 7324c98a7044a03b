"""Targets that nobody looks at any more, and dashboards that show less."""

import json
import re
from collections.abc import Iterator
from typing import Final

from infra import labels
from infra.policy.objects import dig
from infra.review.fields import canonical, items
from infra.review.pairing import Change
from infra.review.risks.rule import Comparison, Finding, risk

SELECTING: Final = re.compile(r"^spec\.(selector|namespaceSelector|endpoints$)")
"""What `monitoring_target_removed` speaks of."""


@risk("high")
def monitoring_target_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name what Prometheus no longer scrapes or no longer finds."""
    for change in comparison.of("ServiceMonitor", "PodMonitor"):
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


@risk("medium")
def scrape_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name targets of which other samples are taken, fewer, or under other labels."""
    for change in comparison.kept("ServiceMonitor", "PodMonitor"):
        for field in change.fields:
            if field.path.startswith("spec.") and not SELECTING.search(field.path):
                before, after = (canonical(side) for side in (field.before, field.after))
                yield change.title, f"scraping changed: {field.path} {before} → {after}"


@risk("high")
def monitoring_label_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name monitors and rules that lose a label by which the operator may be finding them."""
    for change in comparison.kept("ServiceMonitor", "PodMonitor", "PrometheusRule"):
        old, new = (side["metadata"].get("labels") or {} for side in (change.old, change.new))
        for key in sorted(old):
            if not key.startswith("app.kubernetes.io/") and old[key] != new.get(key):
                yield change.title, f"label {key}={old[key]} removed: Prometheus may not find it"


@risk("low")
def panel_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name panels that are gone from a dashboard that stays."""
    for change in comparison.kept("ConfigMap"):
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


@risk("medium")
def scaled_metric_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name changes of the rules by which an autoscaler's own metric is served."""
    for change in comparison.of("ConfigMap"):
        marked = labels.ADAPTER_RULES in (dig(change.old, "metadata.labels") or {})
        kept = labels.ADAPTER_RULES in (dig(change.new, "metadata.labels") or {})
        if marked and (not kept or change.old.get("data") != change.new.get("data")):
            yield change.title, "prometheus-adapter's rules changed: the HPA may lose its metric"


@risk("medium")
def dashboard_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name dashboards that are gone."""
    for change in comparison.of("ConfigMap"):
        old, new = (
            labels.DASHBOARD in ((side.get("metadata") or {}).get("labels") or {})
            for side in (change.old, change.new)
        )
        if old and not new:
            yield change.title, "dashboard removed"
