"""When an object works: a rule for each kind, after kstatus and the official provider's await.

The rules are pure: an object as the API server shows it, in; a verdict, out. Sources: the kstatus
library of sigs.k8s.io/cli-utils, and the API reference's words on each status field.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from infra.offline_provider.objects import Object


class State(Enum):
    """How far an object is."""

    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the object's own status says; `text` is for people."""

    state: State
    text: str = ""


READY: Final = Verdict(State.READY)


def waiting(text: str) -> Verdict:
    return Verdict(State.WAITING, text)


def failed(text: str) -> Verdict:
    return Verdict(State.FAILED, text)


Related = Callable[[str, str, Mapping[str, str]], list[Object]]
"""Lists the objects of an apiVersion, a kind and a query, near the object that is judged."""
Rule = Callable[[Object, Related], Verdict]


def judge(obj: Object, related: Related) -> Verdict:
    """Return how far the object is."""
    if obj.get("metadata", {}).get("deletionTimestamp"):
        return waiting("it is being deleted")
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    rule = RULES.get((group, str(obj.get("kind", ""))), _generic)
    return rule(obj, related)


def condition(obj: Object, kind: str) -> Mapping[str, Any]:
    """Return the condition of this type, or an empty one."""
    for found in _status(obj).get("conditions") or []:
        if found.get("type") == kind:
            return dict(found)
    return {}


def _status(obj: Object) -> Mapping[str, Any]:
    return obj.get("status") or {}


def _spec(obj: Object) -> Mapping[str, Any]:
    return obj.get("spec") or {}


def _holds(obj: Object, kind: str) -> bool:
    return condition(obj, kind).get("status") == "True"


def _words(found: Mapping[str, Any]) -> str:
    """Return a condition's reason and message."""
    parts = [str(found[key]) for key in ("reason", "message") if found.get(key)]
    return ": ".join(parts)


def _unseen(obj: Object) -> bool:
    """Say whether the kind's controller has yet to look at this generation of the object."""
    seen = _status(obj).get("observedGeneration")
    return seen is None or seen < obj["metadata"].get("generation", 0)


UNSEEN: Final = waiting("its controller has not looked at it yet")


def _count(obj: Object, field: str) -> int:
    return int(_status(obj).get(field) or 0)


