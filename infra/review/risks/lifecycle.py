"""Objects that come, go or are made anew, and pods that restart."""

from collections.abc import Iterator
from typing import Final

from infra import labels
from infra.policy.objects import title
from infra.review.fields import dig, items
from infra.review.risks.rule import Finding, Rule, Scene, template_spec

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
HASHED: Final = "its name holds its content"


def replaced(scene: Scene) -> Iterator[Finding]:
    """Name what is deleted and made anew because a field can't be changed in place."""
    for change in scene.kept(*OUTAGES):
        if change.action == "replaced" and change.cause != HASHED:
            yield (
                change.title,
                f"replaces the {change.kind} ({change.cause} is immutable): {OUTAGES[change.kind]}",
            )


def deleted(scene: Scene) -> Iterator[Finding]:
    """Name what serves and is gone."""
    for change in scene.of(*SERVING):
        if change.action == "deleted":
            yield change.title, f"deletes the {change.kind}: what it serves stops"


def data_deleted(scene: Scene) -> Iterator[Finding]:
    """Name what holds data and is gone."""
    for change in scene.of("PersistentVolumeClaim", "PersistentVolume"):
        if change.action == "deleted":
            yield change.title, f"deletes the {change.kind}: its data may go with it"


def restarts(scene: Scene) -> Iterator[Finding]:
    """Name the pods that are rolled: any change of the template does it."""
    for change in scene.kept("Deployment", "StatefulSet", "DaemonSet"):
        if dig(change.old, "spec.template") != dig(change.new, "spec.template"):
            yield change.title, f"restarts the pods of {change.name}"


def image_changed(scene: Scene) -> Iterator[Finding]:
    """Name each container that runs other bytes."""
    for change in scene.kept("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"):
        old, new = (template_spec(side).get("containers") for side in (change.old, change.new))
        for name, before, after in items(old, new):
            if before and after and before.get("image") != after.get("image"):
                yield (
                    change.title,
                    f"image of {name} changed: {before.get('image')} → {after.get('image')}",
                )


def migration_runs(scene: Scene) -> Iterator[Finding]:
    """Say when a Job will run: it changes the database before the rollout."""
    for change in scene.of("Job"):
        if change.action in ("created", "replaced"):
            component = change.object["metadata"].get("labels", {}).get(labels.COMPONENT)
            what = "migration job" if component == labels.MIGRATE else "job"
            yield change.title, f"{what} runs before the rollout"


def selector_changed(scene: Scene) -> Iterator[Finding]:
    """Name selectors that choose other pods than before."""
    for change in scene.kept("Deployment", "Service", "PodDisruptionBudget"):
        if dig(change.old, "spec.selector") != dig(change.new, "spec.selector"):
            what = "requests go to other pods" if change.kind == "Service" else "other pods match"
            yield change.title, f"selector changed: {what}"


def service_port_gone(scene: Scene) -> Iterator[Finding]:
    """Name the ports of Services that clients can't reach any more."""
    for change in scene.kept("Service"):
        old, new = (
            {port["port"] for port in dig(side, "spec.ports") or ()}
            for side in (change.old, change.new)
        )
        for port in sorted(old - new):
            yield change.title, f"port {port} removed: clients that use it fail"


def settings_changed(scene: Scene) -> Iterator[Finding]:
    """List the service's settings that have another value."""
    for change in scene.kept("ConfigMap"):
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


RULES: Final = (
    Rule("object-replaced", "high", replaced),
    Rule("object-deleted", "high", deleted),
    Rule("data-deleted", "high", data_deleted),
    Rule("selector-changed", "high", selector_changed),
    Rule("service-port-removed", "high", service_port_gone),
    Rule("image-changed", "medium", image_changed),
    Rule("migration-runs", "medium", migration_runs),
    Rule("pods-restart", "low", restarts),
    Rule("setting-changed", "low", settings_changed),
)
