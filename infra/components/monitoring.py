"""What the monitoring stack reads: where to scrape, when to alert, what to show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s
import yaml

from infra import labels
from infra.components import flows
from infra.components.scope import Scope
from service.metric_catalog import Metric

OPERATOR_API: Final = "monitoring.coreos.com/v1"


@dataclass(frozen=True, slots=True)
class MonitoringArgs:
    """`groups` are rule groups, `dashboards` Grafana documents by uid.

    `prometheus_labels` are what the cluster's Prometheus selects monitors and rules by;
    `scaled_by` are the gauges that autoscalers read.
    """

    scope: Scope
    scrape_interval: str
    prometheus_labels: Mapping[str, str]
    groups: Sequence[Mapping[str, Any]]
    dashboards: Mapping[str, str]
    scaled_by: Sequence[Metric]


class Monitoring(pulumi.ComponentResource):
    """ServiceMonitor, PrometheusRule, a ConfigMap for each dashboard, the adapter's rules."""

    def __init__(self, args: MonitoringArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("coinslot:k8s:Monitoring", "monitoring", None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._of_operator("ServiceMonitor", self._monitor())
        self._of_operator("PrometheusRule", {"groups": [dict(group) for group in args.groups]})
        for uid, document in args.dashboards.items():
            self._dashboard(uid, document)
        if args.scaled_by:
            self._adapter_rules()
        self.register_outputs({})

    def _monitor(self) -> dict[str, Any]:
        """Return what Prometheus scrapes: the Services of our servers."""
        port, interval = labels.OPS_PORT_NAME, self._args.scrape_interval
        servers = {"key": labels.COMPONENT, "operator": "In", "values": list(flows.SERVERS)}
        return {
            "selector": {
                "matchLabels": {labels.NAME: labels.PROJECT},
                "matchExpressions": [servers],
            },
            "namespaceSelector": {"matchNames": [self._args.scope.namespace]},
            "endpoints": [{"port": port, "path": "/metrics", "interval": interval}],
        }

    def _of_operator(self, kind: str, spec: Mapping[str, Any]) -> None:
        args = self._args
        k8s.apiextensions.CustomResource(
            kind,
            api_version=OPERATOR_API,
            kind=kind,
            metadata=args.scope.metadata(labels.PROJECT, extra_labels=args.prometheus_labels),
            spec=spec,
            opts=self._child,
        )

    def _dashboard(self, uid: str, document: str) -> None:
        k8s.core.v1.ConfigMap(
            f"dashboard-{uid}",
            metadata=self._args.scope.metadata(
                labels.resource_name(f"dashboard-{uid}"), extra_labels={labels.DASHBOARD: "1"}
            ),
            data={f"{uid}.json": document},
            opts=self._child,
        )

    def _adapter_rules(self) -> None:
        """Say how prometheus-adapter answers for the metrics that autoscalers read.

        The key is the file's name in the adapter's own chart, which takes such a ConfigMap as
        `rules.existing`; an adapter that others share is given the rules by them.
        """
        scope = self._args.scope
        rules = [adapter_rule(metric, scope.namespace) for metric in self._args.scaled_by]
        k8s.core.v1.ConfigMap(
            "adapter-rules",
            metadata=scope.metadata(
                labels.resource_name("adapter-rules"), extra_labels={labels.ADAPTER_RULES: "1"}
            ),
            data={labels.ADAPTER_FILE: yaml.safe_dump({"rules": rules}, sort_keys=False)},
            opts=self._child,
        )


def adapter_rule(metric: Metric, namespace: str) -> dict[str, Any]:
    """Return the rule that serves a gauge for each pod of a namespace.

    https://github.com/kubernetes-sigs/prometheus-adapter/blob/master/docs/config.md
    """
    return {
        "seriesQuery": f'{metric.name}{{namespace="{namespace}",pod!=""}}',
        "resources": {
            "overrides": {
                "namespace": {"resource": "namespace"},
                "pod": {"resource": "pod"},
            }
        },
        "name": {"as": metric.name},
        "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
    }
