"""Objects that come, go or are made anew, and pods that restart."""

from collections.abc import Iterator
from typing import Final

from infra import labels
from infra.policy.objects import Pod, dig, title
from infra.review.fields import items
from infra.review.risks.rule import OWNERS, Comparison, Finding, containers, risk, template_spec

SERVING: Final = ("Deployment", "StatefulSet", "DaemonSet", "Service", "Namespace", "Ingress")
"""Kinds without which requests fail."""
OUTAGES: Final = {
    "Service": "its address is gone until the new one is there: short outage",
    "Deployment": "all its pods go before the new ones come: outage",
    "StatefulSet": "all its pods go before the new ones come: outage",
    "Secret": "pods that start meanwhile fail",
    "ConfigMap": "pods that start meanwhile fail",
    "PersistentVolumeClaim": "its data is lost",
}
UNREADY: Final = "spec.publishNotReadyAddresses"
HASHED: Final = "its name holds its content"


@risk("high")
def object_replaced(comparison: Comparison) -> Iterator[Finding]:
    """Name what is deleted and made anew because a field can't be changed in place."""
    for change in comparison.kept(*OUTAGES):
        if change.action == "replaced" and change.cause != HASHED:
            yield (
                change.title,
                f"replaces the {change.kind} ({change.cause} is immutable): {OUTAGES[change.kind]}",
            )


@risk("high")
def object_deleted(comparison: Comparison) -> Iterator[Finding]:
    """Name what serves and is gone."""
    for change in comparison.of(*SERVING):
        if change.action == "deleted":
            yield change.title, f"deletes the {change.kind}: what it serves stops"


@risk("high")
def needed_object_deleted(comparison: Comparison) -> Iterator[Finding]:
    """Name what pods name and is gone."""
    for change in comparison.of("ConfigMap", "ServiceAccount"):
        if change.action != "deleted":
            continue
        for pod in comparison.after.pods():
            names = {
                "ServiceAccount": {pod.spec.get("serviceAccountName")},
                "ConfigMap": set(_configurations(pod)),
            }
            if change.name in names[change.kind]:
                yield change.title, f"deletes what {pod.owner} names: its pods won't start"


def _configurations(pod: Pod) -> Iterator[str | None]:
    for container in pod.containers:
        for source in container.get("envFrom") or ():
            yield dig(source, "configMapRef.name")
    for volume in pod.spec.get("volumes") or ():
        yield dig(volume, "configMap.name")


@risk("medium")
def variable_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name variables that a container is not given any more, and whole sources of them."""
    for change, name, before, after in containers(comparison):
        kept = {variable["name"] for variable in after.get("env") or ()}
        for variable in before.get("env") or ():
            if variable["name"] not in kept:
                yield change.title, f"variable {variable['name']} of {name} removed"
        for source in before.get("envFrom") or ():
            if source not in (after.get("envFrom") or ()):
                where = next(iter(ref["name"] for ref in source.values() if "name" in ref), "")
                yield change.title, f"all variables of {where} removed from {name}"


@risk("medium")
def containers_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name containers that come and go; one with another name is compared with nothing."""
    for change in comparison.kept(*OWNERS):
        for key, what in (("containers", "container"), ("initContainers", "init container")):
            pods = (template_spec(side).get(key) for side in (change.old, change.new))
            for name, before, after in items(*pods):
                if before is None:
                    image = after.get("image")
                    yield change.title, f"{what} {name} added ({image}): nothing compares it"
                elif after is None:
                    yield change.title, f"{what} {name} removed"


@risk("high")
def data_deleted(comparison: Comparison) -> Iterator[Finding]:
    """Name what holds data and is gone."""
    for change in comparison.of("PersistentVolumeClaim", "PersistentVolume"):
        if change.action == "deleted":
            yield change.title, f"deletes the {change.kind}: its data may go with it"


@risk("low")
def pods_restart(comparison: Comparison) -> Iterator[Finding]:
    """Name the pods that are rolled: any change of the template does it."""
    for change in comparison.kept("Deployment", "StatefulSet", "DaemonSet"):
        if dig(change.old, "spec.template") != dig(change.new, "spec.template"):
            yield change.title, f"restarts the pods of {change.name}"


@risk("medium")
def image_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name each container that runs other bytes."""
    for change, name, before, after in containers(comparison):
        if before.get("image") != after.get("image"):
            yield (
                change.title,
                f"image of {name} changed: {before.get('image')} → {after.get('image')}",
            )


@risk("medium")
def migration_runs(comparison: Comparison) -> Iterator[Finding]:
    """Say when a Job will run: it changes the database before the rollout."""
    for change in comparison.of("Job"):
        if change.action in ("created", "replaced"):
            component = change.object["metadata"].get("labels", {}).get(labels.COMPONENT)
            what = "migration job" if component == labels.MIGRATE else "job"
            yield change.title, f"{what} runs before the rollout"


@risk("high")
def selector_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name selectors that choose other pods than before."""
    for change in comparison.kept("Deployment", "Service", "PodDisruptionBudget"):
        if dig(change.old, "spec.selector") != dig(change.new, "spec.selector"):
            what = "requests go to other pods" if change.kind == "Service" else "other pods match"
            yield change.title, f"selector changed: {what}"


@risk("high")
def service_port_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name the ports of Services that clients can't reach any more."""
    for change in comparison.kept("Service"):
        old, new = (
            {port["port"] for port in dig(side, "spec.ports") or ()}
            for side in (change.old, change.new)
        )
        for port in sorted(old - new):
            yield change.title, f"port {port} removed: clients that use it fail"


@risk("high")
def service_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name ports of Services that lead elsewhere or are called otherwise, and unready pods."""
    for change in comparison.kept("Service"):
        ports = [
            {port["port"]: port for port in dig(side, "spec.ports") or ()}
            for side in (change.old, change.new)
        ]
        for port in sorted(ports[0].keys() & ports[1].keys()):
            for key in ("name", "targetPort", "protocol"):
                old, new = (each[port].get(key) for each in ports)
                if old != new:
                    yield change.title, f"{key} of port {port} changed: {old} → {new}"
        if dig(change.new, UNREADY) and not dig(change.old, UNREADY):
            yield change.title, "requests go to pods that are not ready"


@risk("low")
def setting_changed(comparison: Comparison) -> Iterator[Finding]:
    """List the service's settings that have another value."""
    for change in comparison.kept("ConfigMap"):
        if labels.DATABASE_CONNECTIONS not in (change.new["metadata"].get("annotations") or {}):
            continue
        old, new = change.old.get("data") or {}, change.new.get("data") or {}
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                yield (
                    title(change.object),
                    f"setting {name}: {_shown(old.get(name))} → {_shown(new.get(name))}",
                )


def _shown(value: str | None) -> str:
    return "not set" if value is None else repr(value)
