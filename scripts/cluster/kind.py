"""A cluster of kind (https://kind.sigs.k8s.io), where a Docker engine answers and kind is there."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from scripts.bootstrap.components import docker_answers
from scripts.cluster.layout import Layout
from scripts.kubectl import Kubectl
from scripts.programs import ProgramError

NAME: Final = "coinslot"
CREATE_TIMEOUT_S: Final = 600.0  # it pulls its nodes' image first
LOAD_TIMEOUT_S: Final = 300.0
CONFIG: Final = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "nodes": [{"role": "control-plane"}, {"role": "worker"}, {"role": "worker"}],
}


def available() -> bool:
    return shutil.which("kind") is not None and docker_answers()


def start(layout: Layout, archives: Iterable[Path]) -> Kubectl:
    """Make the cluster unless it is there, and give its nodes the images."""
    kubeconfig = f"--kubeconfig={layout.kubeconfig}"
    if NAME in _kind("get", "clusters").split():
        _kind("export", "kubeconfig", f"--name={NAME}", kubeconfig)
    else:
        options = (f"--name={NAME}", kubeconfig, "--config=-", "--wait=120s")
        _kind("create", "cluster", *options, given=json.dumps(CONFIG), timeout_s=CREATE_TIMEOUT_S)
    for archive in archives:
        _kind("load", "image-archive", str(archive), f"--name={NAME}", timeout_s=LOAD_TIMEOUT_S)
    return Kubectl(layout.kubeconfig)


def stop() -> None:
    _kind("delete", "cluster", f"--name={NAME}")


def _kind(*arguments: str, given: str = "", timeout_s: float = LOAD_TIMEOUT_S) -> str:
    try:
        done = subprocess.run(
            ("kind", *arguments),
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"kind {arguments[0]} did not end within {timeout_s:g} s") from error
    if done.returncode:
        raise ProgramError(f"kind {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
