"""The real service under a real Prometheus: `live_platform` starts both, and a load.

Real are PostgreSQL, Valkey, the simulator, the API, the worker and Prometheus, which scrapes them
with the labels that a ServiceMonitor gives, and evaluates the service's own rules in a scaled time.
What a kubelet would report is simulated (tests/live/kubelet.py).
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812  a class, named as one

from alerts.model import SERVICE_LABEL
from scripts.platform.embedded import LOOPBACK, EmbeddedError, free_port
from scripts.platform.launcher import (
    Platform,
    PlatformError,
    Report,
    listens,
    platform,
    start_role,
)
from scripts.platform.processes import Child, ProcessDiedError
from simulator.client import Control, ControlError
from tests.live.kubelet import NAMESPACE, Container, Kubelet, kubelet
from tests.live.load import ADMIN, Load
from tests.live.merchants import Merchants, merchants
from tests.live.scale import scaled_groups
from tests.support.prometheus import (
    Discovery,
    Group,
    Prometheus,
    PrometheusError,
    Target,
    prometheus,
)

Seen = TypeVar("Seen")

SCRAPE_S: Final = 1.0
EVALUATE_S: Final = 1.0
SEEN_S: Final = 60.0  # a few seconds when idle: Prometheus follows its discovery in five
POLL_S: Final = 0.2

FAILURES: Final = (EmbeddedError, PlatformError, ProcessDiedError, PrometheusError, ControlError)
"""What starting or using it may raise."""

OWN_SERVERS: Final = ("DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL")
"""Never taken from outside: the faults here damage what they name."""

SMALL: Final = {
    "AUDIT_SEAL_INTERVAL_S": "1",
    "RECONCILIATION_INTERVAL_S": "3",
    "RECONCILIATION_GRACE_S": "10",  # twice as long as a call that times out
    "GAME_CACHE_TTL_S": "600",
    "BREAKER_FAILURES": "20",  # so that time-outs are seen for a while before it opens
    "DB_POOL_SIZE": "4",
    "DB_BATCH_CONNECTIONS": "1",
    "DB_BATCH_ITEMS": "2",
    "DB_BATCH_QUEUE": "20",
    "WORKER_POLL_S": "0.2",
    "SHUTDOWN_DRAIN_S": "2",
    "WEBHOOK_URL_SCHEMES": "http+https",
    "WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8",
}
"""Settings of a small service in a hurry: what happens hourly, happens in seconds."""


@dataclass
class Pod:
    """A process of the service, with its name where there is a Kubernetes."""

    name: str
    role: str
    url: str
    ops_url: str
    child: Child
    container: Container

    @property
    def target(self) -> Target:
        """Return where Prometheus finds it, with the labels that a ServiceMonitor gives."""
        service = f"{SERVICE_LABEL}-{self.role}"
        labels = {
            "namespace": NAMESPACE,
            "service": service,
            "pod": self.name,
            "container": self.role,
            "endpoint": "ops",
        }
        return Target(service, self.ops_url, labels)


@dataclass
class Live:
    """A running platform that is watched. Times are Unix times."""

    platform: Platform
    prometheus: Prometheus
    control: Control
    kubelet: Kubelet
    merchants: Merchants
    load: Load
    started: float
    discovery: Discovery
    pods: dict[str, Pod] = field(default_factory=dict)

    def adopt(self, name: str, role: str, url: str, child: Child, *, ops_url: str = "") -> Pod:
        """Let a process that runs already be a pod that is scraped; `ops_url` is only the API's."""

        def pid() -> int | None:
            return pod.child.pid if pod.child.returncode is None else None

        full = f"{SERVICE_LABEL}-{role}-{name}"
        pod = Pod(full, role, url, ops_url or url, child, Container(full, role, pid))
        self.pods[name] = pod
        self.kubelet.containers.append(pod.container)
        return pod

    def spawn(self, name: str, role: str, environ: Mapping[str, str] | None = None) -> Pod:
        """Start another pod of a role, not waiting for it; `environ` overrides settings."""
        url, ops_url = (f"http://{LOOPBACK}:{free_port()}" for _ in range(2))
        settings = {**self.platform.environ, **(environ or {}), **listens(role, url, ops_url)}
        child = start_role(role, settings, self.platform.logs / f"{name}.log")
        return self.adopt(name, role, url, child, ops_url=ops_url if role == "api" else "")

    def discover(self, pods: Sequence[Pod] | None = None) -> None:
        """Let Prometheus scrape all pods, or of these only."""
        found = self.pods.values() if pods is None else pods
        self.discovery.publish([pod.target for pod in found])

    def owner(self) -> Connection:
        """Return a connection to the database as its owner, who may do anything."""
        return psycopg2.connect(self.platform.environ["MIGRATION_DATABASE_URL"])

    @contextmanager
    def owner_transaction(self) -> Iterator[Connection]:
        """Give a connection as the owner; what is done is committed."""
        with closing(self.owner()) as connection, connection:
            yield connection

    def respawn(self, pod: Pod, environ: Mapping[str, str] | None = None) -> None:
        """Start the process of a pod again, as the kubelet does with one that has ended."""
        where = listens(pod.role, pod.url, pod.ops_url)
        settings = {**self.platform.environ, **(environ or {}), **where}
        pod.child = start_role(pod.role, settings, pod.child.log)
        pod.container.restarts += 1

    async def seen(self, expression: str) -> None:
        """Wait until Prometheus has an answer to an expression; raise PlatformError."""
        await _until(lambda: self.prometheus.query(expression), bool, f"no answer: {expression}")

    async def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        return {
            one["labels"]["alertname"]
            for one in await self.prometheus.alerts()
            if one["state"] == "firing"
        }


