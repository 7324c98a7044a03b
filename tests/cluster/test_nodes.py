"""A node is drained, and a node is lost."""

import time

import pytest

from infra import labels
from scripts.cluster import namespaces, nodes
from scripts.cluster.stack import NAMESPACE
from tests.cluster.conftest import ROLLOUT_TIMEOUT_S, Event
from tests.cluster.shop import OTHER, Shop

pytestmark = pytest.mark.long
DRAIN_TIMEOUT_S = 240.0
LOSS_TIMEOUT_S = 120.0  # the controller manager waits 50 s for a node's heartbeat
POLL_S = 0.5


def test_a_node_is_drained(shop: Shop, event: Event) -> None:
    kubectl = shop.kubectl
    assert any(pod["spec"]["nodeName"] == OTHER for pod in shop.pods(labels.API))
    try:
        with event("a node is drained", failures=False):
            kubectl(
                *("drain", OTHER, "--ignore-daemonsets", "--delete-emptydir-data"),
                timeout_s=DRAIN_TIMEOUT_S,
            )
            kubectl.rollout(NAMESPACE, ["deployment/coinslot-api"], ROLLOUT_TIMEOUT_S)
        assert not [pod for pod in shop.pods(labels.API) if pod["spec"]["nodeName"] == OTHER]
    finally:
        kubectl("uncordon", OTHER)


def test_a_node_is_lost(shop: Shop, event: Event) -> None:
    """Its pods answer no more, at once; the node comes back, and takes pods again."""
    kubectl = shop.kubectl
    kubectl("rollout", "restart", "deployment/coinslot-api", "-n", NAMESPACE)  # over both nodes
    kubectl.rollout(NAMESPACE, ["deployment/coinslot-api"], ROLLOUT_TIMEOUT_S)
    assert any(pod["spec"]["nodeName"] == OTHER for pod in shop.pods(labels.API))
    with event("a node is lost and comes back"):
        namespaces.end(shop.layout, OTHER)
        deadline = time.monotonic() + LOSS_TIMEOUT_S
        while nodes.is_ready(OTHER, kubectl):
            assert time.monotonic() < deadline, "nobody noticed"
            time.sleep(POLL_S)
        nodes.start_node(shop.layout, OTHER)
        nodes.until_ready(shop.layout, OTHER, kubectl)
        kubectl.rollout(NAMESPACE, ["deployment/coinslot-api"], ROLLOUT_TIMEOUT_S)
