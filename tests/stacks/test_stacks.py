"""The life of staging and prod on a real API server, by the engine and the official provider.

Their databases and images are elsewhere, so the pods are simulated; everything else is what `make
up` does with `coinslot:target: cluster`. The stack `local` lives on real nodes (tests/cluster).
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import labels
from infra.stacks import STACKS
from scripts.deploy import drift
from scripts.deploy.engine import Engine
from tests.support.kubernetes import DEFINITIONS, Cluster
from tests.support.provider import ROOT

pytestmark = pytest.mark.timeout(900)  # a dozen runs of some seconds each, on a busy machine

BY_DIGEST = "prod"
"""The stack whose image has to be named by its digest."""
WAIT = ("--timeout=60s",)
API = "coinslot-api"
SCALED = 4
"""Pods that an autoscaler may want in every stack: more than the least, no more than the most."""
FORCE = "PULUMI_K8S_ENABLE_PATCH_FORCE"
RULES = "coinslot-adapter-rules"
KINDS = [f"monitoring.coreos.com_{kind}.yaml" for kind in ("prometheusrules", "servicemonitors")]


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

    def write_settings(self, tag: str) -> None:
        """Write the committed settings with what a cluster needs."""
        path = self.engine.config_file
        assert path is not None
        document = yaml.safe_load((ROOT / path.name).read_text())
        settings: dict[str, Any] = document["config"]
        settings["coinslot:target"] = "cluster"
        settings["coinslot:image"]["tag"] = tag
        if self.name == BY_DIGEST:
            settings["coinslot:image"]["digest"] = f"sha256:{sha256(tag.encode()).hexdigest()}"
        path.write_text(yaml.safe_dump(document))

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


@pytest.fixture(params=[stack for stack in STACKS if stack != "local"])
def stack(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Iterator[Stack]:
    name = request.param
    for path in map(DEFINITIONS.joinpath, KINDS):
        cluster.kubectl("apply", "--server-side", "-f", str(path))
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1}
    cluster.apply({**priority, "metadata": {"name": "payments-critical"}})
    with (tmp_path / "engine.log").open("w") as log:
        engine = Engine(
            backend=tmp_path / "state",
            output=log,
            config_file=tmp_path / f"Pulumi.{name}.yaml",
            environ={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        )
        made = Stack(name, engine, cluster, tmp_path / "engine.log")
        made.write_settings("0.1.0")
        yield made


def test_a_stack_lives_on_a_cluster(stack: Stack) -> None:
    engine, cluster, name = stack.engine, stack.cluster, stack.name
    planned = engine.run("preview", name)
    assert planned.changes["create"] > 25
    assert cluster.kubectl.get("namespace", stack.namespace) is None

    made = engine.run("up", name)
    assert made.changes == planned.changes
    kinds = "servicemonitors,prometheusrules"
    assert cluster.kubectl("get", kinds, "-n", stack.namespace, "-o", "name")
    assert stack.tags() == {"0.1.0"}
    assert engine.run("preview", name).unchanged
    assert engine.run("refresh", name).unchanged

    scale(stack, SCALED)
    stack.write_settings("0.2.0")
    rolled = engine.run("up", name)
    assert rolled.changes["replace"] == 2  # a Job is not changed, nor is a version of the settings
    assert stack.tags() == {"0.2.0"}
    assert replicas(stack) == SCALED, "they are the autoscaler's"
    drift_is_named_and_repaired(stack)
    gone = engine.run("destroy", name)
    assert gone.changes["delete"] >= made.changes["create"]
    assert cluster.kubectl.get("namespace", stack.namespace) is None


def scale(stack: Stack, pods: int) -> None:
    """Do what the autoscaler does, as who it does it."""
    stack.cluster.kubectl(
        *("patch", "deployment", API, "-n", stack.namespace, "--subresource=scale"),
        *("--type=merge", "-p", f'{{"spec": {{"replicas": {pods}}}}}'),
        "--field-manager=kube-controller-manager",
    )


def replicas(stack: Stack) -> int:
    api = stack.cluster.kubectl.get("deployment", API, stack.namespace)
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
    assert cluster.kubectl.get("service", "coinslot-api", stack.namespace)
    config = cluster.kubectl.get("configmap", RULES, stack.namespace)
    assert config is not None
    assert "active_payments" in config["data"]["config.yaml"]
    assert drift.found(engine.run("drift", name).events) == []
