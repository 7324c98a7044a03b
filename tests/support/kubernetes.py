"""A real API server with one simulated node (kwok); `tools/bootstrap control-plane`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import yaml

from scripts.cluster.control_plane import ControlPlane, Options, control_plane
from scripts.kubectl import Kubectl, Object
from scripts.platform.processes import spawn
from scripts.programs import path_of

STAGES: Final = Path(__file__).with_name("kwok.yaml")
DEFINITIONS: Final = Path(__file__).parents[2] / ".tools" / "definitions"
NODE: Final = "node-1"
QUICK: Final = {
    "kube-controller-manager": (
        "--horizontal-pod-autoscaler-sync-period=1s",  # a test waits for it
        "--node-monitor-grace-period=1h",  # nobody sends the node's heartbeats
    ),
}


@dataclass
class Cluster:
    """A running control plane with a node, and a person's way in."""

    control_plane: ControlPlane

    @property
    def kubeconfig(self) -> Path:
        return self.control_plane.kubeconfig

    @cached_property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.kubeconfig)

    def apply(self, *objects: Object) -> None:
        """Apply objects as a person would."""
        self.kubectl("apply", "-f", "-", given=yaml.safe_dump_all(objects))


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Run a control plane and a node in an empty folder."""
    with control_plane(folder, Options(arguments=QUICK)) as plane:
        kwok = spawn(
            "kwok",
            [
                path_of("kwok", "control-plane"),
                f"--kubeconfig={plane.kubeconfig}",
                f"--config={STAGES}",
                "--manage-all-nodes=true",
            ],
            log=folder / "kwok.log",
        )
        try:
            made = Cluster(plane)
            made.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
            made.kubectl("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=50s")
            _warm_up(made)
            yield made
        finally:
            kwok.stop()


def _warm_up(made: Cluster) -> None:
    """Wait until controllers and scheduler work: they fill their caches after the start."""
    made.kubectl("create", "deployment", "first", "--image=shop/first:1")
    made.kubectl("rollout", "status", "deployment/first", "--timeout=50s")
    made.kubectl("delete", "deployment/first", "--cascade=foreground")
