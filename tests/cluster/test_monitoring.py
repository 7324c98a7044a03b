"""The operator takes up what the stack brings, and alerts go the whole way by real causes."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import pytest

import alerts
from infra import labels
from scripts.cluster.addons import MONITORING
from scripts.cluster.stack import NAMESPACE
from scripts.kubectl import Object
from scripts.programs import ProgramError
from tests.cluster.conftest import Event
from tests.cluster.shop import Shop
from tests.cluster.test_kills import kill, restarts

UP_TIMEOUT_S = 180.0  # the operator writes, the reloader sees it, Prometheus scrapes
ALERT_TIMEOUT_S = 600.0  # windows of five minutes have to fill, and to empty
POLL_S = 1.0
HELD = "15s"
KUBELET_ALERTS = ("PodRestarting", "ContainerMetricsMissing", "CpuHigh", "MemoryHigh")
RULE = "held-for-less"
RESTARTS = 3
FEW = 1.0
"""Purchases a second: the last of many that were cut off would be tried again for long."""
LIMIT = 384 * 1024 * 1024
FILLED = 0.72
"""Of an API pod's memory, beside what the service itself needs."""
BURN = "while True: pass"
FILL = "import time; kept = b'x' * {size}; time.sleep(900)"


@dataclass
class Watched:
    """Prometheus and Alertmanager, on ports of this machine."""

    shop: Shop
    prometheus: int
    alertmanager: int

    def query(self, expression: str) -> list[Object]:
        answer = self.shop.ask(self.prometheus, f"/api/v1/query?query={quote(expression)}")
        found: list[Object] = answer["data"]["result"]
        return found

    def alerting(self) -> set[str]:
        """Return the alerts that have reached Alertmanager and are not resolved."""
        found = self.shop.ask(self.alertmanager, "/api/v2/alerts?active=true")
        return {each["labels"]["alertname"] for each in found}

    def until(self, holds: Callable[[], bool], timeout_s: float = ALERT_TIMEOUT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, (self.alerting(), self.query("ALERTS"))
            time.sleep(POLL_S)


@pytest.fixture
def watched(shop: Shop) -> Iterator[Watched]:
    with (
        shop.forwarded(MONITORING, "pod/prometheus-main-0", 9090) as prometheus,
        shop.forwarded(MONITORING, "pod/alertmanager-main-0", 9093) as alertmanager,
    ):
        yield Watched(shop, prometheus, alertmanager)


def test_the_operator_takes_up_all_that_the_stack_brings(shop: Shop, watched: Watched) -> None:
    rules = [rule for group in alerts.groups() for rule in group["rules"]]
    expected = {rule["alert"] for rule in rules if "alert" in rule}

    def loaded() -> bool:
        groups = shop.ask(watched.prometheus, "/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        healthy = {rule["name"] for rule in rules if rule["health"] == "ok"}
        return expected <= healthy

    watched.until(loaded, UP_TIMEOUT_S)
    pods = len(shop.pods(labels.API)) + len(shop.pods(labels.WORKER))
    up = f'count(up{{namespace="{NAMESPACE}", job=~"coinslot-(api|worker)"}} == 1)'
    watched.until(
        lambda: [each["value"][1] for each in watched.query(up)] == [str(pods)], UP_TIMEOUT_S
    )
    for series in ("container_memory_working_set_bytes", "kube_pod_container_resource_limits"):
        assert watched.query(f'{series}{{namespace="{NAMESPACE}", pod=~"coinslot-api-.+"}}'), series
    boards = shop.kubectl.items("configmaps", "-n", NAMESPACE, "-l", f"{labels.DASHBOARD}=1")
    assert len(boards) == 10


def test_a_rule_that_cannot_be_parsed_is_refused(shop: Shop) -> None:
    """By the operator's webhook, as the API server asks it."""
    with pytest.raises(ProgramError, match=r"denied|parse error"):
        shop.kubectl.apply(rule("wrong", [{"alert": "Wrong", "expr": "sum("}]))


def rule(name: str, rules: list[Object]) -> str:
    return json.dumps(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": name, "namespace": MONITORING},
            "spec": {"groups": [{"name": name, "interval": "15s", "rules": rules}]},
        }
    )


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_a_fault_of_the_provider_fires_its_alert_and_resolves(
    shop: Shop, event: Event, watched: Watched
) -> None:
    simulator = shop.pods(labels.SIMULATOR)[0]["metadata"]["name"]
    fault = {"target": "provider.charge", "kind": "status", "status": 503, "times": None}
    with (
        event("the provider answers 503 for minutes", rate=FEW),
        shop.forwarded(NAMESPACE, f"pod/{simulator}", labels.SIMULATOR_PORT) as outside,
    ):
        shop.ask(outside, "/control/faults", fault)
        try:
            watched.until(lambda: "ProviderDown" in watched.alerting())
        finally:
            shop.ask(outside, "/control/faults", method="DELETE")
        watched.until(lambda: "ProviderDown" not in watched.alerting())


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_alerts_of_the_kubelet_fire_by_their_causes(shop: Shop, watched: Watched) -> None:
    """With the stack's own expressions, held for seconds in place of minutes."""
    api, other, *_ = shop.pods(labels.API)
    full = FILL.format(size=int(LIMIT * FILLED))
    with held_for_less(shop):
        with busy(shop, shop.pods(labels.WORKER)[0], BURN), busy(shop, other, full):
            with measures_missing(shop):
                watched.until(lambda: "ContainerMetricsMissing" in watched.alerting())
            watched.until(lambda: "ContainerMetricsMissing" not in watched.alerting())
            for _ in range(RESTARTS):
                crash(shop, api["metadata"]["name"])
            watched.until(lambda: {"PodRestarting", "CpuHigh", "MemoryHigh"} <= watched.alerting())
        watched.until(lambda: not {"CpuHigh", "MemoryHigh"} & watched.alerting())


@contextmanager
def held_for_less(shop: Shop) -> Iterator[None]:
    rules = [
        {**rule, "for": HELD}
        for group in alerts.groups()
        for rule in group["rules"]
        if rule.get("alert") in KUBELET_ALERTS
    ]
    assert len(rules) == len(KUBELET_ALERTS)
    shop.kubectl.apply(rule(RULE, rules))
    try:
        yield
    finally:
        shop.kubectl("delete", "prometheusrule", RULE, "-n", MONITORING)


@contextmanager
def measures_missing(shop: Shop) -> Iterator[None]:
    scale = ("scale", "deployment/kube-state-metrics", "-n", MONITORING)
    shop.kubectl(*scale, "--replicas=0")
    try:
        yield
    finally:
        shop.kubectl(*scale, "--replicas=1")


@contextmanager
def busy(shop: Shop, pod: Object, program: str) -> Iterator[None]:
    """Run a program in a pod's container, at the cost of its limits."""
    name = pod["metadata"]["name"]
    started = shop.execute(NAMESPACE, name, "python3", "-c", program)
    try:
        yield
    finally:
        shop.kubectl("delete", "pod", name, "-n", NAMESPACE, timeout_s=UP_TIMEOUT_S)
        started.wait(UP_TIMEOUT_S)


def crash(shop: Shop, name: str) -> None:
    before = restarts(shop, name)
    pod = shop.kubectl.get("pod", name, NAMESPACE)
    assert pod is not None
    kill(shop, pod)
    deadline = time.monotonic() + UP_TIMEOUT_S
    while restarts(shop, name) == before:
        assert time.monotonic() < deadline
        time.sleep(POLL_S)
    shop.kubectl.wait("condition=Ready", f"pod/{name}", "-n", NAMESPACE, timeout_s=UP_TIMEOUT_S)
