"""What the monitoring stack reads: where to scrape, when to alert, what to show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra import labels
from infra.components.custom_resources import (
    MONITORING_API,
    Endpoint,
    PrometheusRule,
    ServiceMonitor,
)
from infra.components.scope import Scope


@dataclass(frozen=True, slots=True)
class MonitoringArgs:
    """`groups` are rule groups, `dashboards` Grafana documents by uid.

    `prometheus_labels` are what the cluster's Prometheus selects monitors and rules by.
    """

    scope: Scope
    scrape_interval: str
    prometheus_labels: Mapping[str, str]
    groups: Sequence[Mapping[str, Any]]
    dashboards: Mapping[str, str]


class Monitoring(pulumi.ComponentResource):
    """ServiceMonitor, PrometheusRule and a ConfigMap for each dashboard."""

    def __init__(self, args: MonitoringArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("coinslot:k8s:Monitoring", "monitoring", None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        endpoint = Endpoint(labels.HTTP_PORT_NAME, "/metrics", args.scrape_interval)
        self._custom(
            ServiceMonitor(args.scope.namespace, {labels.NAME: labels.PROJECT}, [endpoint])
        )
        self._custom(PrometheusRule(args.groups))
        for uid, document in args.dashboards.items():
            self._dashboard(uid, document)
        self.register_outputs({})

    def _custom(self, wanted: ServiceMonitor | PrometheusRule) -> None:
        args = self._args
        k8s.apiextensions.CustomResource(
            wanted.kind,
            api_version=MONITORING_API,
            kind=wanted.kind,
            metadata=args.scope.metadata(labels.PROJECT, extra_labels=args.prometheus_labels),
            spec=wanted.spec(),
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