def _deployment(obj: Object, _related: Related) -> Verdict:
    if _unseen(obj):
        return UNSEEN
    progressing = condition(obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return failed(_words(progressing))
    wanted = _spec(obj).get("replicas", 1)
    updated, all_ = _count(obj, "updatedReplicas"), _count(obj, "replicas")
    available = _count(obj, "availableReplicas")
    if updated < wanted:
        return waiting(f"{updated} of {wanted} replicas are of the new revision")
    if all_ > updated:
        return waiting(f"{all_ - updated} replicas of the old revision are still there")
    if available < updated:
        return waiting(f"{available} of {updated} replicas are available")
    return READY


def _replica_set(obj: Object, _related: Related) -> Verdict:
    if _unseen(obj):
        return UNSEEN
    wanted, available = _spec(obj).get("replicas", 1), _count(obj, "availableReplicas")
    if available < wanted:
        return waiting(f"{available} of {wanted} replicas are available")
    return READY


def _stateful_set(obj: Object, _related: Related) -> Verdict:
    strategy = _spec(obj).get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return READY  # pods change when a person deletes them
    if _unseen(obj):
        return UNSEEN
    wanted, ready = _spec(obj).get("replicas", 1), _count(obj, "readyReplicas")
    if ready < wanted:
        return waiting(f"{ready} of {wanted} replicas are ready")
    first = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    status = _status(obj)
    if first:
        moving, updated = max(wanted - first, 0), _count(obj, "updatedReplicas")
        return waiting(f"{updated} of {moving} are updated") if updated < moving else READY
    if status.get("currentRevision") != status.get("updateRevision"):
        return waiting(f"{_count(obj, 'updatedReplicas')} of {wanted} replicas are updated")
    return READY


def _daemon_set(obj: Object, _related: Related) -> Verdict:
    if (_spec(obj).get("updateStrategy") or {}).get("type") == "OnDelete":
        return READY
    if _unseen(obj):
        return UNSEEN
    wanted = _count(obj, "desiredNumberScheduled")
    updated, available = _count(obj, "updatedNumberScheduled"), _count(obj, "numberAvailable")
    if updated < wanted:
        return waiting(f"{updated} of {wanted} nodes run the new revision")
    if available < wanted:
        return waiting(f"it is available on {available} of {wanted} nodes")
    return READY


def _job(obj: Object, _related: Related) -> Verdict:
    if _holds(obj, "Failed"):
        return failed(_words(condition(obj, "Failed")))
    if _holds(obj, "Complete") or _spec(obj).get("suspend"):
        return READY
    wanted, done = _spec(obj).get("completions", 1), _count(obj, "succeeded")
    return waiting(
        f"{done} of {wanted} pods succeeded, {_count(obj, 'active')} active, "
        f"{_count(obj, 'failed')} failed"
    )


def _pod(obj: Object, _related: Related) -> Verdict:
    phase = _status(obj).get("phase")
    if phase == "Succeeded" or _holds(obj, "Ready"):
        return READY
    if phase == "Failed":
        return failed("its containers ended with an error")
    return waiting(f"phase {phase or 'Pending'}")


def _service(obj: Object, related: Related) -> Verdict:
    spec = _spec(obj)
    if spec.get("type") == "LoadBalancer":
        balancer = _status(obj).get("loadBalancer") or {}
        if not balancer.get("ingress"):
            return waiting("the load balancer has no address yet")
    headless = spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName"
    if headless or not spec.get("selector"):
        return READY
    slices = related(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        {"labelSelector": f"kubernetes.io/service-name={obj['metadata']['name']}"},
    )
    if any(_serves(endpoint) for part in slices for endpoint in part.get("endpoints") or []):
        return READY
    return waiting("no pod that its selector matches is ready")


def _serves(endpoint: Mapping[str, Any]) -> bool:
    """Say whether an endpoint is ready; the API reference: take an unknown state for ready."""
    return (endpoint.get("conditions") or {}).get("ready") is not False


def _claim(obj: Object, related: Related) -> Verdict:
    phase = _status(obj).get("phase")
    if phase == "Bound":
        return READY
    if phase == "Lost":
        return failed("its volume is gone")
    name = _spec(obj).get("storageClassName")
    classes = related("storage.k8s.io/v1", "StorageClass", {}) if name else []
    for found in classes:
        late = found.get("volumeBindingMode") == "WaitForFirstConsumer"
        if found["metadata"]["name"] == name and late:
            return READY  # it is bound when its first pod comes, which waits for us perhaps
    return waiting(f"phase {phase or 'Pending'}")


def _disruption_budget(obj: Object, _related: Related) -> Verdict:
    if _unseen(obj):
        return UNSEEN
    healthy, wanted = _count(obj, "currentHealthy"), _count(obj, "desiredHealthy")
    if healthy < wanted:
        return waiting(f"{healthy} healthy pods, and it asks for {wanted}")
    return READY


def _autoscaler(obj: Object, _related: Related) -> Verdict:
    """Wait until it found what it scales; metrics may come from what is installed later."""
    if _holds(obj, "AbleToScale"):
        return READY
    return waiting(_words(condition(obj, "AbleToScale")) or "its controller has not looked yet")


def _definition(obj: Object, _related: Related) -> Verdict:
    names = condition(obj, "NamesAccepted")
    if names.get("status") == "False":
        return failed(_words(names))
    return READY if _holds(obj, "Established") else waiting("not established yet")


def _api_service(obj: Object, _related: Related) -> Verdict:
    found = condition(obj, "Available")
    return READY if _holds(obj, "Available") else waiting(_words(found) or "not available yet")


def _namespace(obj: Object, _related: Related) -> Verdict:
    phase = _status(obj).get("phase")
    return READY if phase == "Active" else waiting(f"phase {phase or 'Pending'}")


def _generic(obj: Object, _related: Related) -> Verdict:
    """Judge by kstatus's conventions; a kind without status is ready once it is there."""
    if _status(obj).get("observedGeneration") is not None and _unseen(obj):
        return UNSEEN
    if _holds(obj, "Stalled"):
        return failed(_words(condition(obj, "Stalled")))
    if _holds(obj, "Reconciling"):
        return waiting(_words(condition(obj, "Reconciling")))
    ready = condition(obj, "Ready")
    return waiting(_words(ready) or "not ready") if ready.get("status") == "False" else READY


RULES: Final[Mapping[tuple[str, str], Rule]] = {
    ("", "Namespace"): _namespace,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apiregistration.k8s.io", "APIService"): _api_service,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("batch", "Job"): _job,
    ("policy", "PodDisruptionBudget"): _disruption_budget,
}
"""By API group and kind; every other kind goes by `_generic`."""
