"""Releases that can't succeed end in time and say why: the real engine on a real API server."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from infra import labels
from scripts import console
from scripts.deploy.engine import Engine
from scripts.deploy.watch import RolloutError, Watch
from tests.infra.tiny import tiny_root
from tests.support.clones import Clone, Done, clone
from tests.support.kubernetes import DEFINITIONS, Cluster

pytestmark = pytest.mark.timeout(900)  # half a dozen runs of some ten seconds, on a busy machine

STACK = "local"
RELEASED = "staging"
NAMESPACE = labels.namespace_name(RELEASED)
PROGRAM = Path(__file__).with_name("rollout_program.py")
FAILED_WITHIN_S = 120.0

Up = Callable[[str], None]


@pytest.fixture
def up(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Up:
    """Give a function that brings the Deployment to the version with a tag, and is watched."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    root = tiny_root(tmp_path / "program", PROGRAM.read_text())

    def run(tag: str) -> None:
        environ = {**os.environ, "TAG": tag}
        engine = Engine(backend=tmp_path / "state", environ=environ, root=root)
        engine.run("up", STACK, watcher=Watch("default", "up"))

    return run


def test_a_revision_that_can_t_start_ends_the_update_and_the_one_before_mends_it(
    up: Up, cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    up("1")
    began = time.monotonic()
    with pytest.raises(RolloutError) as failed:
        up("missing")
    assert time.monotonic() - began < FAILED_WITHIN_S
    trouble = failed.value.trouble
    assert (trouble.owner, trouble.container) == (("Deployment", "shop"), "shop")
    assert trouble.reason == "ImagePullBackOff"
    assert trouble.message == 'Back-off pulling image "localhost/shop:missing": not found'
    assert capfd.readouterr().err.count("ImagePullBackOff") >= 1
    assert list((tmp_path / "state" / ".pulumi" / "locks").rglob("*.json")) == []

    with pytest.raises(RolloutError) as crashed:  # over the broken pods of the revision before
        up("crashing")
    assert crashed.value.trouble.message == (
        "exit code 137, Error, 3 restarts; Startup probe failed: connection refused"
    )
    up("1")
    shop = cluster.kubectl.get("deployment", "shop", "default")
    assert shop
    containers = shop["spec"]["template"]["spec"]["containers"]
    assert containers[0]["image"] == "localhost/shop:1", "also where the state knows no other"


# --- the command, with a stack of ours ----------------------------------------------------------


@pytest.fixture
def made(cluster: Cluster, tmp_path: Path) -> Clone:
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1}
    cluster.apply({**priority, "metadata": {"name": "payments-critical"}})
    (tmp_path / "state").mkdir()
    return clone(
        tmp_path,
        {
            "KUBECONFIG": str(cluster.kubeconfig),
            "PULUMI_BACKEND_URL": (tmp_path / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "development",
        },
    )


def write_settings(made: Clone, tag: str) -> None:
    """Write the committed settings with a cluster as their target."""
    file = made.root.parent / "mine.yaml"
    document = yaml.safe_load((made.root / f"Pulumi.{RELEASED}.yaml").read_text())
    document["config"]["coinslot:target"] = "cluster"
    document["config"]["coinslot:image"]["tag"] = tag
    file.write_text(yaml.safe_dump(document))


def command(made: Clone, operation: str, *arguments: str, code: int = 0) -> Done:
    settings = ("--settings", str(made.root.parent / "mine.yaml"))
    done = made.run("scripts.deploy.stack", operation, RELEASED, *settings, *arguments)
    assert done.code == code, done.out + done.err
    return done


def test_a_release_is_refused_made_given_up_and_gone_back_from(
    made: Clone, cluster: Cluster
) -> None:
    write_settings(made, "1.0.0")
    cluster.kubectl("delete", "--ignore-not-found", "-f", str(DEFINITIONS))
    refused = command(made, "up", code=console.FAILED)
    last = refused.err.splitlines()[-1]
    assert last.startswith("stack: the cluster does not know PrometheusRule (monitoring.coreos.com")
    assert cluster.kubectl.get("namespace", NAMESPACE) is None
    cluster.kubectl(*last.rpartition("First: kubectl ")[2].split())

    first = command(made, "up")
    assert "does not serve custom.metrics.k8s.io: the autoscaler coinslot-api" in first.err
    write_settings(made, "missing")
    began = time.monotonic()
    failed = command(made, "up", "--json", code=console.FAILED)
    assert time.monotonic() - began < FAILED_WITHIN_S
    last = failed.err.splitlines()[-1]
    assert last.startswith("stack: up failed: Job coinslot-migrate-")
    assert ':missing": not found; go back: make rollback STACK=staging TO=1 SETTINGS=' in last
    assert '"reason": "ImagePullBackOff"' in failed.out

    command(made, "rollback", "--to", "1")
    assert "FAILED" in command(made, "releases").out
    command(made, "destroy")
    assert cluster.kubectl.get("namespace", NAMESPACE) is None
