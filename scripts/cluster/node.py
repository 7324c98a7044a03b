"""The first process of a node: its mounts and network, then containerd, kubelet and kube-proxy.

    python -m scripts.cluster.node FOLDER NODE [import]

Started in namespaces of its own (scripts.cluster.namespaces): Debian's packages lie over /usr, what
would be written to /var and /etc goes to the cluster's folder, and kernel settings that a kubelet
changes for its whole machine are files of the node's own. When one of its programs ends, the node
ends: that is a node's loss.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts import ROOT
from scripts.cluster import layout as at
from scripts.cluster.control import ENFORCER, mount_volumes, run
from scripts.cluster.layout import Layout
from scripts.cluster.namespaces import make_cgroup
from scripts.programs import path_of

PACKAGES: Final = ROOT / ".tools" / "node" / "root"
SOCKET: Final = Path("/run/containerd/containerd.sock")
IMPORT: Final = "import"
"""As the last argument, in a node that runs: import new images, and that is all."""
LINK_TIMEOUT_S: Final = 30.0  # whoever starts the node gives it its link
SOCKET_TIMEOUT_S: Final = 60.0
IMPORT_TIMEOUT_S: Final = 300.0  # some 600 MB, on a disk that is busy
POLL_S: Final = 0.05
KERNEL: Final = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What a kubelet wants to find below /proc/sys, and would write there for the whole machine."""


@dataclass(frozen=True, slots=True)
class Node:
    layout: Layout
    name: str

    @property
    def folder(self) -> Path:
        return self.layout.folder / self.name

    def file(self, name: str, document: Any) -> Path:
        """Write a program's settings; JSON is YAML, too."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document, indent=1))
        return path

    def start(self, name: str, *command: str | Path) -> "subprocess.Popen[bytes]":
        with (self.layout.logs / f"{self.name}-{name}.log").open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)


def main() -> None:
    node = Node(Layout(Path(sys.argv[1])), sys.argv[2])
    if IMPORT in sys.argv:
        _import_images(node)
        return
    _mount(node)
    _join_network(node)
    make_cgroup(node.layout.cgroup(node.name))
    containerd = node.start("containerd", "containerd", "--config", _containerd(node))
    _until(SOCKET.exists, SOCKET_TIMEOUT_S, "containerd's socket")
    _import_images(node)
    kubeconfig = node.layout.inside(node.name)
    programs = {
        "containerd": containerd,
        "kubelet": node.start(
            "kubelet",
            path_of("kubelet", "nodes"),
            f"--config={_kubelet(node)}",
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={node.name}",
            f"--node-ip={at.node_address(node.name)}",
        ),
        "kube-proxy": node.start(
            "kube-proxy", path_of("kube-proxy", "nodes"), f"--config={_proxy(node)}"
        ),
        ENFORCER: node.start(
            ENFORCER,
            *(sys.executable, "-m", "scripts.cluster.policies"),
            *(node.layout.inside(ENFORCER), at.pod_range(node.name)),
        ),
    }
    sys.exit(_until_one_ends(programs))


def _until_one_ends(programs: dict[str, "subprocess.Popen[bytes]"]) -> str:
    """Reap what ends, as a first process has to; return which of our programs it was."""
    names = {program.pid: name for name, program in programs.items()}
    while True:
        pid, status = os.wait()
        if pid in names:
            return f"{names[pid]} ended with {os.waitstatus_to_exitcode(status)}"


def _mount(node: Node) -> None:
    packages = PACKAGES.resolve()
    _overlay("/usr", f"lowerdir={packages}/usr:/usr")
    for folder in ("/var", "/etc"):
        upper, work = (node.folder / "over" / part / folder[1:] for part in ("upper", "work"))
        for each in (upper, work):
            each.mkdir(parents=True, exist_ok=True)
        _overlay(folder, f"lowerdir={folder},upperdir={upper},workdir={work}")
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for folder in ("/var/lib/kubelet", "/var/lib/cni", "/var/log"):
        own = node.folder / "own" / Path(folder).name
        own.mkdir(parents=True, exist_ok=True)
        Path(folder).mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", str(own), folder)
    mount_volumes(node.layout)
    for name, value in KERNEL.items():
        own = node.file(f"kernel/{name.replace('/', '.')}", f"{value}\n")
        run("mount", "--bind", str(own), f"/proc/sys/{name}")
    run("mount", "--make-rshared", "/")  # a kubelet's mounts are to be seen in containers


def _overlay(folder: str, options: str) -> None:
    run("mount", "-t", "overlay", "overlay", "-o", options, folder)


def _join_network(node: Node) -> None:
    run("hostname", node.name)
    run("ip", "link", "set", "lo", "up")
    link = Path("/proc/self/net/dev")
    _until(lambda: f"{at.LINK}:" in link.read_text(), LINK_TIMEOUT_S, f"the link {at.LINK}")
    address = f"{at.node_address(node.name)}/{at.MASK}"
    run("ip", "address", "add", address, "dev", at.LINK)
    run("ip", "link", "set", at.LINK, "up")
    run("ip", "route", "add", "default", "via", at.CONTROL_ADDRESS)
    for other in at.NODES:
        if other != node.name:
            run("ip", "route", "add", at.pod_range(other), "via", at.node_address(other))
    run("sysctl", "-qw", "net.ipv4.ip_forward=1")


def _import_images(node: Node) -> None:
    """Import the archives that containerd doesn't hold yet, by their digests."""
    for archive in sorted(node.layout.images.glob("*.tar")):
        stamp = node.folder / "imported" / archive.stem
        content = f"{archive.stat().st_ino} {archive.stat().st_mtime_ns}"
        if stamp.exists() and stamp.read_text() == content:
            continue
        command = ("ctr", "--namespace=k8s.io", "images", "import", str(archive))
        subprocess.run(command, check=True, timeout=IMPORT_TIMEOUT_S)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(content)


