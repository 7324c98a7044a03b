"""Every stack's life on a real API server, by the real engine and the official provider.

The pods are simulated; everything else is what `make up` does with `coinslot:target: cluster`.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import labels, service_settings
from infra.config import STACKS
from scripts.deploy import drift
from scripts.deploy.engine import Engine
from scripts.deploy.versions import prune, referred
from tests.support.kubernetes import DEFINITIONS, Cluster
from tests.support.leaks import PLANTED
from tests.support.provider import ROOT

pytestmark = [
    pytest.mark.xdist_group("kubernetes"),
    pytest.mark.timeout(900),  # a dozen runs of some seconds each, on a busy machine
]

OWN_SECRETS = "local"
"""The stack that is tried with secrets of its own; the others' are looked after by the cluster."""
BY_DIGEST = "prod"
"""The stack whose image has to be named by its digest."""
WAIT = ("--timeout=60s",)
API = "coinslot-api"
SCALED = 4
"""Pods that an autoscaler may want in every stack: more than the least, no more than the most."""
FORCE = "PULUMI_K8S_ENABLE_PATCH_FORCE"
SECRET = f"{PLANTED} and more than thirty-two bytes"
FORMED = {
    "DATABASE_URL": f"postgresql://shop:{PLANTED}@coinslot-postgresql/shop",
    "MIGRATION_DATABASE_URL": f"postgresql://owner:{PLANTED}@coinslot-postgresql/shop",
    "REDIS_URL": "redis://coinslot-valkey:6379/0",
}
"""What the stack's own servers are made with and found by."""
RULES = "coinslot-adapter-rules"
DISK: Sequence[dict[str, Any]] = (
    {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
    },
    {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "disk"},
        "spec": {
            "storageClassName": "standard",
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/nowhere"},
        },
    },
)
"""What a cluster has that provides disks: a default class, and one disk for the one claim."""
DATA = "data-coinslot-postgresql-0"


@dataclass(frozen=True)
class Stack:
    """A stack with a state and a settings file of its own; the engine's output is in `log`."""

    name: str
    engine: Engine
    cluster: Cluster
    log: Path

    @property
    def namespace(self) -> str:
        return labels.namespace_name(self.name)

    @property
    def forced(self) -> Engine:
        """Return the engine that takes fields over from whoever changed them by hand."""
        return replace(self.engine, environ={**self.engine.environ, FORCE: "true"})

    def write_settings(self, tag: str) -> dict[str, Any]:
        """Write the committed settings with what a cluster needs; keep the secrets."""
        path = self.engine.config_file
        assert path is not None
        document = yaml.safe_load((ROOT / path.name).read_text())
        settings: dict[str, Any] = document["config"]
        settings["coinslot:target"] = "cluster"
        settings["coinslot:image"]["tag"] = tag
        if self.name == BY_DIGEST:
            settings["coinslot:image"]["digest"] = f"sha256:{sha256(tag.encode()).hexdigest()}"
        if self.name == OWN_SECRETS:
            settings["coinslot:secrets"] = {"source": "stack"}
        if path.exists():
            kept = yaml.safe_load(path.read_text())["config"].get("coinslot:secretValues")
            settings |= {"coinslot:secretValues": kept} if kept else {}
        path.write_text(yaml.safe_dump(document))
        return settings

    def set_secrets(self, names: Iterable[str]) -> None:
        """Encrypt values into the settings file, as its owner would."""
        self.engine.init(self.name)
        where = ("--stack", self.name, "--config-file", str(self.engine.config_file))
        texts = [f"coinslot:secretValues.{each}={FORMED.get(each, SECRET)}" for each in names]
        pairs = [word for text in texts for word in ("--secret", text)]
        self.engine._ask("config", "set-all", *where, "--path", *pairs)

    def tags(self) -> set[str]:
        """Return the tags of our image that pods run when all rollouts have ended."""
        self.cluster.kubectl("rollout", "status", "deployment", "-n", self.namespace, *WAIT)
        listing = self.cluster.kubectl("get", "pods", "-n", self.namespace, "-o", "json")
        running = [
            pod["spec"]["containers"][0]["image"]
            for pod in json.loads(listing)["items"]
            if pod["status"].get("phase") == "Running"
            and "deletionTimestamp" not in pod["metadata"]
        ]
        named = (image.partition("@")[0].rpartition(":") for image in running)
        return {tag for repository, _, tag in named if is_ours(repository)}


