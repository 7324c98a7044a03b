"""A real local Kubernetes with the stack `local` on it.

  up      make it, or what of it is missing, and `up` the stack
  down    remove it: processes, links, rules, mounts, cgroups, files
  status  say what runs

Where a Docker engine and kind are, it is a cluster of kind; else its nodes run in Linux namespaces,
which needs root. CONTEXT=name takes a cluster of your kubeconfig instead, and installs nothing but
the stack there. Exit codes: 0 done, 1 it failed, 2 this machine can't, 130 after Ctrl-C.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import SubprocessError
from typing import Final

from scripts import ROOT, console
from scripts.bootstrap.console import Console
from scripts.cluster import addons, namespaces, nodes, stack
from scripts.cluster.control_plane import ControlPlaneError
from scripts.cluster.layout import CONTROL, NODES, Layout
from scripts.cluster.layout import PROGRAMS as PROGRAMS_IMAGE
from scripts.cluster.namespaces import NamespaceError
from scripts.deploy.engine import EngineFailedError
from scripts.platform import images
from scripts.platform.images import ImageBuilder
from scripts.programs import BINARIES, ProgramError

FOLDER: Final = ROOT / ".state" / "cluster"
PROGRAMS: Final = (
    *("coredns", "metrics-server", "kube-state-metrics", "operator", "admission-webhook"),
    *("prometheus-config-reloader", "prometheus", "prometheus-adapter", "alertmanager"),
)
BUSYBOX: Final = ROOT / ".tools" / "node" / "root" / "bin" / "busybox"
FAILURES: Final = (
    *(NamespaceError, ControlPlaneError, ProgramError, EngineFailedError, SubprocessError),
    *images.FAILURES,
)


@console.command("cluster", failed=FAILURES, interrupted="interrupted; run it again to go on")
def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.cluster", __doc__)
    parser.add_argument("command", choices=("up", "down", "status"))
    options = parser.parse_args(arguments)
    layout = Layout(FOLDER)
    commands = {"up": _up, "down": _down, "status": _status}
    return commands[options.command](layout)


def _up(layout: Layout) -> int:
    if problem := namespaces.obstacle():
        console.error("cluster", f"{problem}; with Docker and kind installed none of it is needed")
        return console.USAGE
    said = Console(name="cluster")
    with said.alive():
        build_images(layout, said)
        kubectl = nodes.start(layout, said)
        addons.install(kubectl, addons.BASICS, said)
        addons.install_monitoring(kubectl, said)
    stack.write_settings(layout)
    stack.run(layout, "up")
    path = stack.write_environment(layout)
    print(f"cluster: the stack local runs on {len(NODES)} nodes; to work on it: . {_short(path)}")
    return 0


def build_images(layout: Layout, said: Console) -> None:
    builder = ImageBuilder(said)
    images.build_all(builder, images.local_tags(), layout.images)
    programs = {name: BINARIES / name for name in PROGRAMS} | {"busybox": BUSYBOX}
    images.binaries_image(builder, PROGRAMS_IMAGE, programs, layout.images / "programs.tar")


def _down(layout: Layout) -> int:
    if not layout.folder.exists():
        print("cluster: there is none")
        return 0
    nodes.stop(layout)
    print("cluster: removed")
    return 0


def _status(layout: Layout) -> int:
    for part in (CONTROL, *NODES):
        pid = namespaces.running(layout, part)
        print(f"{part:<10}{f'runs as {pid}' if pid else 'does not run'}")
    return 0


def _short(path: Path) -> Path:
    return path.relative_to(ROOT)


if __name__ == "__main__":
    sys.exit(main())
