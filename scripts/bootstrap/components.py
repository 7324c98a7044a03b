"""The components that a target can ask for, by name: each tool with an `about`, and these."""

import functools
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from os import environ
from pathlib import Path
from typing import Final

from scripts.bootstrap import catalog, sources, store, tools, venv
from scripts.bootstrap.commands import BootstrapError, UnavailableError
from scripts.bootstrap.tools import Place

Component = tuple[str, Callable[[Place], None]]

PROVIDER: Final = "pulumi-resource-kubernetes"
PLUGIN_HOST: Final = "https://get.pulumi.com"
PLUGIN_TIMEOUT_SECONDS: Final = 120.0  # 40 MB
DOCKER_TIMEOUT_SECONDS: Final = 5.0
CONTROL_PLANE: Final = ("etcd", "monitoring-definitions", "kwok", "kubernetes", "kubectl")
CLUSTER_MONITORING: Final = (
    *("metrics-server", "kube-state-metrics", "prometheus", "prometheus-adapter"),
    *("prometheus-operator", "alertmanager", "monitoring-definitions"),
)
NODES: Final = ("etcd", "kubernetes", "kubernetes-node", "node-packages", "coredns")
NOT_BY_DEFAULT: Final = frozenset(
    {"cluster-monitoring", "image", "kubectl", "nodes", "schemas", "wrk"}
)


def components(root: Path) -> Mapping[str, Component]:
    known = catalog.load(root)
    about = {name: tool.about for name, tool in known.items() if tool.about}
    documents = ["monitoring-definitions", *(name for name in known if "-openapi-" in name)]
    return {
        "venv": ("the Python packages of requirements/dev.txt and this repository", venv.ensure),
        "kubernetes-provider": (
            "Pulumi's official Kubernetes provider, for targets that touch a cluster",
            kubernetes_provider,
        ),
        "control-plane": (
            "a Kubernetes control plane with simulated nodes, for tests",
            functools.partial(several, CONTROL_PLANE),
        ),
        "cluster-monitoring": (
            "what measures a local cluster, and what its autoscalers read",
            functools.partial(several, CLUSTER_MONITORING),
        ),
        "nodes": (
            "a control plane, and nodes that are namespaces of this machine",
            functools.partial(several, NODES),
        ),
        "schemas": (
            "the documents from which `make schemas` makes schemas",
            functools.partial(several, documents),
        ),
        "image": (
            "builds images: Docker if an engine answers, else buildah and debootstrap",
            image,
        ),
        **{name: (text, functools.partial(tool, name)) for name, text in about.items()},
    }


def tool(name: str, place: Place) -> None:
    tools.ensure(place.tools[name], place)


def several(names: Iterable[str], place: Place) -> None:
    for name in names:
        tool(name, place)


def image(place: Place) -> None:
    if not docker_answers():
        tool("image-tools", place)


def docker_answers() -> bool:
    if not shutil.which("docker"):
        return False
    command = ("docker", "version", "--format", "{{.Server.Version}}")
    try:
        answer = subprocess.run(
            command, check=False, capture_output=True, timeout=DOCKER_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def kubernetes_provider(place: Place) -> None:
    """Make the official provider ready where the engine looks for it; needs the CLI."""
    tool("pulumi", place)
    version = locked_version(place.root, "pulumi-kubernetes")
    if _official(place.root) or not (reason := _install_official(version, place)):
        return
    place.console.log(f"Kubernetes provider: official download is not possible: {reason}")
    (built,) = tools.cached(place.tools[PROVIDER], place)
    store.link(_plugin(version), built)


def _official(root: Path) -> bool:
    version = locked_version(root, "pulumi-kubernetes")
    return _plugin(version).is_file() or sources.on_path(PROVIDER, root) is not None


def _plugin(version: str) -> Path:
    home = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    return home / "plugins" / f"resource-kubernetes-v{version}" / PROVIDER


def _install_official(version: str, place: Place) -> str:
    if not sources.reachable(PLUGIN_HOST):
        return f"{PLUGIN_HOST} does not answer"
    try:
        with place.console.step(f"Kubernetes provider {version}: official download", "20 s"):
            place.commands.run(
                (place.links / "pulumi", "plugin", "install", "resource", "kubernetes", version),
                log="provider.log",
                timeout=PLUGIN_TIMEOUT_SECONDS,
                env={"PULUMI_SKIP_UPDATE_CHECK": "true"},
            )
    except UnavailableError as error:
        return str(error)
    return ""


def locked_version(root: Path, package: str) -> str:
    """Return the version that requirements/dev.txt locks; the SDK and its plugin must agree."""
    locked = root / "requirements" / "dev.txt"
    found = re.search(rf"^{re.escape(package)}==(\S+)", locked.read_text(), re.MULTILINE)
    if not found:
        raise BootstrapError(f"{locked} does not lock {package}: compile it again")
    return found[1]


def link_into_venv(place: Place) -> None:
    """Let the tools be found with the venv active; pulumi through its wrapper, scripts/pulumi."""
    if (place.links / "pulumi").exists():
        _choose_provider(place)
    binaries = place.root / ".venv" / "bin"
    if not binaries.is_dir():
        return
    for link in sorted(place.links.glob("*")):
        wrapper = place.root / "scripts" / link.name
        store.link(binaries / link.name, wrapper if wrapper.is_file() else link)
    if not (place.links / PROVIDER).is_symlink():
        (binaries / PROVIDER).unlink(missing_ok=True)


def _choose_provider(place: Place) -> None:
    """Let the engine find our provider that renders, unless the official one is there."""
    link = place.links / PROVIDER
    if _official(place.root):
        link.unlink(missing_ok=True)
    else:
        store.link(link, place.root / "infra" / "render_provider" / PROVIDER)
