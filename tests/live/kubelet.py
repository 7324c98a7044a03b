"""What the kubelet and kube-state-metrics would export about the pods, simulated.

There is no Kubernetes here. CPU, memory and restarts are measured on the real processes; that a
process is the only one of a pod, its names, and its limits are simulated.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import psutil
from aiohttp import web

from alerts.external_catalog import (
    CONTAINER_CPU,
    CONTAINER_LIMITS,
    CONTAINER_MEMORY,
    CONTAINER_RESTARTS,
)
from service.metric_catalog import Metric
from tests.support.prometheus import Target
from tests.support.serving import served

NAMESPACE: Final = "coinslot-live"
IMAGE: Final = "coinslot"
MIB: Final = 1 << 20


@dataclass
class Container:
    """What a kubelet reports of one pod's only container; `pid` is None while it does not run."""

    pod: str
    name: str
    pid: Callable[[], int | None]
    cpu_cores: float = 1.0
    memory_bytes: float = 384.0 * MIB
    """The limits; by default those of the stack `local`."""
    restarts: int = 0


@dataclass
class Kubelet:
    """The endpoint; while `silent` it says nothing of any container."""

    containers: list[Container] = field(default_factory=list)
    silent: bool = False
    url: str = ""

    @property
    def target(self) -> Target:
        """Where Prometheus finds it."""
        return Target("simulated-kubelet", self.url, honor_labels=True)

    async def metrics(self, _: web.Request) -> web.Response:
        """Answer with what is simulated, in Prometheus' text format."""
        lines = [] if self.silent else [line for one in self.containers for line in _lines(one)]
        return web.Response(text="".join(f"{line}\n" for line in lines))


@asynccontextmanager
async def kubelet() -> AsyncIterator[Kubelet]:
    """Serve a kubelet that knows no container yet."""
    simulated = Kubelet()
    app = web.Application()
    app.router.add_get("/metrics", simulated.metrics)
    async with served(app) as simulated.url:
        yield simulated


def _lines(container: Container) -> Iterator[str]:
    yield _sample(CONTAINER_RESTARTS, container, container.restarts)
    for resource, unit, limit in (
        ("cpu", "core", container.cpu_cores),
        ("memory", "byte", container.memory_bytes),
    ):
        yield _sample(
            CONTAINER_LIMITS, container, limit, resource=resource, unit=unit, node="simulated"
        )
    pid = container.pid()
    if pid is None:
        return
    try:
        process = psutil.Process(pid)
        used, memory = process.cpu_times(), process.memory_info().rss
    except psutil.Error:  # it has just ended
        return
    yield _sample(CONTAINER_CPU, container, used.user + used.system, image=IMAGE)
    yield _sample(CONTAINER_MEMORY, container, memory, image=IMAGE)


def _sample(metric: Metric, container: Container, value: float, **labels: str) -> str:
    every = {
        "namespace": NAMESPACE,
        "pod": container.pod,
        "container": container.name,
        **labels,
    }
    inside = ",".join(f'{label}="{text}"' for label, text in every.items())
    return f"{metric.name}{{{inside}}} {value}"
