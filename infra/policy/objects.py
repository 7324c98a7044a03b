"""A stack's rendered objects, and the questions that rules ask of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Object = Mapping[str, Any]

POD_OWNERS = ("Deployment", "Job")


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod template and the object that it belongs to."""

    owner: str
    labels: Mapping[str, str]
    spec: Object

    @property
    def container(self) -> Object:
        """Return the one container that our pods have."""
        (container,) = self.spec["containers"]
        found: Object = container
        return found


@dataclass(frozen=True, slots=True)
class Stack:
    """All objects of one stack."""

    objects: Sequence[Object]

    def of(self, kind: str) -> Iterator[Object]:
        """Yield the objects of a kind."""
        return (obj for obj in self.objects if obj["kind"] == kind)

    def named(self, kind: str, name: str) -> Object | None:
        """Return the object of this kind and name, or None."""
        return next((obj for obj in self.of(kind) if obj["metadata"]["name"] == name), None)

    def pods(self) -> list[Pod]:
        """Return every pod template."""
        return [
            Pod(title(obj), template["metadata"]["labels"], template["spec"])
            for obj in self.objects
            if obj["kind"] in POD_OWNERS
            for template in [obj["spec"]["template"]]
        ]

    def settings(self, pod: Pod) -> dict[str, str]:
        """Return the environment that a pod gets from its ConfigMaps."""
        values: dict[str, str] = {}
        for source in pod.container.get("envFrom", ()):
            config = self.named("ConfigMap", source.get("configMapRef", {}).get("name", ""))
            values |= config["data"] if config else {}
        return values


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


def load(directory: Path) -> Stack:
    """Return the stack that was rendered into `directory`."""
    paths = sorted(directory.rglob("*.yaml"))
    if not paths:
        raise FileNotFoundError(f"no manifests in {directory}: run `make render`")
    return Stack([yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths])
