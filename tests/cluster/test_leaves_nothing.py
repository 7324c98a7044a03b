"""A cluster of our own comes and goes, and the machine is as it was before."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from scripts.bootstrap.console import Console
from scripts.cluster import addons, namespaces, nodes
from scripts.cluster import layout as at
from scripts.cluster.__main__ import FOLDER
from scripts.cluster.layout import Layout
from scripts.cluster.node import KERNEL, PACKAGES

NETWORK = ("net/ipv4/conf", "net/ipv4/ip_forward", "net/bridge")
"""Settings of the network, below /proc/sys: what nodes and pods change in theirs."""
NFT = PACKAGES / "usr" / "sbin" / "nft"
POD = "with-a-disk"
READY_TIMEOUT_S = 60.0


def settings() -> Iterator[str]:
    root = Path("/proc/sys")
    for name in (*KERNEL, *NETWORK):
        for path in [root / name, *sorted((root / name).rglob("*"))]:
            if path.is_file():
                yield f"{path.relative_to(root)} = {path.read_text().strip()}"


def packet_rules() -> list[str]:
    libraries = ":".join(str(path.parent) for path in PACKAGES.rglob("libnftables.so*"))
    return shown(str(NFT), "list", "ruleset", environ={"LD_LIBRARY_PATH": libraries})


def shown(*command: str, environ: Mapping[str, str] | None = None) -> list[str]:
    env = {**os.environ, **(environ or {})}
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10, env=env)
    return done.stdout.splitlines()


def machine(folder: Path) -> dict[str, list[str]]:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    cgroups = [str(path) for path in namespaces.cgroups_named("coinslot-*")]
    return {
        "mounts": sorted(" ".join(line.split()[3:]) for line in mounts),
        "links": shown("ip", "-o", "-br", "link"),
        "addresses": shown("ip", "-o", "-br", "address"),
        "routes": shown("ip", "route", "show", "table", "all"),
        "network rules": shown("ip", "rule"),
        "packet rules": packet_rules(),
        "namespaces": sorted(path.name for path in Path("/run/netns").glob("*")),
        "cgroups": sorted(cgroups),
        "settings": list(settings()),
        "processes": [
            " ".join(process.info["cmdline"])
            for process in psutil.process_iter(["cmdline"])
            if str(folder) in " ".join(process.info["cmdline"] or ())
        ],
        "files": sorted(map(str, folder.parent.iterdir())),
    }


def pod_with_a_disk() -> list[dict[str, object]]:
    requests = {"requests": {"storage": "1Mi"}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": requests}
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": POD}}
    mount = {"name": "data", "mountPath": "/data"}
    container = {"name": "sleep", "image": at.PROGRAMS, "volumeMounts": [mount]}
    spec = {"containers": [container], "volumes": [volume]}
    metadata = {"name": POD, "namespace": "default"}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    ]


@pytest.mark.timeout(600)
def test_a_cluster_leaves_nothing_behind(tmp_path: Path) -> None:
    if problem := namespaces.obstacle():
        pytest.skip(problem)
    layout = Layout(tmp_path / "cluster")
    layout.images.mkdir()
    archive = Layout(FOLDER).images / "programs.tar"
    assert archive.exists(), f"{archive} is missing: make cluster"
    (layout.images / archive.name).symlink_to(archive)
    volumes = at.VOLUMES.exists()
    before = machine(layout.folder)
    try:
        kubectl = nodes.start(layout, Console(name="test"))
        assert len(kubectl.items("nodes")) == len(at.NODES)
        assert len(machine(layout.folder)["processes"]) > 10
        addons.install(kubectl, [addons.STORAGE], Console(name="test"))
        kubectl.apply("\n---\n".join(map(json.dumps, pod_with_a_disk())))
        kubectl.wait("condition=Ready", f"pod/{POD}", timeout_s=READY_TIMEOUT_S)
        assert list(layout.volumes.iterdir())
    finally:
        nodes.stop(layout)
    assert machine(layout.folder) == before
    assert at.VOLUMES.exists() == volumes
    assert not layout.folder.exists()
