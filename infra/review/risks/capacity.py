"""Fewer pods, smaller pods, less protection of pods."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from infra.policy.objects import dig
from infra.quantities import amount
from infra.review.fields import canonical, items
from infra.review.pairing import Change
from infra.review.risks.rule import Finding, Scene, risk, share, template_spec

HPA: Final = "HorizontalPodAutoscaler"
PDB: Final = "PodDisruptionBudget"
ASSUMED_PODS: Final = 100
"""A percentage of pods is compared as one of a hundred."""


def _lowered(path: str, default: int | None = None) -> Callable[[Change], str]:
    """Return a question: by how much was the number at `path` lowered, if it was.

    `default` is Kubernetes' own, of a number that is not there.
    """

    def ask(change: Change) -> str:
        old, new = (default if n is None else n for n in _both(change, path))
        lower = isinstance(old, int) and isinstance(new, int) and new < old
        return f"lowered {old} → {new}" if lower else ""

    return ask


def _both(change: Change, path: str) -> tuple[Any, Any]:
    return dig(change.old, path), dig(change.new, path)


@risk("high")
def hpa_maximum_lowered(scene: Scene) -> Iterator[Finding]:
    """Name autoscalers that stop earlier."""
    for change in scene.kept(HPA):
        if by := _lowered("spec.maxReplicas")(change):
            yield change.title, f"HPA maximum {by}: a peak may find too few pods"


@risk("high")
def hpa_minimum_lowered(scene: Scene) -> Iterator[Finding]:
    """Name autoscalers that keep fewer pods."""
    for change in scene.kept(HPA):
        if by := _lowered("spec.minReplicas", 1)(change):
            yield change.title, f"HPA minimum {by}: fewer pods survive a node's loss"


@risk("medium")
def hpa_target_raised(scene: Scene) -> Iterator[Finding]:
    """Name metrics that add pods later than before, or not at all."""
    for change in scene.kept(HPA):
        metrics = (dig(side, "spec.metrics") for side in (change.old, change.new))
        for key, before, after in items(*metrics):
            if before and not after:
                yield change.title, f"HPA no longer scales by {key}"
            elif before and after and _target(after) > _target(before):
                yield change.title, f"HPA target of {key} raised: pods are added later"


def _target(metric: Mapping[str, Any]) -> Any:
    source = metric.get(str(metric["type"]).lower()) or {}
    target = source.get("target") or {}
    values = [amount(target[key]) for key in sorted(target) if key != "type"]
    return values[0] if values else amount(0)


@risk("high")
def hpa_removed(scene: Scene) -> Iterator[Finding]:
    """Name autoscalers that are gone."""
    for change in scene.of(HPA):
        if change.action == "deleted":
            yield change.title, "autoscaler removed: the number of pods no longer follows the load"


@risk("medium")
def hpa_changed(scene: Scene) -> Iterator[Finding]:
    """Name autoscalers that move something else, or move it otherwise."""
    for change in scene.kept(HPA):
        old, new = _both(change, "spec.scaleTargetRef")
        if old != new:
            yield change.title, f"HPA scales {dig(new, 'name')}, was {dig(old, 'name')}"
        old, new = _both(change, "spec.behavior")
        if old != new:
            yield change.title, f"HPA moves otherwise: behavior {canonical(old)} → {canonical(new)}"


@risk("low")
def requests_raised(scene: Scene) -> Iterator[Finding]:
    """Name containers that need more room: where there is none, pods stay pending."""
    for change, name, resource, old, new in _amounts(scene, "requests"):
        if old is not None and new is not None and amount(new) > amount(old):
            yield change.title, f"{resource} request of {name} raised {old} → {new}"


@risk("high")
def replicas_lowered(scene: Scene) -> Iterator[Finding]:
    """Name workloads with a fixed number of pods that have fewer."""
    scaled = {dig(scaler, "spec.scaleTargetRef.name") for scaler in scene.after.of(HPA)}
    for change in scene.kept("Deployment", "StatefulSet"):
        default = None if change.name in scaled else 1
        if by := _lowered("spec.replicas", default)(change):
            yield change.title, f"replicas {by}"


@risk("high")
def pdb_loosened(scene: Scene) -> Iterator[Finding]:
    """Name disruption budgets that let more pods go at once, or are gone."""
    for change in scene.of(PDB):
        if change.action == "deleted":
            yield change.title, "PDB removed: a node's drain may take all pods at once"
        elif change.kept and (text := _loosened(change)):
            yield change.title, f"PDB loosened: {text}"


def _loosened(change: Change) -> str:
    old, new = change.old["spec"], change.new["spec"]
    for key, sign in (("minAvailable", 1), ("maxUnavailable", -1)):
        if key in old and key in new:
            before, after = (share(spec[key], ASSUMED_PODS) for spec in (old, new))
            if sign * after < sign * before:
                return f"{key} {old[key]} → {new[key]}"
        elif key in old:
            return f"{key} {old[key]} removed"
    return ""


@risk("medium")
def limits_lowered(scene: Scene) -> Iterator[Finding]:
    """Name containers that are killed or throttled earlier."""
    for change, name, resource, old, new in _amounts(scene, "limits"):
        if old is not None and new is not None and amount(new) < amount(old):
            yield change.title, f"{resource} limit of {name} lowered {old} → {new}"


@risk("high")
def limits_removed(scene: Scene) -> Iterator[Finding]:
    """Name containers that may take all of a node."""
    for change, name, resource, old, new in _amounts(scene, "limits"):
        if old is not None and new is None:
            yield change.title, f"{resource} limit of {name} removed (was {old})"


@risk("medium")
def requests_lowered(scene: Scene) -> Iterator[Finding]:
    """Name containers that are promised less."""
    for change, name, resource, old, new in _amounts(scene, "requests"):
        if old is not None and (new is None or amount(new) < amount(old)):
            yield change.title, f"{resource} request of {name} lowered {old} → {new or 'none'}"


def _amounts(scene: Scene, bound: str) -> Iterator[tuple[Change, str, str, Any, Any]]:
    for change in scene.kept("Deployment", "StatefulSet", "DaemonSet", "Job"):
        pods = (template_spec(side).get("containers") for side in (change.old, change.new))
        for name, before, after in items(*pods):
            if before and after:
                old, new = (dig(one, f"resources.{bound}") or {} for one in (before, after))
                for resource in sorted(old.keys() | new.keys()):
                    yield change, name, resource, old.get(resource), new.get(resource)
