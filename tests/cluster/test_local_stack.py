"""The stack `local` on a real API server, by the real engine: its whole life.

The pods are played; everything else is what `make up` does with `coinslot:target: cluster`.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import labels, service_settings
from scripts.deploy.engine import Engine
from scripts.deploy.versions import prune, referred
from tests.support.kubernetes import DEFINITIONS, Cluster
from tests.support.leaks import PLANTED
from tests.support.provider import ROOT

pytestmark = [
    pytest.mark.xdist_group("kubernetes"),
    pytest.mark.timeout(900),  # a dozen runs of some seconds each, on a busy machine
]

STACK = "local"
NAMESPACE = "coinslot-local"
REPOSITORY = "localhost/coinslot:"
FORCE = "PULUMI_K8S_ENABLE_PATCH_FORCE"
SECRET = f"{PLANTED} and more than thirty-two bytes"
FORMED = {"DATABASE_URL": f"postgresql://shop:{PLANTED}@coinslot-postgresql/shop"}
"""What the stack's own database is made with."""


@pytest.fixture
def engine(cluster: Cluster, tmp_path: Path) -> Iterator[Engine]:
    """Give an engine with a state and a stack file of its own; it speaks into `engine.log`."""
    for path in sorted(DEFINITIONS.glob("*.yaml")):
        cluster.kubectl("apply", "--server-side", "-f", str(path))
    with (tmp_path / "engine.log").open("w") as log:
        engine = Engine(
            backend=tmp_path / "state",
            output=log,
            config_file=tmp_path / f"Pulumi.{STACK}.yaml",
            environ={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        )
        chosen = write_settings(engine, tag="0.1.0")["coinslot:settings"]
        values = service_settings.plain_values(STACK, "0.1.0", chosen)
        engine.init(STACK)
        for name in service_settings.required_secret_names(values):
            set_secret(engine, f"coinslot:secretValues.{name}", FORMED.get(name, SECRET))
        yield engine


def write_settings(engine: Engine, **image: str) -> dict[str, Any]:
    """Write the stack's committed settings with what a cluster needs; keep the secrets."""
    assert engine.config_file is not None
    path = engine.config_file
    document = yaml.safe_load((ROOT / path.name).read_text())
    settings: dict[str, Any] = document["config"]
    settings["coinslot:target"] = "cluster"
    settings["coinslot:secrets"] = {"source": "stack"}
    settings["coinslot:image"] |= image
    if path.exists():
        kept = yaml.safe_load(path.read_text())["config"].get("coinslot:secretValues")
        settings["coinslot:secretValues"] = kept
    path.write_text(yaml.safe_dump(document))
    return settings


def set_secret(engine: Engine, key: str, value: str) -> None:
    """Encrypt a value into the stack's file, as its owner would."""
    engine._ask(
        *("config", "set", "--secret", "--path", key, value, "--stack", STACK),
        *("--config-file", str(engine.config_file)),
    )


def images(cluster: Cluster) -> set[str]:
    pods = json.loads(cluster.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json"))["items"]
    running = [pod for pod in pods if pod["status"].get("phase") == "Running"]
    found = {pod["spec"]["containers"][0]["image"] for pod in running}
    return {image for image in found if image.startswith(REPOSITORY)}  # not the dependencies'


def test_the_stack_lives_on_a_cluster(engine: Engine, cluster: Cluster, tmp_path: Path) -> None:
    planned = engine.run("preview", STACK)
    assert planned.changes["create"] > 25
    assert cluster.get("namespace", NAMESPACE) is None

    made = engine.run("up", STACK)
    assert made.changes == planned.changes
    assert cluster.kubectl("get", "servicemonitors,prometheusrules", "-n", NAMESPACE, "-o", "name")
    assert images(cluster) == {"localhost/coinslot:0.1.0"}
    assert engine.run("preview", STACK).unchanged
    assert engine.run("refresh", STACK).unchanged

    write_settings(engine, tag="0.2.0")
    before = versions_there(cluster)
    rolled = engine.run("up", STACK)
    assert rolled.changes["replace"] == 2  # a Job is not changed, nor is a version of the settings
    assert images(cluster) == {"localhost/coinslot:0.2.0"}
    old_pods_keep_their_settings(engine, cluster, before)

    a_hand_at_work(cluster)
    seen = engine.run("refresh", STACK)
    assert (seen.changes["update"], seen.changes["delete"]) == (1, 1)
    force = replace(engine, environ={**engine.environ, FORCE: "true"})
    repaired = force.run("up", STACK)
    assert repaired.changes["create"] == 1
    assert cluster.get("service", "coinslot-api", NAMESPACE)
    config = cluster.get("configmap", "coinslot-adapter-rules", NAMESPACE)
    assert config is not None
    assert "active_payments" in config["data"]["config.yaml"]

    nothing_leaks(engine, tmp_path)
    gone = engine.run("destroy", STACK)
    assert gone.changes["delete"] >= made.changes["create"]
    assert cluster.get("namespace", NAMESPACE) is None


def versions_there(cluster: Cluster) -> set[str]:
    names = cluster.kubectl(
        *("get", "configmaps,secrets", "-n", NAMESPACE, "-l", labels.KEPT, "-o", "name")
    )
    return set(names.split())


def old_pods_keep_their_settings(engine: Engine, cluster: Cluster, before: set[str]) -> None:
    """Go back by hand, and forward and back by the engine, over versions that stay or go."""
    now = versions_there(cluster)
    assert before < now
    api = ("deployment/coinslot-api", "-n", NAMESPACE)
    cluster.kubectl("rollout", "undo", *api)
    cluster.kubectl("rollout", "status", *api, "--timeout=60s")
    deployment = cluster.get("deployment", "coinslot-api", NAMESPACE)
    assert deployment is not None
    for kind, name in referred(deployment):
        assert cluster.get(kind, name, NAMESPACE), name

    stray = {"name": "coinslot-config-0badcafe", "labels": {labels.KEPT: "config"}}
    metadata = {**stray, "namespace": NAMESPACE}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        assert prune(NAMESPACE) == ["configmaps/coinslot-config-0badcafe"]
    assert versions_there(cluster) == now

    force = replace(engine, environ={**engine.environ, FORCE: "true"})
    write_settings(engine, tag="0.1.0")
    force.run("up", STACK)
    assert versions_there(cluster) == now, "what was kept is taken up again"
    write_settings(engine, tag="0.2.0")
    force.run("up", STACK)  # the hand that went back still owns the fields
    assert images(cluster) == {"localhost/coinslot:0.2.0"}


def a_hand_at_work(cluster: Cluster) -> None:
    change = '{"data": {"config.yaml": "rules: []"}}'
    cluster.kubectl("patch", "configmap", "coinslot-adapter-rules", "-n", NAMESPACE, "-p", change)
    cluster.kubectl("delete", "service", "coinslot-api", "-n", NAMESPACE)


def nothing_leaks(engine: Engine, tmp_path: Path) -> None:
    """Look for the planted values in the state; the run itself looks into every log."""
    state = json.dumps(engine.export(STACK))
    assert PLANTED not in state
    assert "ciphertext" in state
    assert PLANTED not in (tmp_path / "engine.log").read_text()