def is_ours(repository: str) -> bool:
    return repository.endswith("/coinslot")


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Iterator[Stack]:
    name = request.param
    for path in sorted(DEFINITIONS.glob("*.yaml")):
        cluster.kubectl("apply", "--server-side", "-f", str(path))
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1}
    cluster.apply({**priority, "metadata": {"name": "payments-critical"}})
    cluster.apply(*DISK)
    with (tmp_path / "engine.log").open("w") as log:
        engine = Engine(
            backend=tmp_path / "state",
            output=log,
            config_file=tmp_path / f"Pulumi.{name}.yaml",
            environ={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        )
        made = Stack(name, engine, cluster, tmp_path / "engine.log")
        chosen = made.write_settings("0.1.0")["coinslot:settings"]
        if name == OWN_SECRETS:
            values = service_settings.plain_values(name, "0.1.0", chosen)
            needed = service_settings.required_secret_names(values)
            made.set_secrets(dict.fromkeys((*needed, *FORMED)))
        yield made
    cluster.kubectl("delete", "-f", "-", *WAIT, stdin=yaml.safe_dump_all(DISK))


def test_a_stack_lives_on_a_cluster(stack: Stack) -> None:
    engine, cluster, name = stack.engine, stack.cluster, stack.name
    planned = engine.run("preview", name)
    assert planned.changes["create"] > 25
    assert cluster.get("namespace", stack.namespace) is None

    made = engine.run("up", name)
    assert made.changes == planned.changes
    kinds = "servicemonitors,prometheusrules"
    assert cluster.kubectl("get", kinds, "-n", stack.namespace, "-o", "name")
    assert stack.tags() == {"0.1.0"}
    assert engine.run("preview", name).unchanged
    assert engine.run("refresh", name).unchanged

    scale(stack, SCALED)
    stack.write_settings("0.2.0")
    before = versions_there(stack)
    rolled = engine.run("up", name)
    assert rolled.changes["replace"] == 2  # a Job is not changed, nor is a version of the settings
    assert stack.tags() == {"0.2.0"}
    assert replicas(stack) == SCALED, "they are the autoscaler's"
    if name == OWN_SECRETS:
        old_pods_keep_their_settings(stack, before)
        a_finished_migration_runs_again(stack)

    drift_is_named_and_repaired(stack)
    nothing_leaks(stack)
    gone = engine.run("destroy", name)
    assert gone.changes["delete"] >= made.changes["create"]
    assert cluster.get("namespace", stack.namespace) is None


def scale(stack: Stack, pods: int) -> None:
    """Do what the autoscaler does, as who it does it."""
    stack.cluster.kubectl(
        *("patch", "deployment", API, "-n", stack.namespace, "--subresource=scale"),
        *("--type=merge", "-p", f'{{"spec": {{"replicas": {pods}}}}}'),
        "--field-manager=kube-controller-manager",
    )


def replicas(stack: Stack) -> int:
    api = stack.cluster.get("deployment", API, stack.namespace)
    assert api is not None
    return int(api["spec"]["replicas"])


def drift_is_named_and_repaired(stack: Stack) -> None:
    engine, cluster, name = stack.engine, stack.cluster, stack.name
    assert drift.found(engine.run("drift", name).events) == []
    change = '{"data": {"config.yaml": "rules: []"}}'
    cluster.kubectl("patch", "configmap", RULES, "-n", stack.namespace, "-p", change)
    cluster.kubectl("delete", "service", "coinslot-api", "-n", stack.namespace)

    found = drift.found(engine.run("drift", name).events)
    assert [(each.object, each.gone) for each in found] == [
        (f"ConfigMap {RULES}", False),
        ("Service coinslot-api", True),
    ]
    (field,) = found[0].fields
    assert (field.path, field.after) == ("data[config.yaml]", "rules: []")
    seen = engine.run("refresh", name)
    assert (seen.changes["update"], seen.changes["delete"]) == (1, 1)

    repaired = stack.forced.run("up", name)
    assert repaired.changes["create"] == 1
    assert cluster.get("service", "coinslot-api", stack.namespace)
    config = cluster.get("configmap", RULES, stack.namespace)
    assert config is not None
    assert "active_payments" in config["data"]["config.yaml"]
    assert drift.found(engine.run("drift", name).events) == []


def versions_there(stack: Stack) -> set[str]:
    names = stack.cluster.kubectl(
        *("get", "configmaps,secrets", "-n", stack.namespace, "-l", labels.KEPT, "-o", "name")
    )
    return set(names.split())


def old_pods_keep_their_settings(stack: Stack, before: set[str]) -> None:
    """Go back by hand, and forward and back by the engine, over versions that stay or go."""
    cluster, namespace = stack.cluster, stack.namespace
    now = versions_there(stack)
    assert before < now
    api = ("deployment/coinslot-api", "-n", namespace)
    cluster.kubectl("rollout", "undo", *api)
    cluster.kubectl("rollout", "status", *api, *WAIT)
    deployment = cluster.get("deployment", "coinslot-api", namespace)
    assert deployment is not None
    for kind, name in referred(deployment):
        assert cluster.get(kind, name, namespace), name

    stray = {"name": "coinslot-config-0badcafe", "labels": {labels.KEPT: "config"}}
    metadata = {**stray, "namespace": namespace}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        assert prune(namespace) == ["configmaps/coinslot-config-0badcafe"]
    assert versions_there(stack) == now

    stack.write_settings("0.1.0")
    stack.forced.run("up", stack.name)
    assert versions_there(stack) == now, "what was kept is taken up again"
    stack.write_settings("0.2.0")
    stack.forced.run("up", stack.name)  # the hand that went back still owns the fields
    assert stack.tags() == {"0.2.0"}


def a_finished_migration_runs_again(stack: Stack) -> None:
    """Do what docs/operate/deployment.md says of a database that has lost its data."""
    cluster, namespace = stack.cluster, stack.namespace
    claim = cluster.get("pvc", DATA, namespace)
    assert claim is not None
    assert claim["status"]["phase"] == "Bound"

    jobs = ("job", "-n", namespace, "-l", f"{labels.COMPONENT}={labels.MIGRATE}")
    cluster.kubectl("delete", *jobs)
    stack.engine.run("refresh", stack.name)
    assert stack.forced.run("up", stack.name).changes["create"] == 1
    (job,) = json.loads(cluster.kubectl("get", *jobs, "-o", "json"))["items"]
    assert job["status"]["succeeded"] == 1


def nothing_leaks(stack: Stack) -> None:
    """Look for the planted values in the state; the run itself looks into every log."""
    state = json.dumps(stack.engine.export(stack.name))
    assert PLANTED not in state
    assert "ciphertext" in state or stack.name != OWN_SECRETS
    assert PLANTED not in stack.log.read_text()
