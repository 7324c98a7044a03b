"""Fewer pods, smaller pods, less protection of pods."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra.policy.objects import dig
from infra.quantities import amount
from infra.review.fields import canonical, items
from infra.review.pairing import Change
from infra.review.risks.rule import Comparison, Finding, containers, risk, share

HPA: Final = "HorizontalPodAutoscaler"
PDB: Final = "PodDisruptionBudget"
ASSUMED_PODS: Final = 100
"""A percentage of pods is compared as one of a hundred."""


def _lowered(change: Change, path: str, default: int | None = None) -> str:
    """Return by how much a number was lowered, if it was; `default` is Kubernetes' own."""
    old, new = (default if n is None else n for n in _both(change, path))
    lower = isinstance(old, int) and isinstance(new, int) and new < old
    return f"lowered {old} → {new}" if lower else ""


def _both(change: Change, path: str) -> tuple[Any, Any]:
    return dig(change.old, path), dig(change.new, path)


@risk("high")
def hpa_maximum_lowered(comparison: Comparison) -> Iterator[Finding]:
    """Name autoscalers that stop earlier."""
    for change in comparison.kept(HPA):
        if by := _lowered(change, "spec.maxReplicas"):
            yield change.title, f"HPA maximum {by}: a peak may find too few pods"


@risk("high")
def hpa_minimum_lowered(comparison: Comparison) -> Iterator[Finding]:
    """Name autoscalers that keep fewer pods."""
    for change in comparison.kept(HPA):
        if by := _lowered(change, "spec.minReplicas", 1):
            yield change.title, f"HPA minimum {by}: fewer pods survive a node's loss"


@risk("medium")
def hpa_target_raised(comparison: Comparison) -> Iterator[Finding]:
    """Name metrics that add pods later than before, or not at all."""
    for change in comparison.kept(HPA):
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
def hpa_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name autoscalers that are gone."""
    for change in comparison.of(HPA):
        if change.action == "deleted":
            yield change.title, "autoscaler removed: the number of pods no longer follows the load"


@risk("medium")
def hpa_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name autoscalers that move something else, or move it otherwise."""
    for change in comparison.kept(HPA):
        old, new = _both(change, "spec.scaleTargetRef")
        if old != new:
            yield change.title, f"HPA scales {dig(new, 'name')}, was {dig(old, 'name')}"
        old, new = _both(change, "spec.behavior")
        if old != new:
            yield change.title, f"HPA moves otherwise: behavior {canonical(old)} → {canonical(new)}"


@risk("high")
def replicas_lowered(comparison: Comparison) -> Iterator[Finding]:
    """Name workloads with a fixed number of pods that have fewer."""
    scaled = {dig(scaler, "spec.scaleTargetRef.name") for scaler in comparison.after.of(HPA)}
    for change in comparison.kept("Deployment", "StatefulSet"):
        default = None if change.name in scaled else 1
        if by := _lowered(change, "spec.replicas", default):
            yield change.title, f"replicas {by}"


@risk("high")
def pdb_loosened(comparison: Comparison) -> Iterator[Finding]:
    """Name disruption budgets that let more pods go at once, or are gone."""
    for change in comparison.of(PDB):
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


@risk("high")
def limits_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name containers that may take all of a node."""
    for where, what, old, new in _amounts(comparison, "limits"):
        if old is not None and new is None:
            yield where, f"{what} removed (was {old})"


@risk("medium")
def limits_lowered(comparison: Comparison) -> Iterator[Finding]:
    """Name containers that are killed or throttled earlier."""
    return _less(comparison, "limits")


@risk("medium")
def requests_lowered(comparison: Comparison) -> Iterator[Finding]:
    """Name containers that are promised less."""
    return _less(comparison, "requests")


@risk("low")
def requests_raised(comparison: Comparison) -> Iterator[Finding]:
    """Name containers that need more room: where there is none, pods stay pending."""
    for where, what, old, new in _amounts(comparison, "requests"):
        if None not in (old, new) and amount(new) > amount(old):
            yield where, f"{what} raised {old} → {new}"


def _less(comparison: Comparison, bound: str) -> Iterator[Finding]:
    for where, what, old, new in _amounts(comparison, bound):
        gone = new is None and bound == "requests"
        if old is not None and (gone or (new is not None and amount(new) < amount(old))):
            yield where, f"{what} lowered {old} → {new or 'none'}"


def _amounts(comparison: Comparison, bound: str) -> Iterator[tuple[str, str, Any, Any]]:
    for change, name, before, after in containers(comparison):
        old, new = (dig(side, f"resources.{bound}") or {} for side in (before, after))
        for resource in sorted(old.keys() | new.keys()):
            what = f"{resource} {bound.removesuffix('s')} of {name}"
            yield change.title, what, old.get(resource), new.get(resource)
