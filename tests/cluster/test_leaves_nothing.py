"""A cluster of our own comes and goes, and the machine is as it was before."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts.bootstrap.console import Console
from scripts.cluster import layout as at
from scripts.cluster import namespaces, nodes
from scripts.cluster.layout import Layout

COUNTERS = ("kernel/random", "kernel/ns_last_pid", "net/netfilter/nf_conntrack_count")
"""Below /proc/sys, and no settings."""


def settings() -> Iterator[str]:
    root = Path("/proc/sys")
    for area in ("kernel", "vm", "net"):
        for path in sorted((root / area).rglob("*")):
            name = str(path.relative_to(root))
            if path.is_file() and not name.startswith(COUNTERS):
                try:
                    yield f"{name} = {path.read_text().strip()}"
                except OSError:
                    continue  # write-only, or of a device that isn't there


def shown(*command: str) -> list[str]:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
    return done.stdout.splitlines()


def machine(folder: Path) -> dict[str, list[str]]:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    cgroups = [str(path) for root in namespaces.cgroup_roots() for path in root.glob("coinslot-*")]
    return {
        "mounts": sorted(" ".join(line.split()[3:]) for line in mounts),
        "links": shown("ip", "-o", "-br", "link"),
        "addresses": shown("ip", "-o", "-br", "address"),
        "routes": shown("ip", "route", "show", "table", "all"),
        "network rules": shown("ip", "rule"),
        "filters": Path("/proc/net/ip_tables_names").read_text().splitlines(),
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


@pytest.mark.timeout(600)
def test_a_cluster_leaves_nothing_behind(tmp_path: Path) -> None:
    if problem := namespaces.obstacle():
        pytest.skip(problem)
    layout = Layout(tmp_path / "cluster")
    layout.images.mkdir()
    volumes = at.VOLUMES.exists()
    before = machine(layout.folder)
    try:
        kubectl = nodes.start(layout, Console(name="test"))
        assert len(kubectl.items("nodes")) == len(at.NODES)
        assert len(machine(layout.folder)["processes"]) > 10
    finally:
        nodes.stop(layout)
    assert machine(layout.folder) == before
    assert at.VOLUMES.exists() == volumes
    assert not layout.folder.exists()
