"""Where the scheduler places the API's pods, on two nodes without a zone: a small cluster."""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from infra import labels
from tests.infra.stacks import API, get, rendered
from tests.support.kubernetes import NODE, Cluster

pytestmark = pytest.mark.timeout(300)  # some rollouts of seconds each, on a busy machine

OTHER_NODE = "node-2"
NAMESPACE = "spread"
PODS = 3
DRAINS = "tests.coinslot.dev/drains"
"""Keeps pods that are ending for as long as a test wants: simulated ones have nothing to drain."""
WAIT = ("--timeout=60s",)


@pytest.fixture
def two_nodes(cluster: Cluster) -> Iterator[Cluster]:
    """Add a node and a namespace, and take both away again."""
    metadata = {"name": OTHER_NODE, "labels": {labels.HOSTNAME: OTHER_NODE}}
    cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
    cluster.kubectl("label", "node", NODE, f"{labels.HOSTNAME}={NODE}", "--overwrite")
    cluster.kubectl("wait", "--for=condition=Ready", f"node/{OTHER_NODE}", *WAIT)
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("create", "serviceaccount", API, "-n", NAMESPACE)
    yield cluster
    cluster.kubectl("delete", "deployment", API, "-n", NAMESPACE, "--cascade=orphan", *WAIT)
    for pod in pods(cluster):
        name, nothing = pod["metadata"]["name"], '{"metadata": {"finalizers": null}}'
        cluster.kubectl("patch", "pod", name, "-n", NAMESPACE, "--type=merge", "-p", nothing)
    cluster.kubectl("delete", "namespace", NAMESPACE, *WAIT)
    cluster.kubectl("delete", "node", OTHER_NODE)


def deployment(revision: int) -> Any:
    found = copy.deepcopy(get(rendered("local"), "Deployment", API))
    found["metadata"]["namespace"] = NAMESPACE
    found["spec"] |= {"replicas": PODS, "minReadySeconds": 0}
    template = found["spec"]["template"]["metadata"]
    template["annotations"]["revision"] = str(revision)
    template["finalizers"] = [DRAINS]
    return found


def pods(cluster: Cluster) -> list[Any]:
    listing = json.loads(cluster.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json"))
    return list(listing["items"])


def rolled_out(cluster: Cluster, revision: int) -> Counter[str]:
    """Roll the API out; return how many pods each node has then."""
    cluster.apply(deployment(revision))
    cluster.kubectl("rollout", "status", f"deployment/{API}", "-n", NAMESPACE, *WAIT)
    return Counter(
        pod["spec"]["nodeName"]
        for pod in pods(cluster)
        if pod["metadata"]["annotations"]["revision"] == str(revision)
    )


def test_each_rollout_spreads_its_own_pods(two_nodes: Cluster) -> None:
    """With a node drained all pods are on the other one; the next ones don't flee from them."""
    two_nodes.kubectl("cordon", OTHER_NODE)
    assert rolled_out(two_nodes, 0) == {NODE: PODS}, "none waits for the node that is drained"

    two_nodes.kubectl("uncordon", OTHER_NODE)
    for revision in (1, 2):
        found = rolled_out(two_nodes, revision)
        assert sorted(found.values()) == [PODS // 2, PODS - PODS // 2], found
