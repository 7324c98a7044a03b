"""A migration Job that failed, under the real engine and the official provider."""

from pathlib import Path

import pytest

from scripts.deploy.engine import Engine
from scripts.deploy.watch import RolloutError, Watch
from tests.support.kubernetes import NODE, Cluster
from tests.support.provider import ROOT

pytestmark = pytest.mark.timeout(300)  # a few runs of some seconds each, on a busy machine

STACK = "local"
JOB = "migrate"
PROGRAM = Path(__file__).with_name("migration_program.py")


@pytest.fixture
def engine(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    root = tmp_path / "program"
    root.mkdir()
    (root / "Pulumi.yaml").write_text("{name: coinslot, runtime: python}")
    (root / f"Pulumi.{STACK}.yaml").write_text("config:\n  coinslot:target: cluster\n")
    (root / "__main__.py").write_text(PROGRAM.read_text())
    (root / "infra").symlink_to(ROOT / "infra")
    return Engine(
        backend=tmp_path / "state",
        root=root,
    )


def test_a_job_that_failed_is_replaced_when_its_cause_is_gone(
    engine: Engine, cluster: Cluster
) -> None:
    """Its pod waits for a node with the label `database`; without one it ends by its deadline."""
    with pytest.raises(RolloutError, match=r"^up failed: Job migrate: DeadlineExceeded: "):
        engine.run("up", STACK, watcher=Watch("default", "up"))
    failed = cluster.kubectl.get("job", JOB, "default")
    assert failed is not None
    assert failed["status"]["conditions"][-1]["reason"] == "DeadlineExceeded"

    cluster.kubectl("label", "node", NODE, "database=ready")
    assert engine.run("up", STACK).changes["replace"] == 1
    done = cluster.kubectl.get("job", JOB, "default")
    assert done is not None
    assert done["metadata"]["uid"] != failed["metadata"]["uid"]
    assert done["status"]["succeeded"] == 1
    assert engine.run("up", STACK).unchanged
