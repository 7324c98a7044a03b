"""Pods that may do more, are watched less, or stop and start less carefully."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra import labels
from infra.review.fields import canonical, dig, items
from infra.review.pairing import Change
from infra.review.risks.rule import Finding, Rule, Scene, share, template_spec

OWNERS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
PROBES: Final = ("readinessProbe", "livenessProbe", "startupProbe")
LEVELS: Final = ("privileged", "baseline", "restricted")
"""Of the Pod Security Standards, from loose to strict."""
SAFE: Final[Mapping[str, Any]] = {
    "securityContext.privileged": False,
    "securityContext.allowPrivilegeEscalation": False,
    "securityContext.readOnlyRootFilesystem": True,
    "securityContext.runAsNonRoot": True,
}
"""What a container must say, by field; to say nothing is unsafe, but for SAFE_WHEN_ABSENT."""
SAFE_WHEN_ABSENT: Final = ("securityContext.privileged",)
SHARED: Final = ("hostNetwork", "hostPID", "hostIPC")
EVEN_SPREAD: Final = ("affinity.podAntiAffinity", "topologySpreadConstraints")


def privileges_raised(scene: Scene) -> Iterator[Finding]:
    """Name what a pod may do from now on and could not before."""
    for change in scene.of(*OWNERS):
        if change.after is not None:
            old, new = _privileges(change.old), _privileges(change.new)
            for privilege in sorted(new - (old if change.before is not None else set())):
                yield change.title, f"privileges raised: {privilege}"


def _privileges(obj: Mapping[str, Any]) -> set[str]:
    spec = template_spec(obj)
    found = {f"{key} is on" for key in SHARED if spec.get(key)}
    found |= {
        f"mounts the node's {dig(each, 'hostPath.path')}"
        for each in spec.get("volumes") or ()
        if each.get("hostPath")
    }
    if spec.get("automountServiceAccountToken") is not False:
        found.add("the pod carries a token of the Kubernetes API")
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        found |= {f"{container['name']}: {each}" for each in _container_privileges(container)}
    return found


def _container_privileges(container: Mapping[str, Any]) -> Iterator[str]:
    for path, safe in SAFE.items():
        value = dig(container, path)
        if value is not safe and not (value is None and path in SAFE_WHEN_ABSENT):
            shown = "not set" if value is None else str(value).lower()
            yield f"{path.partition('.')[2]} is {shown}"
    capabilities = dig(container, "securityContext.capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "not all capabilities are dropped"
    yield from (f"capability {name} added" for name in capabilities.get("add") or ())
    if dig(container, "securityContext.runAsUser") == 0:
        yield "it runs as root"
    if dig(container, "securityContext.seccompProfile.type") in (None, "Unconfined"):
        yield "system calls are not filtered"


def pod_security_lowered(scene: Scene) -> Iterator[Finding]:
    """Name namespaces that let looser pods in."""
    for change in scene.kept("Namespace"):
        key = f"{labels.POD_SECURITY}/enforce"
        old, new = (
            str((side["metadata"].get("labels") or {}).get(key, LEVELS[0]))
            for side in (change.old, change.new)
        )
        if LEVELS.index(new) < LEVELS.index(old):
            yield change.title, f"privileges raised: pod security lowered {old} → {new}"


def probe_removed(scene: Scene) -> Iterator[Finding]:
    """Name containers whose health nobody looks at any more."""
    for change, name, before, after in _containers(scene):
        for probe in PROBES:
            if probe in before and probe not in after:
                yield change.title, f"{probe} of {name} removed"


def probe_loosened(scene: Scene) -> Iterator[Finding]:
    """Name probes that notice a broken pod later."""
    for change, name, before, after in _containers(scene):
        for probe in PROBES:
            old, new = (_patience_s(side.get(probe)) for side in (before, after))
            if old and new > old:
                yield change.title, f"{probe} of {name} notices after {new} s, was {old} s"


def _patience_s(probe: Mapping[str, Any] | None) -> int:
    """Return how long a probe fails before something happens; Kubernetes' defaults are 10 and 3."""
    if not probe:
        return 0
    return int(probe.get("periodSeconds", 10)) * int(probe.get("failureThreshold", 3))


def stops_harder(scene: Scene) -> Iterator[Finding]:
    """Name pods that get less time to end what they have begun."""
    for change in scene.kept(*OWNERS):
        old, new = (template_spec(side) for side in (change.old, change.new))
        key = "terminationGracePeriodSeconds"
        if new.get(key, 30) < old.get(key, 30):
            yield change.title, f"grace period lowered {old.get(key, 30)} s → {new.get(key, 30)} s"
    for change, name, before, after in _containers(scene):
        if dig(before, "lifecycle.preStop") and not dig(after, "lifecycle.preStop"):
            yield change.title, f"preStop hook of {name} removed: requests fail in a rollout"


def rollout_loosened(scene: Scene) -> Iterator[Finding]:
    """Name rollouts that take pods away before there are new ones."""
    for change in scene.kept("Deployment"):
        old, new = (dig(side, "spec.strategy") or {} for side in (change.old, change.new))
        if new.get("type") == "Recreate" != old.get("type"):
            yield change.title, "rollout stops all pods before it starts new ones (Recreate)"
            continue
        path = "rollingUpdate.maxUnavailable"
        before, after = (dig(side, path) for side in (old, new))
        if share(before or 0, 100) < share("25%" if after is None else after, 100):
            yield change.title, f"rollout may take pods away: maxUnavailable {before} → {after}"


def spread_removed(scene: Scene) -> Iterator[Finding]:
    """Name pods that may all end up on one node."""
    for change in scene.kept(*OWNERS):
        old, new = (template_spec(side) for side in (change.old, change.new))
        for path in EVEN_SPREAD:
            if dig(old, path) and not dig(new, path):
                yield change.title, f"{path} removed: one node's loss may take all pods"


def identity_changed(scene: Scene) -> Iterator[Finding]:
    """Name pods with another account or another rank."""
    for change in scene.kept(*OWNERS):
        for key in ("serviceAccountName", "priorityClassName"):
            old, new = (template_spec(side).get(key) for side in (change.old, change.new))
            if old != new:
                yield change.title, f"{key} changed: {old or 'none'} → {new or 'none'}"


def command_changed(scene: Scene) -> Iterator[Finding]:
    """Name containers that run another program."""
    for change, name, before, after in _containers(scene):
        for key in ("command", "args"):
            if before.get(key) != after.get(key):
                shown = [canonical(side.get(key) or []) for side in (before, after)]
                yield change.title, f"{key} of {name} changed: {shown[0]} → {shown[1]}"


def _containers(scene: Scene) -> Iterator[tuple[Change, str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield the containers that are there before and after."""
    for change in scene.kept(*OWNERS):
        pods = (template_spec(side).get("containers") for side in (change.old, change.new))
        for name, before, after in items(*pods):
            if before and after:
                yield change, name, before, after


RULES: Final = (
    Rule("privileges-raised", "high", privileges_raised),
    Rule("pod-security-lowered", "high", pod_security_lowered),
    Rule("probe-removed", "high", probe_removed),
    Rule("rollout-loosened", "high", rollout_loosened),
    Rule("stops-harder", "high", stops_harder),
    Rule("spread-removed", "medium", spread_removed),
    Rule("probe-loosened", "medium", probe_loosened),
    Rule("identity-changed", "medium", identity_changed),
    Rule("command-changed", "medium", command_changed),
)
