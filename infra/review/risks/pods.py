"""Pods that may do more, are watched less, or stop and start less carefully."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra import labels
from infra.policy.objects import dig
from infra.review.fields import canonical, items
from infra.review.risks.rule import (
    OWNERS,
    Comparison,
    Finding,
    containers,
    risk,
    share,
    template_spec,
)

WAYS: Final = ("httpGet", "tcpSocket", "grpc", "exec")
RESTARTING: Final = ("livenessProbe", "startupProbe")
PROBES: Final = ("readinessProbe", "livenessProbe", "startupProbe")
LEVELS: Final = ("privileged", "baseline", "restricted")
"""Of the Pod Security Standards, from loose to strict."""
IDENTITIES: Final = ("runAsUser", "runAsGroup", "fsGroup")
SURROUNDINGS: Final = ("dnsPolicy", "dnsConfig", "hostAliases", "runtimeClassName", "volumes")
PLACEMENT: Final = ("nodeSelector", "nodeName", "tolerations", "affinity.nodeAffinity")
SPREAD: Final = "topologySpreadConstraints"
EVEN_SPREAD: Final = ("affinity.podAntiAffinity", SPREAD)


@risk("high")
def privileges_raised(comparison: Comparison) -> Iterator[Finding]:
    """Name what a pod may do from now on, as far as Pod Security admission leaves it open."""
    for change in comparison.of(*OWNERS):
        if change.after is not None:
            old = _privileges(change.old) if change.before is not None else set()
            for privilege in sorted(_privileges(change.new) - old):
                yield change.title, f"privileges raised: {privilege}"


def _privileges(obj: Mapping[str, Any]) -> set[str]:
    spec = template_spec(obj)
    found = {"shareProcessNamespace is on"} if spec.get("shareProcessNamespace") else set()
    sources = [dig(each, "projected.sources") or () for each in spec.get("volumes") or ()]
    projected = any("serviceAccountToken" in one for each in sources for one in each)
    if projected or spec.get("automountServiceAccountToken") is not False:
        found.add("the pod carries a token of the Kubernetes API")
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        context, name = _context(spec, container), container["name"]
        if context.get("readOnlyRootFilesystem") is not True:
            found.add(f"{name}: its root filesystem is writable")
        if context.get("runAsGroup") == 0:
            found.add(f"{name}: it runs in root's group")
    return found


def _context(spec: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any]:
    """Return what holds for a container: its own security context goes before its pod's."""
    return {**(spec.get("securityContext") or {}), **(container.get("securityContext") or {})}


@risk("high")
def pod_security_lowered(comparison: Comparison) -> Iterator[Finding]:
    """Name namespaces that let looser pods in."""
    for change in comparison.kept("Namespace"):
        key = f"{labels.POD_SECURITY}/enforce"
        old, new = (
            str((side["metadata"].get("labels") or {}).get(key, LEVELS[0]))
            for side in (change.old, change.new)
        )
        if LEVELS.index(new) < LEVELS.index(old):
            yield change.title, f"privileges raised: pod security lowered {old} → {new}"


@risk("medium")
def probe_loosened(comparison: Comparison) -> Iterator[Finding]:
    """Name probes that notice a broken pod later."""
    for change, name, before, after in containers(comparison):
        for probe in PROBES:
            old, new = (_patience_s(side.get(probe)) for side in (before, after))
            if old and new > old:
                yield change.title, f"{probe} of {name} notices after {new} s, was {old} s"


@risk("medium")
def probe_tightened(comparison: Comparison) -> Iterator[Finding]:
    """Name probes that end a slow container sooner than before."""
    for change, name, before, after in containers(comparison):
        for probe in RESTARTING:
            old, new = (_patience_s(side.get(probe)) for side in (before, after))
            if new and new < old:
                yield change.title, f"{probe} of {name} restarts it after {new} s, was {old} s"
            waits = [dig(side, f"{probe}.timeoutSeconds") or 1 for side in (before, after)]
            if new and waits[1] < waits[0]:
                yield change.title, f"{probe} of {name} waits {waits[1]} s, was {waits[0]} s"


@risk("medium")
def probe_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name probes that ask something else."""
    for change, name, before, after in containers(comparison):
        for probe in PROBES:
            old, new = (_question(side.get(probe)) for side in (before, after))
            if old and new and old != new:
                shown = f"{canonical(old)} → {canonical(new)}"
                yield change.title, f"{probe} of {name} asks something else: {shown}"


def _question(probe: Mapping[str, Any] | None) -> dict[str, Any]:
    return {way: probe[way] for way in WAYS if probe and way in probe}


def _patience_s(probe: Mapping[str, Any] | None) -> int:
    """Return how long a probe fails before something happens; Kubernetes' defaults are 10 and 3."""
    if not probe:
        return 0
    tries = int(probe.get("periodSeconds", 10)) * int(probe.get("failureThreshold", 3))
    return int(probe.get("initialDelaySeconds", 0)) + tries


