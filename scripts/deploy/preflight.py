"""Ask a cluster, before anything is made on it, whether it serves what a stack's objects need.

What they need is in the events of a preview: their kinds, and the metrics of their autoscalers.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from scripts import ROOT, programs
from scripts.deploy.engine import Event
from scripts.kubectl import Kubectl
from scripts.programs import ProgramError

REQUEST_TIMEOUT_S: Final = 10.0
KUBERNETES: Final = ".k8s.io"
"""Groups with this ending, or without a dot, are a server's own: their kinds come with them."""
MONITORING: Final = "monitoring.coreos.com"
DEFINITIONS: Final = Path(".tools") / "definitions"
"""Where the tests' bootstrap puts the kinds of MONITORING, if it ran in this clone."""
PINNED: Final = ROOT / "tools" / "monitoring-definitions" / "tool.toml"
SOURCE: Final = "https://raw.githubusercontent.com/prometheus-operator/prometheus-operator"
CUSTOM: Final = "custom.metrics.k8s.io"
RESOURCE: Final = "metrics.k8s.io"
METRICS: Final[Mapping[str, tuple[str, str]]] = {
    "Pods": (CUSTOM, "an adapter serves it, or coinslot:api.autoscaling.activePayments is off"),
    "Resource": (RESOURCE, "metrics-server serves it"),
}
"""By the type of an autoscaler's metric: the group that serves it, and until when it has none."""

Object = Mapping[str, Any]


class PreflightError(Exception):
    """The cluster lacks something, or does not answer; the message says what to do."""


class Cluster:
    """What the cluster of the kubeconfig serves; raises PreflightError if it doesn't answer."""

    def __init__(self) -> None:
        groups = _asked("/apis")["groups"]
        self.versions = {each["groupVersion"] for group in groups for each in group["versions"]}
        self.groups = {group["name"] for group in groups}

    def serves(self, api_version: str, kind: str) -> bool:
        group, slash, _ = api_version.partition("/")
        if not slash:
            return True
        if api_version not in self.versions:
            return False
        if "." not in group or group.endswith(KUBERNETES):
            return True
        return kind in {each["kind"] for each in _asked(f"/apis/{api_version}")["resources"]}


def check(events: Sequence[Event], cluster: Cluster) -> list[str]:
    """Return what is worth a note; raise PreflightError for kinds that the cluster doesn't know."""
    objects = list(_objects(events))
    kinds = sorted({(each["apiVersion"], each["kind"]) for each in objects})
    if missing := [each for each in kinds if not cluster.serves(*each)]:
        raise PreflightError(_lacks(missing))
    return [note for each in objects for note in _without_value(each, cluster)]


def _objects(events: Sequence[Event]) -> Iterator[Object]:
    for event in events:
        resource = (event.get("resourcePreEvent") or {}).get("metadata") or {}
        inputs = (resource.get("new") or {}).get("inputs") or {}
        if {"apiVersion", "kind"} <= inputs.keys():
            yield inputs


def _lacks(missing: Sequence[tuple[str, str]]) -> str:
    names = ", ".join(f"{kind} ({api_version})" for api_version, kind in missing)
    groups = {api_version.partition("/")[0] for api_version, _ in missing}
    files = tuple(f"_{kind.lower()}s.yaml" for _, kind in missing)
    remedies = "; ".join(_install(group, files) for group in sorted(groups))
    return f"the cluster does not know {names}; nothing was made. First: {remedies}"


def _install(group: str, wanted: tuple[str, ...]) -> str:
    """Return the command that installs a group's kinds, of which these are the files' ends."""
    if group != MONITORING:
        return f"install what serves {group}"
    if any((ROOT / DEFINITIONS).glob("*.yaml")):
        return f"kubectl apply --server-side -f {DEFINITIONS}"
    tool = tomllib.loads(PINNED.read_text(encoding="utf-8"))
    all_files = (file for program in tool["go"]["programs"] for file in program["files"])
    files = [file for file in all_files if file.endswith(wanted)]
    urls = " ".join(f"-f {SOURCE}/v{tool['version']}/{file}" for file in files)
    return f"kubectl apply --server-side {urls}"


def _without_value(scaler: Object, cluster: Cluster) -> Iterator[str]:
    if scaler["kind"] != "HorizontalPodAutoscaler":
        return
    for metric in scaler["spec"].get("metrics", ()):
        group, until = METRICS.get(metric["type"], ("", ""))
        if group and group not in cluster.groups:
            about = metric[metric["type"].lower()]
            name = about["name"] if "name" in about else about["metric"]["name"]
            yield (
                f"the cluster does not serve {group}: the autoscaler {scaler['metadata']['name']} "
                f"has no value of {name} until {until}"
            )


def _asked(path: str) -> Any:
    kubectl = Kubectl(request_timeout_s=REQUEST_TIMEOUT_S)
    programs.path_of("kubectl")  # if it is missing, that says nothing of the cluster
    try:
        text = kubectl("get", f"--raw={path}")
    except ProgramError as error:
        said = str(error).splitlines()[-1]
        raise PreflightError(f"the cluster of the kubeconfig does not answer: {said}") from error
    return json.loads(text)
