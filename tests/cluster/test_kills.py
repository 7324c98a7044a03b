"""Processes that end without a word, and pods that are taken away."""

import json
import subprocess
import time

import pytest

from infra import labels
from scripts.cluster import namespaces
from scripts.cluster.stack import NAMESPACE
from scripts.kubectl import Object
from scripts.programs import ProgramError
from tests.cluster.conftest import ROLLOUT_TIMEOUT_S, Event
from tests.cluster.shop import Shop

RESTART_TIMEOUT_S = 60.0
POLL_S = 0.2


def kill(shop: Shop, pod: Object) -> None:
    """Kill a pod's process with signal 9, as the kernel does when memory runs out."""
    status, spec = pod["status"], pod["spec"]
    identity = status["containerStatuses"][0]["containerID"].partition("://")[2]
    command = ("ctr", "-n", "k8s.io", "task", "kill", "--signal", "SIGKILL", identity)
    inside = namespaces.enter(shop.layout, spec["nodeName"], *command, mounts=True)
    subprocess.run(inside, check=True, capture_output=True, timeout=30)


def restarts(shop: Shop, name: str) -> int:
    pod = shop.kubectl.get("pod", name, NAMESPACE)
    assert pod is not None
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


@pytest.mark.parametrize(
    "component",
    [
        labels.API,
        pytest.param(labels.WORKER, marks=pytest.mark.long),
        pytest.param(labels.POSTGRESQL, marks=pytest.mark.long),
        pytest.param(labels.VALKEY, marks=pytest.mark.long),
    ],
)
def test_a_process_is_killed(shop: Shop, event: Event, component: str) -> None:
    pod = shop.pods(component)[0]
    name = pod["metadata"]["name"]
    before = restarts(shop, name)
    with event(f"`kill -9` of {component}"):
        kill(shop, pod)
        deadline = time.monotonic() + RESTART_TIMEOUT_S
        while restarts(shop, name) == before:
            assert time.monotonic() < deadline, "it was not started again"
            time.sleep(POLL_S)
        shop.kubectl.wait(
            "condition=Ready", f"pod/{name}", "-n", NAMESPACE, timeout_s=ROLLOUT_TIMEOUT_S
        )


@pytest.mark.long
def test_a_pod_is_deleted(shop: Shop, event: Event) -> None:
    name = shop.pods(labels.API)[0]["metadata"]["name"]
    with event("a pod of the API is deleted", failures=False):
        shop.kubectl("delete", "pod", name, "-n", NAMESPACE, timeout_s=ROLLOUT_TIMEOUT_S)
        shop.kubectl.rollout(NAMESPACE, ["deployment/coinslot-api"], ROLLOUT_TIMEOUT_S)


@pytest.mark.long
def test_evictions_stop_at_the_budget(shop: Shop, event: Event) -> None:
    """As many pods may go as the budget says; one more at once is refused."""
    names = [pod["metadata"]["name"] for pod in shop.pods(labels.API)]
    with event("evictions up to the disruption budget", failures=False):
        allowed = shop.get("pdb", "coinslot-api")["status"]["disruptionsAllowed"]
        assert 0 < allowed < len(names)
        for name in names[:allowed]:
            evict(shop, name)
        with pytest.raises(ProgramError, match="disruption budget"):
            evict(shop, names[allowed])
        shop.kubectl.rollout(NAMESPACE, ["deployment/coinslot-api"], ROLLOUT_TIMEOUT_S)


def evict(shop: Shop, pod: str) -> None:
    metadata = {"name": pod, "namespace": NAMESPACE}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    shop.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(body))