@risk("high")
def stops_harder(comparison: Comparison) -> Iterator[Finding]:
    """Name pods that get less time to end what they have begun."""
    for change in comparison.kept(*OWNERS):
        old, new = (template_spec(side) for side in (change.old, change.new))
        key = "terminationGracePeriodSeconds"
        if new.get(key, 30) < old.get(key, 30):
            yield change.title, f"grace period lowered {old.get(key, 30)} s → {new.get(key, 30)} s"
    for change, name, before, after in containers(comparison):
        if dig(before, "lifecycle.preStop") and not dig(after, "lifecycle.preStop"):
            yield change.title, f"preStop hook of {name} removed: requests fail in a rollout"
        waits = [dig(side, "lifecycle.preStop.sleep.seconds") for side in (before, after)]
        if None not in waits and waits[1] < waits[0]:
            yield change.title, f"preStop hook of {name} waits {waits[1]} s, was {waits[0]} s"


@risk("high")
def rollout_loosened(comparison: Comparison) -> Iterator[Finding]:
    """Name rollouts that take pods away before there are new ones."""
    for change in comparison.kept("Deployment"):
        if dig(change.new, "spec.paused") and not dig(change.old, "spec.paused"):
            yield change.title, "rollout is paused: no change reaches the pods"
        ready = [dig(side, "spec.minReadySeconds") or 0 for side in (change.old, change.new)]
        if ready[1] < ready[0]:
            yield change.title, f"a pod counts after {ready[1]} s, was {ready[0]} s"
        old, new = (dig(side, "spec.strategy") or {} for side in (change.old, change.new))
        if new.get("type") == "Recreate" != old.get("type"):
            yield change.title, "rollout stops all pods before it starts new ones (Recreate)"
            continue
        path = "rollingUpdate.maxUnavailable"
        before, after = (dig(side, path) for side in (old, new))
        if share(before or 0, 100) < share("25%" if after is None else after, 100):
            yield change.title, f"rollout may take pods away: maxUnavailable {before} → {after}"


@risk("medium")
def spread_removed(comparison: Comparison) -> Iterator[Finding]:
    """Name pods that may all end up on one node."""
    for change in comparison.kept(*OWNERS):
        old, new = (template_spec(side) for side in (change.old, change.new))
        for path in EVEN_SPREAD:
            if dig(old, path) and not dig(new, path):
                yield change.title, f"{path} removed: one node's loss may take all pods"
        for key, before, after in items(old.get(SPREAD), new.get(SPREAD)):
            if before and not after and new.get(SPREAD):
                yield change.title, f"spread over {key} removed: its loss may take all pods"


@risk("medium")
def placement_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name pods that may find no node, or others than before."""
    for change in comparison.kept(*OWNERS):
        old, new = (template_spec(side) for side in (change.old, change.new))
        for path in PLACEMENT:
            before, after = (dig(side, path) for side in (old, new))
            if before != after:
                shown = f"{canonical(before)} → {canonical(after)}"
                yield change.title, f"{path} changed: {shown}: pods may find no node"
        for key, before, after in items(old.get(SPREAD), new.get(SPREAD)):
            manners = [side and side.get("whenUnsatisfiable") for side in (before, after)]
            if manners == ["ScheduleAnyway", "DoNotSchedule"]:
                yield change.title, f"spread over {key} is demanded: pods may find no node"


@risk("medium")
def surroundings_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name pods that resolve names otherwise, run elsewhere, or are given other files."""
    for change in comparison.kept(*OWNERS):
        old, new = (template_spec(side) for side in (change.old, change.new))
        for key in SURROUNDINGS:
            if old.get(key) != new.get(key):
                shown = f"{canonical(old.get(key))} → {canonical(new.get(key))}"
                yield change.title, f"{key} changed: {shown}"


@risk("medium")
def identity_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name pods with another account or another rank."""
    for change in comparison.kept(*OWNERS):
        for key in ("serviceAccountName", "priorityClassName"):
            old, new = (template_spec(side).get(key) for side in (change.old, change.new))
            if old != new:
                yield change.title, f"{key} changed: {old or 'none'} → {new or 'none'}"
    for change, name, before, after in containers(comparison):
        was = _context(template_spec(change.old), before)
        now = _context(template_spec(change.new), after)
        for key in IDENTITIES:
            if was.get(key) != now.get(key):
                yield change.title, f"{key} of {name} changed: {was.get(key)} → {now.get(key)}"


@risk("medium")
def command_changed(comparison: Comparison) -> Iterator[Finding]:
    """Name containers that run another program."""
    for change, name, before, after in containers(comparison):
        for key in ("command", "args"):
            if before.get(key) != after.get(key):
                shown = [canonical(side.get(key) or []) for side in (before, after)]
                yield change.title, f"{key} of {name} changed: {shown[0]} → {shown[1]}"
