"""Metrics that others export and our alerts need, declared like our own.

CPU and memory are the kubelet's measurements of the container against the deployed pod's limit:
the kernel throttles and kills by these two. The process's own metrics contain neither its limit nor
the page cache that counts against it.
"""

from dataclasses import dataclass
from typing import Final

from service.metric_model import Metric, Open, counter, gauge


@dataclass(frozen=True, slots=True)
class Exporter:
    """An exporter of metrics that aren't ours, and what Prometheus needs to get them."""

    name: str
    needs: str
    metrics: tuple[Metric, ...]


OPEN: Final = Open("of the cluster")

UP: Final = gauge("up", "1 if the last scrape of a target succeeded, else 0.")

CONTAINER_CPU: Final = counter(
    "container_cpu_usage_seconds_total",
    "CPU time that a container has used.",
    {"container": OPEN, "image": OPEN},
)
CONTAINER_MEMORY: Final = gauge(
    "container_memory_working_set_bytes",
    "Memory of a container that the kernel can't take back; above the limit it is killed.",
    {"container": OPEN, "image": OPEN},
)
CONTAINER_LIMITS: Final = gauge(
    "kube_pod_container_resource_limits",
    "Limits of a container as the pod has them: cores of `cpu`, bytes of `memory`.",
    {"container": OPEN, "resource": ("cpu", "memory"), "unit": OPEN, "node": OPEN},
)
CONTAINER_RESTARTS: Final = counter(
    "kube_pod_container_status_restarts_total",
    "Restarts of a container.",
    {"container": OPEN},
)

PROMETHEUS: Final = Exporter("Prometheus", "nothing", (UP,))
KUBELET: Final = Exporter(
    "the kubelet (cAdvisor)",
    "a job that scrapes /metrics/cadvisor of every node",
    (CONTAINER_CPU, CONTAINER_MEMORY),
)
KUBE_STATE_METRICS: Final = Exporter(
    "kube-state-metrics",
    "`honorLabels: true`, so that `namespace` and `pod` are those of the measured pod",
    (CONTAINER_LIMITS, CONTAINER_RESTARTS),
)

EXPORTERS: Final = (PROMETHEUS, KUBELET, KUBE_STATE_METRICS)
EXTERNAL: Final = tuple(metric for exporter in EXPORTERS for metric in exporter.metrics)
"""kube-prometheus-stack has all of them; an alert fires when one is missing."""
