"""A real local Kubernetes with the stack `local` on it.

  up      make it, or what of it is missing, and `up` the stack
  down    remove it: processes, links, rules, mounts, cgroups, files
  status  say what runs
  needs   print the components of tools/bootstrap that `up` needs, if this machine can

--on says on what: `nodes` are namespaces of this Linux, which needs root; `kind` is a cluster of
kind, which needs a Docker engine; `context:NAME` is a cluster of your own kubeconfig, on which
nothing but the stack is installed, and whose nodes need the images of .state/images. Without it
kind is taken where it is, and nodes elsewhere. Exit codes: 0 done, 1 it failed, 2 this machine
can't, 130 after Ctrl-C.
"""

import fcntl
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import SubprocessError
from typing import Final

from scripts import ROOT, console, programs
from scripts.bootstrap.console import Console
from scripts.cluster import addons, kind, layout, namespaces, nodes, stack
from scripts.cluster.control_plane import ControlPlaneError
from scripts.cluster.layout import CONTROL, Layout
from scripts.cluster.namespaces import NamespaceError
from scripts.deploy.engine import EngineFailedError
from scripts.kubectl import Kubectl
from scripts.platform import images
from scripts.platform.images import ImageBuilder
from scripts.programs import ProgramError

FOLDER: Final = ROOT / ".state" / "cluster"
"""Of nodes; the other kinds of cluster have folders beside it."""
KIND: Final = "kind"
NODES: Final = "nodes"
CONTEXT: Final = "context:"
ALWAYS: Final = ("pulumi", "kubernetes-provider", "kubectl", "image")
MONITORING: Final = (
    *("metrics-server", "kube-state-metrics", "operator", "admission-webhook"),
    *("prometheus-config-reloader", "prometheus", "prometheus-adapter", "alertmanager"),
)
BUSYBOX: Final = ROOT / ".tools" / "node" / "root" / "bin" / "busybox"
FAILURES: Final = (
    *(NamespaceError, ControlPlaneError, ProgramError, EngineFailedError, SubprocessError),
    *(OSError, *images.FAILURES),
)


class ClusterError(Exception):
    """This machine can't, or another command works on the cluster; the message says what to do."""


@console.command(
    "cluster",
    failed=FAILURES,
    usage=(ClusterError,),
    interrupted="interrupted; run it again to go on",
)
def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.cluster", __doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--on", metavar="nodes|kind|context:NAME", help="on what")
    options = parser.parse_args(arguments)
    on = options.on or (KIND if kind.available() else NODES)
    if on not in (KIND, NODES) and not on.startswith(CONTEXT):
        parser.error(f"--on {on}: it is nodes, kind or context:NAME")
    return COMMANDS[options.command](_place(on), on)


def _place(on: str) -> Layout:
    if on == NODES:
        return Layout(FOLDER)
    name = "".join(letter if letter.isalnum() else "-" for letter in on)
    return Layout(FOLDER.with_name(f"cluster-{name}"))


def _up(place: Layout, on: str) -> int:
    _refuse(on)
    with _alone(place):
        place.folder.mkdir(parents=True, exist_ok=True)
        place.folder.chmod(0o700)  # keys, secrets, and what pods write
        said = Console(name="cluster")
        with said.alive():
            _make(place, on, said)
        stack.write_settings(place, images.content_tags())
        path = stack.write_environment(place)
        stack.run(place, "up")
    print(f"cluster: the stack local runs; to work on it: . {path.relative_to(ROOT)}")
    return 0


def _make(place: Layout, on: str, said: Console) -> None:
    """Make the cluster and what it needs before the stack, or what of that is missing."""
    builder = ImageBuilder(said)
    archives = list(images.build_all(builder, images.content_tags(), place.images).values())
    if on.startswith(CONTEXT):
        _use(place, on.removeprefix(CONTEXT))
        return
    names = MONITORING if on == KIND else (*MONITORING, "coredns")
    files = {name: programs.path_of(name, "cluster-monitoring") for name in names}
    if on == NODES:
        files["busybox"] = BUSYBOX
    archive = place.images / "programs.tar"
    archives.append(images.binaries_image(builder, layout.PROGRAMS, files, archive))
    if on == KIND:
        with said.step("making a cluster with kind", "2 min"):
            kubectl = kind.start(place, archives)
        addons.install(kubectl, [addons.NAMESPACES], said)
        addons.install_monitoring(kubectl, addons.UNVERIFIED, said)
    else:
        kubectl = nodes.start(place, said)
        addons.install(kubectl, [addons.NAMESPACES, *addons.BASICS], said)
        addons.install_monitoring(kubectl, addons.VERIFIED, said)


def _use(place: Layout, context: str) -> None:
    """Take over a context of the person's own kubeconfig."""
    kubectl = programs.path_of("kubectl")
    view = ("config", "view", "--minify", "--flatten", f"--context={context}")
    text = programs.run(kubectl, *view, check=True)
    place.kubeconfig.touch(mode=0o600)
    place.kubeconfig.write_text(text, encoding="utf-8")
    Kubectl(place.kubeconfig)("get", "--raw", "/readyz")


def _down(place: Layout, on: str) -> int:
    with _alone(place):
        if not place.folder.exists():
            print("cluster: there is none")
            return 0
        if on == NODES:
            nodes.stop(place)
        elif on == KIND:
            kind.stop()
        elif place.kubeconfig.exists():
            stack.run(place, "destroy")
        shutil.rmtree(place.folder, ignore_errors=True)
    print("cluster: removed")
    return 0


def _status(place: Layout, on: str) -> int:
    if on == NODES:
        for part in (CONTROL, *layout.NODES):
            pid = namespaces.running(place, part)
            print(f"{part:<10}{f'runs as {pid}' if pid else 'does not run'}")
    elif place.kubeconfig.exists():
        print(Kubectl(place.kubeconfig)("get", "nodes"), end="")
    else:
        print("cluster: there is none")
    return 0


def _needs(_place: Layout, on: str) -> int:
    _refuse(on)
    more = {KIND: ("cluster-monitoring",), NODES: ("cluster-monitoring", "nodes")}.get(on, ())
    print(" ".join((*ALWAYS, *more)))
    return 0


def _refuse(on: str) -> None:
    """Raise ClusterError if this machine can't; nothing was built or made by then."""
    if on == KIND and not kind.available():
        raise ClusterError("no kind on PATH, or no Docker engine answers; ON=nodes needs neither")
    if on == NODES and (problem := namespaces.obstacle()):
        raise ClusterError(f"{problem}; with Docker and kind none of it is needed")


@contextmanager
def _alone(place: Layout) -> Iterator[None]:
    """Hold the cluster's lock, which the kernel frees with us; raise ClusterError if it is held."""
    lock: Path = place.folder.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError(f"another command holds {lock}: wait until it is done") from None
        yield


COMMANDS: Final = {"up": _up, "down": _down, "status": _status, "needs": _needs}


if __name__ == "__main__":
    sys.exit(main())
