"""A real local Kubernetes with the stack `local` on it.

  up      make it, or what of it is missing, and `up` the stack
  down    remove it: processes, links, rules, mounts, cgroups, files
  status  say what runs
  check   say whether this machine can

Where a Docker engine and kind are, it is a cluster of kind; else its nodes run in Linux namespaces,
which needs root. --context takes a cluster of your own kubeconfig instead: nothing but the stack is
installed there, and its nodes need the images of .state/images. Exit codes: 0 done, 1 it failed, 2
this machine can't, 130 after Ctrl-C.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import SubprocessError
from typing import Final

from scripts import ROOT, console, programs
from scripts.bootstrap.console import Console
from scripts.cluster import addons, kind, layout, namespaces, nodes, stack
from scripts.cluster.control_plane import ControlPlaneError
from scripts.cluster.layout import CONTROL, NODES, Layout
from scripts.cluster.namespaces import NamespaceError
from scripts.deploy.engine import EngineFailedError
from scripts.platform import images
from scripts.platform.images import ImageBuilder
from scripts.programs import ProgramError

FOLDER: Final = ROOT / ".state" / "cluster"
PROGRAMS: Final = (
    *("coredns", "metrics-server", "kube-state-metrics", "operator", "admission-webhook"),
    *("prometheus-config-reloader", "prometheus", "prometheus-adapter", "alertmanager"),
)
BUSYBOX: Final = ROOT / ".tools" / "node" / "root" / "bin" / "busybox"
FAILURES: Final = (
    *(NamespaceError, ControlPlaneError, ProgramError, EngineFailedError, SubprocessError),
    *(OSError, *images.FAILURES),
)


@console.command("cluster", failed=FAILURES, interrupted="interrupted; run it again to go on")
def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.cluster", __doc__)
    parser.add_argument("command", choices=("up", "down", "status", "check"))
    parser.add_argument("--context", help="for up: a context of your kubeconfig")
    options = parser.parse_args(arguments)
    commands = {"up": _up, "down": _down, "status": _status, "check": _check}
    return commands[options.command](Layout(FOLDER), options)


def _up(place: Layout, options: argparse.Namespace) -> int:
    if not options.context and (code := _check(place, options)):
        return code
    place.folder.mkdir(parents=True, exist_ok=True)
    said = Console(name="cluster")
    with said.alive():
        archives = build_images(place, said)
        if options.context:
            _use(place, options.context)
        elif kind.available():
            with said.step("making a cluster with kind", "2 min"):
                kubectl = kind.start(place, archives)
            addons.install(kubectl, addons.NAMESPACES, said)
            addons.install_monitoring(kubectl, said)
        else:
            kubectl = nodes.start(place, said)
            addons.install(kubectl, [*addons.NAMESPACES, *addons.BASICS], said)
            addons.install_monitoring(kubectl, said)
    stack.write_settings(place)
    path = stack.write_environment(place)
    stack.run(place, "up")
    print(f"cluster: the stack local runs; to work on it: . {path.relative_to(ROOT)}")
    return 0


def build_images(place: Layout, said: Console) -> list[Path]:
    """Build what pods run, and return the archives."""
    builder = ImageBuilder(said)
    found = images.build_all(builder, images.local_tags(), place.images)
    files = {name: programs.path_of(name, "cluster") for name in PROGRAMS} | {"busybox": BUSYBOX}
    archive = place.images / "programs.tar"
    return [*found.values(), images.binaries_image(builder, layout.PROGRAMS, files, archive)]


def _use(place: Layout, context: str) -> None:
    """Take over a context of the person's own kubeconfig."""
    kubectl = programs.path_of("kubectl")
    view = ("config", "view", "--minify", "--flatten", f"--context={context}")
    place.kubeconfig.write_text(programs.run(kubectl, *view, check=True), encoding="utf-8")
    place.kubeconfig.chmod(0o600)


def _down(place: Layout, _: argparse.Namespace) -> int:
    if not place.folder.exists():
        print("cluster: there is none")
        return 0
    if place.parts():
        nodes.stop(place)
    elif kind.available():
        kind.stop()
    shutil.rmtree(place.folder, ignore_errors=True)
    print("cluster: removed")
    return 0


def _check(_place: Layout, _options: argparse.Namespace) -> int:
    problem = "" if kind.available() else namespaces.obstacle()
    if problem:
        console.error("cluster", f"{problem}; with Docker and kind none of it is needed")
    return console.USAGE if problem else 0


def _status(place: Layout, _: argparse.Namespace) -> int:
    for part in (CONTROL, *NODES):
        pid = namespaces.running(place, part)
        print(f"{part:<10}{f'runs as {pid}' if pid else 'does not run'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
