"""Objects of a rollout as the API server shows them, and how it goes on over time."""

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.deploy.rollout import Rollout, State, Trouble

Object = dict[str, Any]
API = ("Deployment", "coinslot-api")
JOB = ("Job", "coinslot-migrate-1")
DATABASE = ("StatefulSet", "database")
PULL = 'Back-off pulling image "localhost/coinslot:9.9.9": ErrImagePull: not found'


def owned(kind: str, name: str, by: Object | None = None, **more: Any) -> Object:
    """Return an object whose uid is its name, with a controller if it has one."""
    references = (
        [{"kind": by["kind"], "uid": by["metadata"]["uid"], "controller": True}] if by else []
    )
    metadata = {
        "name": name,
        "uid": name,
        "ownerReferences": references,
        **more.pop("metadata", {}),
    }
    return {"kind": kind, "metadata": metadata, **more}


def deployment(revision: int = 1, *, observed: bool = True) -> Object:
    metadata = {
        "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        "generation": 7,
    }
    status = {"observedGeneration": 7 if observed else 6}
    return owned(*API, metadata=metadata, status=status)


def replica_set(name: str, revision: int, by: Object) -> Object:
    metadata = {"annotations": {"deployment.kubernetes.io/revision": str(revision)}}
    return owned("ReplicaSet", name, by, metadata=metadata)


def waiting(reason: str, message: str = "", **more: Any) -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "api", "ready": False, "restartCount": 0, "state": state, **more}


def running(*, ready: bool, restarts: int = 0) -> Object:
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    return {"name": "api", "ready": ready, "restartCount": restarts, "state": state}


def crashed(restarts: int, code: int = 1, reason: str = "CrashLoopBackOff") -> Object:
    ended = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
    return waiting(reason, restartCount=restarts, lastState=ended)


def pod(
    name: str, by: Object, container: Object, phase: str = "Pending", **metadata: Any
) -> Object:
    ready = "True" if container["ready"] else "False"
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": [container]}
    spec = {"containers": [{"name": container["name"]}]}
    return owned("Pod", name, by, metadata=metadata, spec=spec, status=status)


def unscheduled(name: str, by: Object) -> Object:
    message = "0/2 nodes are available: 2 Insufficient cpu."
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    return owned("Pod", name, by, status={"phase": "Pending", "conditions": [condition]})


def event(reason: str, minute: int, version: int = 100, container: str = "api") -> Object:
    return {
        "reason": reason,
        "lastTimestamp": f"2026-01-01T00:{minute:02}:00Z",
        "involvedObject": {"fieldPath": f"spec.containers{{{container}}}"},
        "metadata": {"resourceVersion": str(version)},
    }


def release(container: Object, phase: str = "Pending") -> list[Object]:
    """Return a new Deployment with one pod."""
    top = deployment()
    made = replica_set("rs-1", 1, top)
    return [top, made, pod("api-1", made, container, phase)]


def follow(
    states: Mapping[int, Sequence[Object]],
    applied: Sequence[tuple[str, str]] = (API,),
    before: Sequence[Object] = (),
) -> tuple[list[str], int | None, Trouble | None]:
    """Return the lines, and when and for what it is given up; each state lasts until the next."""
    rollout, lines = Rollout(State(before)), []
    starts = sorted(states)
    for now in range(starts[-1] + 1):
        shown = states[max(start for start in starts if start <= now)]
        news, over = rollout.judge(State(shown), set(applied), now)
        lines += [str(each) for each in news]
        if over:
            return lines, now, over[0]
    return lines, None, None


def lasting(objects: Sequence[Object], seconds: int = 1_000) -> dict[int, Sequence[Object]]:
    return {0: objects, seconds: objects}
