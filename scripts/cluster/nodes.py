"""The cluster's own machines: a control plane and nodes in namespaces, started and ended."""

import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from scripts import ROOT
from scripts.bootstrap.console import Console
from scripts.cluster import layout as at
from scripts.cluster import namespaces
from scripts.cluster.layout import CONTROL, NODES, Layout
from scripts.cluster.node import IMPORT
from scripts.kubectl import Kubectl

CONTROL_TIMEOUT_S: Final = 120.0  # seven seconds on an idle machine
NODE_TIMEOUT_S: Final = 420.0  # 20 s when idle; most of it is the import of images
LINK_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.1


def start(layout: Layout, console: Console) -> Kubectl:
    """Start what doesn't run; a control plane that has ended takes its nodes with it."""
    if not namespaces.running(layout, CONTROL):
        for part in layout.parts():
            namespaces.end(layout, part)
        _forget(layout)
        with console.step("starting the control plane", "10 s"):
            _start_control(layout)
    kubectl = Kubectl(layout.kubeconfig)
    with console.step("starting the nodes", "30 s"):
        for node in NODES:
            if namespaces.running(layout, node):
                _import_images(layout, node)
            else:
                start_node(layout, node)
        for node in NODES:
            until_ready(layout, node, kubectl)
    return kubectl


def _start_control(layout: Layout) -> None:
    namespaces.start(layout, CONTROL, "scripts.cluster.control", str(layout.folder), network=False)
    deadline = time.monotonic() + CONTROL_TIMEOUT_S
    while not layout.kubeconfig.exists():
        namespaces.check(layout, CONTROL)
        if time.monotonic() > deadline:
            log = namespaces.log_of(layout, CONTROL)
            raise namespaces.NamespaceError(
                f"the control plane is not ready after {CONTROL_TIMEOUT_S:g} s; see {log.parent}"
            )
        time.sleep(POLL_S)


def start_node(layout: Layout, node: str) -> None:
    """Start a node and link it with the control plane's bridge."""
    namespaces.end(layout, node)  # what is left of one that was lost
    folder = str(layout.folder)
    namespaces.start(layout, node, "scripts.cluster.node", folder, node, network=True)
    pid = namespaces.check(layout, node)
    for command in (
        ("ip", "link", "add", node, "type", "veth", "peer", "name", at.LINK, "netns", str(pid)),
        ("ip", "link", "set", node, "master", at.BRIDGE),
        ("ip", "link", "set", node, "up"),
    ):
        inside = namespaces.enter(layout, CONTROL, *command)
        subprocess.run(inside, check=True, capture_output=True, timeout=LINK_TIMEOUT_S)


def _import_images(layout: Layout, node: str) -> None:
    module = ("-m", "scripts.cluster.node", str(layout.folder), node, IMPORT)
    inside = namespaces.enter(layout, node, sys.executable, *module, mounts=True)
    subprocess.run(inside, check=True, cwd=ROOT, capture_output=True, timeout=NODE_TIMEOUT_S)


def until_ready(layout: Layout, node: str, kubectl: Kubectl) -> None:
    """Wait until the node takes pods; raise NamespaceError when it has ended."""
    deadline = time.monotonic() + NODE_TIMEOUT_S
    while not is_ready(node, kubectl):
        namespaces.check(layout, node)
        if time.monotonic() > deadline:
            raise namespaces.NamespaceError(
                f"{node} is not ready after {NODE_TIMEOUT_S:g} s; see {layout.logs}"
            )
        time.sleep(POLL_S)


def is_ready(node: str, kubectl: Kubectl) -> bool:
    found = kubectl.get("node", node)
    conditions = (found or {}).get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def stop(layout: Layout) -> None:
    """End all parts; the cluster's folder goes with what its pods had on disk."""
    for part in (*NODES, CONTROL):
        namespaces.end(layout, part)
    if layout.owns_volumes.exists():
        with suppress(OSError):  # the machine may have emptied the folder above it
            at.VOLUMES.rmdir()
    shutil.rmtree(layout.folder)


def _forget(layout: Layout) -> None:
    """Remove what belonged to a control plane that has ended, but for its settings."""
    layout.kubeconfig.unlink(missing_ok=True)
    for part in (CONTROL, *NODES, layout.volumes.name, "pulumi"):
        _remove(layout.folder / part)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