@asynccontextmanager
async def live_platform(
    folder: Path,
    *,
    groups: Sequence[Group] | None = None,
    report: Report = lambda _part, _seconds, _where: None,
) -> AsyncIterator[Live]:
    """Run everything below `folder`, scraped and with a load, until the block ends.

    Without `groups` Prometheus evaluates the service's own rules, scaled.
    The load sells from the start. `report` is called as `scripts.platform.launcher` does. Raises
    one of FAILURES.
    """
    clean = {name: value for name, value in os.environ.items() if name not in OWN_SERVERS}
    folder = folder.resolve()
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            platform(folder / "platform", durable=False, environ={**clean, **SMALL}, report=report)
        )
        simulated = await stack.enter_async_context(kubelet())
        shops = await stack.enter_async_context(merchants())
        discovery = Discovery(folder / "pods.json")
        discovery.publish(())
        began = time.monotonic()
        options: dict[str, Any] = {"scrape_s": SCRAPE_S, "evaluate_s": EVALUATE_S}
        options["groups"] = scaled_groups() if groups is None else groups
        watching = await stack.enter_async_context(
            prometheus(folder / "prometheus", [discovery, simulated.target], **options)
        )
        control = running.simulator()
        live = Live(
            *(running, watching, control, simulated, shops, Load(running, control)),
            started=time.time(),
            discovery=discovery,
        )
        stack.callback(_stop_pods, live)
        await _begin(live)
        report("Prometheus", time.monotonic() - began, watching.url)
        await stack.enter_async_context(live.load)
        yield live


async def _begin(live: Live) -> None:
    """Name the pods, wait until they are scraped, and register the merchants."""
    running = live.platform
    api = running.children["api"]
    live.adopt("first", "api", running.api_url, api, ops_url=running.ops_url)
    live.adopt("first-worker", "worker", running.worker_url, running.children["worker"])
    live.discover()
    async with running.client("operator", ADMIN) as operator:
        await live.merchants.register(operator)
    wanted = {*(pod.ops_url for pod in live.pods.values()), live.kubelet.url}
    await _until(lambda: _up(live.prometheus), lambda up: wanted <= up, f"not scraped: {wanted}")


async def _until(
    look: Callable[[], Awaitable[Seen]], holds: Callable[[Seen], bool], complaint: str
) -> None:
    deadline = time.monotonic() + SEEN_S
    while not holds(await look()):
        if time.monotonic() > deadline:
            raise PlatformError(f"after {SEEN_S:g} s {complaint}")
        await asyncio.sleep(POLL_S)


async def _up(watching: Prometheus) -> set[str]:
    return {
        target["scrapeUrl"].removesuffix("/metrics")
        for target in await watching.targets()
        if target["health"] == "up"
    }


def _stop_pods(live: Live) -> None:
    for pod in live.pods.values():
        if pod.child.returncode is None and pod.child not in live.platform.children.values():
            pod.child.kill()
