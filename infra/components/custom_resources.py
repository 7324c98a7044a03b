"""The custom resources of the Prometheus operator that we use, as typed values.

Only the fields that we set, under their API names; the operator's API reference is the source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra import labels

MONITORING_API: Final = "monitoring.coreos.com/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to scrape: `port` is the name of a Service's port, `interval` like `15s`."""

    port: str
    path: str
    interval: str

    def document(self) -> dict[str, Any]:
        """Return the endpoint as the API spells it."""
        return {"port": self.port, "path": self.path, "interval": self.interval}


@dataclass(frozen=True, slots=True)
class ServiceMonitor:
    """What Prometheus scrapes: the Services of `namespace` that belong to these components."""

    namespace: str
    components: Sequence[str]
    endpoints: Sequence[Endpoint]

    kind = "ServiceMonitor"

    def spec(self) -> dict[str, Any]:
        """Return the object's `spec`."""
        return {
            "selector": {
                "matchLabels": {labels.NAME: labels.PROJECT},
                "matchExpressions": [
                    {"key": labels.COMPONENT, "operator": "In", "values": list(self.components)}
                ],
            },
            "namespaceSelector": {"matchNames": [self.namespace]},
            "endpoints": [endpoint.document() for endpoint in self.endpoints],
        }


@dataclass(frozen=True, slots=True)
class PrometheusRule:
    """Rule groups: alerts and recording rules."""

    groups: Sequence[Mapping[str, Any]]

    kind = "PrometheusRule"

    def spec(self) -> dict[str, Any]:
        """Return the object's `spec`."""
        return {"groups": [dict(group) for group in self.groups]}