def _containerd(node: Node) -> Path:
    plugin = {
        "sandbox_image": at.PROGRAMS,
        "restrict_oom_score_adj": True,  # a machine may forbid to lower it
        "enable_unprivileged_ports": True,  # the DNS listens on 53, and is nobody
        "containerd": {
            "snapshotter": "overlayfs",
            "default_runtime_name": "runc",
            "runtimes": {"runc": {"runtime_type": "io.containerd.runc.v2"}},
        },
        "cni": {"bin_dir": "/usr/lib/cni", "conf_dir": str(_cni(node).parent)},
    }
    text = _toml(
        {
            "": {
                "version": 2,
                "root": str(node.folder / "containerd"),
                "state": "/run/containerd",
            },
            "grpc": {"address": str(SOCKET)},
            **_tables("plugins", {"io.containerd.grpc.v1.cri": plugin}),
        }
    )
    return node.file("containerd.toml", text)


def _tables(prefix: str, document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tables of TOML that nested mappings are, by their dotted names."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in document.items():
        name = f'{prefix}."{key}"'
        found[name] = {k: v for k, v in value.items() if not isinstance(v, dict)}
        found |= _tables(name, {k: v for k, v in value.items() if isinstance(v, dict)})
    return found


def _toml(tables: dict[str, dict[str, Any]]) -> str:
    lines = []
    for name, values in tables.items():
        lines += [f"[{name}]"] if name else []
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _cni(node: Node) -> Path:
    """Let each pod have a link of its own to the node, so that all its packets are routed there.

    No address is translated: a policy sees who a packet is from.
    """
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni",  # after a restart of the node no pod has an address
        "ranges": [[{"subnet": at.pod_range(node.name)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [{"type": "ptp", "ipMasq": False, "ipam": addresses}]
    return node.file(
        "cni/10-pods.conflist", {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}
    )


def _kubelet(node: Node) -> Path:
    keys = node.layout.keys
    return node.file(
        "kubelet.json",
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(keys / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{node.layout.cgroup(node.name)}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "clusterDomain": "cluster.local",
            "clusterDNS": [at.DNS_SERVICE],
            "resolvConf": str(node.file("resolv.conf", "")),
            "tlsCertFile": str(keys / f"{node.name}.crt"),
            "tlsPrivateKeyFile": str(keys / f"{node.name}.key"),
            # The machine's disk and memory are others' business, too.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
            # What can't be pulled again must stay.
            "imageGCHighThresholdPercent": 100,
            "imageMaximumGCAge": "0s",
        },
    )


def _proxy(node: Node) -> Path:
    return node.file(
        "kube-proxy.json",
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(node.layout.inside("kube-proxy"))},
            "mode": "nftables",
            "clusterCIDR": at.PODS,
            "hostnameOverride": node.name,
            # The machine's own settings of connection tracking stay.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        },
    )


def _until(happened: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            sys.exit(f"{what} did not appear within {timeout_s:g} s")
        time.sleep(POLL_S)


if __name__ == "__main__":
    main()
