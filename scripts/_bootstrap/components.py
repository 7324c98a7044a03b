"""The components that a verb can ask for, by name."""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from os import environ
from pathlib import Path
from typing import Final

from scripts._bootstrap import catalogue, kubernetes, sources, store, tools, venv
from scripts._bootstrap.errors import BootstrapError, UnavailableError
from scripts._bootstrap.tools import Place

PROVIDER: Final = "pulumi-resource-kubernetes"
PLUGIN_HOST: Final = "https://get.pulumi.com"
PLUGIN_TIMEOUT_SECONDS: Final = 120.0  # 40 MB
DOCKER_TIMEOUT_SECONDS: Final = 5.0


def pulumi(place: Place) -> None:
    """Make the engine ready: CLI, language host, and a Kubernetes provider that renders."""
    tools.ensure(catalogue.PULUMI, place)
    _render_provider(place)


def image(place: Place) -> None:
    """Make an image builder ready: a Docker engine that answers, or buildah and debootstrap."""
    if not docker_answers():
        tools.ensure(catalogue.IMAGE_TOOLS, place)


def control_plane(place: Place) -> None:
    """Make a Kubernetes API ready whose Deployments, Jobs and budgets move."""
    for tool in kubernetes.CONTROL_PLANE:
        tools.ensure(tool, place)


def docker_answers() -> bool:
    """Tell whether there is a Docker engine, not only its client."""
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


def link_into_venv(place: Place) -> None:
    """Let the tools be found with the venv active; pulumi through its wrapper, scripts/pulumi."""
    binaries = place.root / ".venv" / "bin"
    if not binaries.is_dir():
        return
    for tool in sorted(place.links.glob("*")):
        wrapper = place.root / "scripts" / tool.name
        store.link(binaries / tool.name, wrapper if wrapper.is_file() else tool)
    if not (place.links / PROVIDER).is_symlink():
        (binaries / PROVIDER).unlink(missing_ok=True)


def _render_provider(place: Place) -> None:
    """Link the stand-in that only renders, unless the official provider is there."""
    link = place.links / PROVIDER
    if _official(place.root, locked_version(place.root, "pulumi-kubernetes")):
        link.unlink(missing_ok=True)
    else:
        store.link(link, place.root / "infra" / "render_provider" / PROVIDER)


def kubernetes_provider(place: Place) -> None:
    """Make the official provider ready where the engine looks for it; needs the CLI.

    Raises BootstrapError when it can neither be downloaded nor built.
    """
    tools.ensure(catalogue.PULUMI, place)
    version = locked_version(place.root, "pulumi-kubernetes")
    if not _official(place.root, version) and (reason := _install_official(version, place)):
        place.console.say(f"Kubernetes provider: official download is not possible: {reason}")
        (built,) = tools.cached(catalogue.KUBERNETES_PROVIDER, place)
        store.link(_plugin(version), built)
    (place.links / PROVIDER).unlink(missing_ok=True)


def _official(root: Path, version: str) -> bool:
    return _plugin(version).is_file() or sources.on_path(PROVIDER, root) is not None


def _plugin(version: str) -> Path:
    home = Path(environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    return home / "plugins" / f"resource-kubernetes-v{version}" / PROVIDER


def _install_official(version: str, place: Place) -> str:
    """Let the CLI install its plugin; return why not, or nothing."""
    if not sources.reachable(PLUGIN_HOST):
        return f"{PLUGIN_HOST} does not answer"
    title = f"Kubernetes provider {version}: official download"
    try:
        with place.console.step(title, "20 s"):
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


COMPONENTS: Final[Mapping[str, tuple[str, Callable[[Place], None]]]] = {
    "venv": ("the Python packages of requirements/dev.txt and this repository", venv.ensure),
    "pulumi": ("the Pulumi CLI, its Python language host, what renders manifests", pulumi),
    "kubernetes-provider": ("Pulumi's official Kubernetes provider", kubernetes_provider),
    "kubectl": (
        "removes old configuration after `make up`",
        lambda place: tools.ensure(kubernetes.KUBECTL, place),
    ),
    "promtool": (
        "checks and tests alert rules",
        lambda place: tools.ensure(catalogue.PROMTOOL, place),
    ),
    "amtool": (
        "checks the example of Alertmanager's configuration",
        lambda place: tools.ensure(catalogue.AMTOOL, place),
    ),
    "prometheus": (
        "scrapes the service and evaluates the rules in tests; without its UI when built here",
        lambda place: tools.ensure(catalogue.PROMETHEUS, place),
    ),
    "stripe-mock": (
        "Stripe's own API double, for tests",
        lambda place: tools.ensure(catalogue.STRIPE_MOCK, place),
    ),
    "kubeconform": (
        "checks manifests against the API server's schemas",
        lambda place: tools.ensure(catalogue.KUBECONFORM, place),
    ),
    "kube-score": (
        "a checklist for manifests",
        lambda place: tools.ensure(catalogue.KUBE_SCORE, place),
    ),
    "actionlint": (
        "checks the workflows below .github",
        lambda place: tools.ensure(catalogue.ACTIONLINT, place),
    ),
    "wrk": ("the load generator of `make bench`", lambda place: tools.ensure(catalogue.WRK, place)),
    "control-plane": (
        "a Kubernetes control plane without nodes, and stand-ins for these, for tests",
        control_plane,
    ),
    "image": ("builds images: Docker if an engine answers, else buildah and debootstrap", image),
}
DEFAULT: Final = (
    "venv",
    "pulumi",
    "kubernetes-provider",
    "promtool",
    "amtool",
    "prometheus",
    "stripe-mock",
    "kubeconform",
    "kube-score",
    "actionlint",
    "control-plane",
)
