"""A stack's objects, and the questions that rules ask of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from infra import labels
from service.secret_use import ROLES, Role

Object = Mapping[str, Any]

POD_OWNERS: Final = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob")
PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Dashboards are long: the parser in C, where it was built, takes a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod template and the object that it belongs to."""

    owner: str
    kind: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """Return every container, also those that run before the others or for a debugger."""
        others = ("initContainers", "ephemeralContainers")
        found: list[Object] = [one for key in others for one in self.spec.get(key) or ()]
        return [*found, *self.spec["containers"]]

    @property
    def container(self) -> Object:
        """Return the container that does the pod's work."""
        found: Object = self.spec["containers"][0]
        return found

    @property
    def component(self) -> str:
        return self.labels.get(labels.COMPONENT, "")

    @property
    def runs_service(self) -> bool:
        """Say whether it runs the service, and not something that the service needs."""
        return self.component in ROLES

    @property
    def role(self) -> Role:
        """Return the role of the service that it runs; raise ValueError if it is another thing."""
        return ROLES[ROLES.index(self.component)]

    @property
    def serves(self) -> bool:
        """Say whether it runs until it gets SIGTERM."""
        return self.kind not in ("Job", "CronJob")


@dataclass(frozen=True, slots=True)
class Stack:
    """All objects of one stack."""

    objects: Sequence[Object]

    @property
    def name(self) -> str:
        """Return `local`, `staging` or `prod`; nothing when there is no namespace."""
        prefix = labels.namespace_name("")
        found = next(self.of("Namespace"), None)
        return found["metadata"]["name"].removeprefix(prefix) if found else ""

    def of(self, *kinds: str) -> Iterator[Object]:
        return (obj for obj in self.objects if obj["kind"] in kinds)

    def named(self, kind: str, name: str) -> Object | None:
        return next((obj for obj in self.of(kind) if obj["metadata"]["name"] == name), None)

    def pods(self) -> list[Pod]:
        return [_pod(obj) for obj in self.of(*POD_OWNERS)]

    def selected(self, selector: Object) -> list[Pod]:
        return [pod for pod in self.pods() if selects(selector, pod.labels)]

    def settings(self, pod: Pod) -> dict[str, str]:
        """Return the environment that a pod gets from its ConfigMaps."""
        values: dict[str, str] = {}
        for source in pod.container.get("envFrom", ()):
            config = self.named("ConfigMap", source.get("configMapRef", {}).get("name", ""))
            values |= config["data"] if config else {}
        return values


def _pod(owner: Object) -> Pod:
    spec = owner["spec"]
    template = (spec["jobTemplate"]["spec"] if owner["kind"] == "CronJob" else spec)["template"]
    metadata = template.get("metadata", {})
    return Pod(
        title(owner),
        owner["kind"],
        metadata.get("labels", {}),
        metadata.get("annotations", {}),
        template["spec"],
    )


def dig(obj: Any, path: str) -> Any:
    for step in path.split("."):
        if not isinstance(obj, Mapping):
            return None
        obj = obj.get(step)
    return obj


def title(obj: Object) -> str:
    """Return how a rule calls an object: `Deployment coinslot-api`."""
    return f"{obj['kind']} {obj['metadata']['name']}"


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Say whether a label selector, or a Service's plain labels, matches; empty matches all."""
    expressions = selector.get("matchExpressions", ())
    plain = selector.get("matchLabels", {})
    if not (expressions or plain) and "matchLabels" not in selector:
        plain = selector
    return all(labels.get(key) == value for key, value in plain.items()) and all(
        _holds(expression, labels) for expression in expressions
    )


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    if operator not in ("In", "NotIn"):
        raise ValueError(
            f"a selector with {operator} is not understood here; teach it to selects()"
        )
    return bool(labels.get(key) in expression["values"]) is (operator == "In")


class ManifestError(ValueError):
    """A file holds no manifest; the message says which, and what it holds."""


def load(directory: Path) -> Stack:
    """Return the stack that was rendered into `directory`; raise ManifestError.

    A List would hide its items from every rule.
    """
    paths = sorted(directory.rglob("*.yaml"))
    if not paths:
        raise FileNotFoundError(f"no manifests in {directory}: run `make render`")
    return Stack([_manifest(path) for path in paths])


def _manifest(path: Path) -> Object:
    try:
        found: Object = yaml.load(path.read_bytes(), Loader=LOADER)  # noqa: S506  a safe one
        named = str(found["apiVersion"]) and found["kind"] and found["metadata"]["name"]
    except (yaml.YAMLError, LookupError, TypeError) as error:
        message = " ".join(str(error).split())
        raise ManifestError(f"{path.name} is no manifest of one object: {message}") from error
    if not named:
        raise ManifestError(f"{path.name} is no manifest of one object: it has no kind or no name")
    return found
