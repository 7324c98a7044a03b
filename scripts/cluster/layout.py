"""Where a local cluster keeps its files, and which addresses it has inside.

    machine 127.0.0.1:PORT ──> control 10.88.0.1 ──┬── node1 10.88.0.11, pods 10.244.1.0/24
                                (bridge)           └── node2 10.88.0.12, pods 10.244.2.0/24

Each of the three is a set of namespaces: none of these addresses, links, rules and mounts is on the
machine itself. The one way in is a port of the loopback interface that leads to the API server.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONTROL: Final = "control"
NODES: Final = ("node1", "node2")
CONTROL_ADDRESS: Final = "10.88.0.1"
MASK: Final = 24
BRIDGE: Final = "nodes"
LINK: Final = "eth0"
"""A node's end of its link to the bridge; the other end has the node's name."""
API_PORT: Final = 6443
PODS: Final = "10.244.0.0/16"
SERVICES: Final = "10.96.0.0/16"
API_SERVICE: Final = "10.96.0.1"
"""The first address of SERVICES is the API's own."""
DNS_SERVICE: Final = "10.96.0.10"
PROGRAMS: Final = "localhost/coinslot-programs:1"
"""The image that holds the programs of the cluster's own pods."""
VOLUMES: Final = Path("/tmp/hostpath_pv")  # noqa: S108  where Kubernetes' own provisioner makes them


def node_address(node: str) -> str:
    return f"10.88.0.{10 + _number(node)}"


def pod_range(node: str) -> str:
    return f"10.244.{_number(node)}.0/24"


def _number(node: str) -> int:
    return NODES.index(node) + 1


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of a cluster below `folder`, an absolute path."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        """An administrator's, for programs on the machine; there when the API server is ready."""
        return self.folder / "kubeconfig"

    @property
    def keys(self) -> Path:
        return self.folder / CONTROL / "pki"

    @property
    def images(self) -> Path:
        """Archives that each node imports when it starts; they outlive a cluster."""
        return self.folder.parent / "images"

    @property
    def volumes(self) -> Path:
        """What pods keep on disk: the nodes share it, as they would a cloud's disks."""
        return self.folder / "volumes"

    @property
    def owns_volumes(self) -> Path:
        """There if this cluster made VOLUMES and has to remove it: others mount theirs on it."""
        return self.folder / "owns-volumes"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def inside(self, user: str) -> Path:
        """Return the kubeconfig of a program that runs inside the cluster's network."""
        return self.folder / CONTROL / f"{user}.kubeconfig"

    def cgroup(self, node: str) -> str:
        """Return the name of a node's cgroup: other clusters of the machine have other names."""
        owner = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        return f"coinslot-{owner}-{node}"

    def record(self, part: str) -> Path:
        """Return the file that says which process a part is."""
        return self.folder / f"{part}.json"

    def parts(self) -> list[str]:
        return [part for part in (CONTROL, *NODES) if self.record(part).exists()]

    def read(self, part: str) -> dict[str, float]:
        found: dict[str, float] = json.loads(self.record(part).read_text())
        return found
