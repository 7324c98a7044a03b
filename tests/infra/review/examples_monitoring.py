"""Examples of risks to alerts, targets and dashboards."""

from tests.infra.review.examples import ALERTS, ERRORS, example
from tests.infra.review.small_stack import cut, put

EXAMPLES = [
    example("alert-removed", "alert removed: ErrorsHigh", cut(ALERTS, ERRORS)),
    example("alert-removed", "alert removed: TooFew", cut(ALERTS)),
    example(
        "alert-loosened",
        "alert ErrorsHigh loosened: threshold > 0.05 → > 0.1",
        put(
            ALERTS,
            f"{ERRORS}.expr",
            'sum(rate(errors_total{job="a>1"}[5m])) / sum(rate(all_total[5m])) > 0.1',
        ),
    ),
    example(
        "alert-loosened",
        "alert TooFew loosened: threshold < 0.5 → < 0.1",
        put(ALERTS, "spec.groups.0.rules.2.expr", "rate(all_total[5m]) < 0.1"),
    ),
    example("alert-loosened", "for 5m → 1h30m", put(ALERTS, f"{ERRORS}.for", "1h30m")),
    example(
        "alert-loosened",
        "severity critical → warning",
        put(ALERTS, f"{ERRORS}.labels.severity", "warning"),
    ),
    example(
        "alert-loosened",
        "label team payments → None, by which it is routed",
        cut(ALERTS, f"{ERRORS}.labels.team"),
    ),
    example(
        "alerts-evaluated-later",
        "group payments is evaluated every 1h, was 1m",
        put(ALERTS, "spec.groups.0.interval", "1h"),
    ),
    example(
        "alerts-evaluated-later",
        "group payments fails with more than 1 results",
        put(ALERTS, "spec.groups.0.limit", 1),
    ),
    example(
        "recording-changed",
        "recorded series job:errors:rate5m is made of something else",
        put(ALERTS, "spec.groups.0.rules.0.expr", "vector(0)"),
        one_way=False,
    ),
    example(
        "scrape-changed",
        'scraping changed: spec.endpoints[http].relabelings null → [{"action": "drop"}]',
        put("ServiceMonitor shop", "spec.endpoints.0.relabelings", [{"action": "drop"}]),
        one_way=False,
    ),
    example(
        "scrape-changed",
        'scraping changed: spec.endpoints[http].interval "15s" → "10m"',
        put("ServiceMonitor shop", "spec.endpoints.0.interval", "10m"),
        one_way=False,
    ),
    example(
        "scaled-metric-changed",
        "prometheus-adapter's rules changed",
        put("ConfigMap adapter", "data", {"config.yaml": "rules: []"}),
        one_way=False,
    ),
    example("scaled-metric-changed", "the HPA may lose its metric", cut("ConfigMap adapter")),
    example(
        "panel-removed",
        "panel removed: Rate",
        put("ConfigMap overview", "data", {"overview.json": '{"panels": []}'}),
    ),
    example(
        "panel-removed",
        "panel removed: Rate",
        put("ConfigMap overview", "data", {"overview.json": "{"}),
    ),
    example(
        "alert-tightened",
        "alert TooFew tightened: threshold < 0.5 → < 0.9",
        put(ALERTS, "spec.groups.0.rules.2.expr", "rate(all_total[5m]) < 0.9"),
    ),
    example(
        "alert-changed",
        "alert ErrorsHigh asks something else",
        put(ALERTS, f"{ERRORS}.expr", "sum(rate(errors_total[10m])) > 0.05"),
        one_way=False,
    ),
    example("recording-removed", "job:errors:rate5m", cut(ALERTS, "spec.groups.0.rules.0")),
    example("monitoring-target-removed", "its metrics end", cut("ServiceMonitor shop")),
    example(
        "monitoring-target-removed",
        "endpoint http",
        put("ServiceMonitor shop", "spec.endpoints", []),
    ),
    example(
        "monitoring-target-removed",
        "selector changed",
        put("ServiceMonitor shop", "spec.selector", {"matchLabels": {"app": "other"}}),
        one_way=False,
    ),
    example(
        "monitoring-label-removed",
        "label release=prometheus removed",
        cut(ALERTS, "metadata.labels.release"),
    ),
    example("dashboard-removed", "dashboard removed", cut("ConfigMap overview")),
]
