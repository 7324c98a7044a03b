"""Who reaches whom, tried from inside; and what a pod may do to itself.

The policies are enforced by scripts/cluster/policies.py, where the nodes are ours.
"""

import json
from collections.abc import Iterator

import pytest

from infra import labels
from scripts.cluster import layout as at
from scripts.cluster.stack import NAMESPACE
from tests.cluster.load import INGRESS
from tests.cluster.shop import Shop

PROBE = """
import json, socket, sys
found = {}
for name, host, port in json.loads(sys.argv[1]):
    try:
        socket.create_connection((host, port), 2).close()
        found[name] = "open"
    except OSError as error:
        found[name] = "closed" if isinstance(error, TimeoutError) else repr(error)
print(json.dumps(found))
"""
READY_TIMEOUT_S = 60.0
TMP = "/tmp"  # noqa: S108  a pod's own
MONITORING = "monitoring"
ELSEWHERE = "default"
NOBODY = "192.0.2.1"
"""An address of the outside; documentation's, which nobody has."""
OURS = {
    labels.API: {labels.POSTGRESQL, labels.VALKEY, labels.SIMULATOR},
    labels.WORKER: {labels.POSTGRESQL, labels.SIMULATOR},
    labels.SIMULATOR: {"api"},
}
"""What each component's pods reach; every other target is closed to them."""
STRANGERS = {
    INGRESS: {"api", "api pod"},
    MONITORING: {"api ops", "worker ops"},
    ELSEWHERE: set[str](),
}
"""The same of pods in other namespaces, which no policy of ours keeps in."""


def targets(shop: Shop, itself: str = "") -> list[tuple[str, str, int]]:
    """Return what is asked, with the pods' own addresses of others than `itself`."""

    def address(component: str) -> str:
        others = [pod for pod in shop.pods(component) if pod["metadata"]["name"] != itself]
        return str(others[0]["status"]["podIP"]) if others else NOBODY

    def service(component: str) -> str:
        return f"{labels.resource_name(component)}.{NAMESPACE}"

    return [
        (labels.POSTGRESQL, service(labels.POSTGRESQL), labels.POSTGRESQL_PORT),
        (labels.VALKEY, service(labels.VALKEY), labels.VALKEY_PORT),
        (labels.SIMULATOR, service(labels.SIMULATOR), labels.SIMULATOR_PORT),
        ("postgresql pod", address(labels.POSTGRESQL), labels.POSTGRESQL_PORT),
        ("api", service(labels.API), labels.SERVICE_PORT),
        ("api pod", address(labels.API), labels.HTTP_PORT),
        ("api ops", address(labels.API), labels.OPS_PORT),
        ("worker ops", address(labels.WORKER), labels.OPS_PORT),
    ]


OUTSIDE = [
    ("kubernetes", at.API_SERVICE, 443),
    ("control plane", at.CONTROL_ADDRESS, at.API_PORT),
    ("kubelet", at.node_address(at.NODES[0]), 10250),
    ("internet", NOBODY, 443),
]
"""No pod of ours has any business there."""


@pytest.mark.parametrize("component", OURS)
def test_our_pods_reach_what_is_declared(shop: Shop, component: str) -> None:
    pod = shop.pods(component)[0]["metadata"]["name"]
    asked = [*targets(shop, pod), *OUTSIDE]
    found = probe(shop, NAMESPACE, pod, asked)
    allowed = OURS[component] | {
        {"postgresql": "postgresql pod", "api": "api pod"}.get(name, name)
        for name in OURS[component]
    }
    assert {name for name, how in found.items() if how == "open"} == allowed
    assert {how for name, how in found.items() if name not in allowed} == {"closed"}


@pytest.fixture(params=STRANGERS)
def stranger(request: pytest.FixtureRequest, shop: Shop) -> Iterator[str]:
    """Run a pod in another namespace; give the namespace."""
    namespace = request.param
    image = shop.settings()["config"]["coinslot:dependencies"]["simulator"]
    container = {"name": "probe", "image": image, "command": ["sleep", "600"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    metadata = {"name": "probe", "namespace": namespace}
    shop.kubectl.apply(
        json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    )
    where = ("pod/probe", "-n", namespace)
    shop.kubectl.wait("condition=Ready", *where, timeout_s=READY_TIMEOUT_S)
    yield namespace
    shop.kubectl("delete", *where)


def test_strangers_reach_what_is_declared(shop: Shop, stranger: str) -> None:
    found = probe(shop, stranger, "probe", targets(shop))
    assert {name for name, how in found.items() if how == "open"} == STRANGERS[stranger]
    assert set(found.values()) <= {"open", "closed"}


def probe(
    shop: Shop, namespace: str, pod: str, asked: list[tuple[str, str, int]]
) -> dict[str, str]:
    text = shop.exec(namespace, pod, "python3", "-c", PROBE, json.dumps(asked))
    found: dict[str, str] = json.loads(text)
    return found


INSIDE = """
import json, os, sys
def writable(path):
    try:
        open(os.path.join(path, "probe"), "w").close()
        os.remove(os.path.join(path, "probe"))
        return True
    except OSError:
        return False
status = dict(line.split(":\\t", 1) for line in open("/proc/1/status") if ":\\t" in line)
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "writable": [path for path in json.loads(sys.argv[1]) if writable(path)],
    "capabilities": status["CapEff"].strip(),
    "more rights": status["NoNewPrivs"].strip(),
    "token": os.path.exists("/var/run/secrets/kubernetes.io"),
}))
"""


@pytest.mark.parametrize("component", [labels.API, labels.WORKER, labels.SIMULATOR])
def test_a_pod_is_nobody_and_writes_nowhere(shop: Shop, component: str) -> None:
    pod = shop.pods(component)[0]["metadata"]["name"]
    asked = json.dumps(["/", "/opt/coinslot/app", "/etc", "/var", TMP])
    assert json.loads(shop.exec(NAMESPACE, pod, "python3", "-c", INSIDE, asked)) == {
        "user": [10001, 10001],
        "writable": [TMP],
        "capabilities": "0000000000000000",
        "more rights": "1",
        "token": False,
    }
