"""Judge a rollout by what the cluster shows over time: what to tell, and when to give it up.

Pure: states in, verdict out; scripts/deploy/watch.py reads the cluster. Only pods count that belong
to an object which the engine is applying right now, and to that object's newest revision: a pod of
the revision before may be what this rollout mends. A revision that had pods when the rollout began
is waited for longer, because kubelets try again after five minutes at most.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

Object = Mapping[str, Any]
Key = tuple[str, str]
"""Kind and name of an object in the stack's namespace."""
Kind = Literal[
    "failed", "image", "configuration", "creation", "crash", "unscheduled", "unready", "creating"
]

KINDS: Final = "pods,replicasets,deployments,statefulsets,jobs"
"""What a state has to hold, as kubectl takes it."""
BACKOFF_S: Final = 300.0  # a kubelet's longest pause before it pulls or starts again
RESTARTS: Final = 3
REVISION: Final = "deployment.kubernetes.io/revision"
REVISION_HASH: Final = "controller-revision-hash"
CRASH_LOOP: Final = "CrashLoopBackOff"
ENDED: Final = frozenset(("Failed", "Succeeded"))
"""Phases of a pod that nothing follows: evicted, preempted, or its node was shut down."""
WAITING: Final[Mapping[str, Kind]] = {
    "ErrImagePull": "image",
    "ImagePullBackOff": "image",
    "InvalidImageName": "image",
    "ErrImageNeverPull": "image",
    "CreateContainerConfigError": "configuration",
    "CreateContainerError": "creation",
    "RunContainerError": "configuration",
    "ContainerCreating": "creating",
    "PodInitializing": "creating",
}
"""What a container waits for, by the kubelet's reason."""
PULLING: Final = "Pulling"
IMAGE_EVENTS: Final = frozenset((PULLING, "Pulled", "Failed", "BackOff"))
"""Of a container without an image: the kubelet's reasons, from a try to what becomes of it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a trouble lasts before it is told, and before it ends the rollout; in seconds."""

    tell_s: float
    end_s: float


LIMITS: Final[Mapping[Kind, Limits]] = {
    "failed": Limits(0, 0),
    "image": Limits(0, 45),  # and until no pull is under way: see `judge`
    "configuration": Limits(0, 45),
    "creation": Limits(0, 90),  # a busy node's runtime misses its deadline, and tries again
    "crash": Limits(0, 45),
    "unscheduled": Limits(10, 300),  # an autoscaler of nodes needs two to four minutes for one
    "unready": Limits(20, 75),  # or what its probes allow; with a preview before, two minutes
    "creating": Limits(45, math.inf),  # a large image is pulled meanwhile
}
"""The gravest first."""
CAUSES: Final = frozenset(("failed", "image", "configuration", "creation", "crash"))
"""Troubles that an engine fails for however short they are."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a pod or a Job from being what it should; reason and message are Kubernetes'.

    `revision` is what made the pod: the uid of a ReplicaSet or a Job, a StatefulSet's hash.
    """

    kind: Kind
    owner: Key
    reason: str
    message: str = ""
    pod: str = ""
    container: str = ""
    uid: str = field(default="", repr=False)
    revision: str = field(default="", repr=False)
    final: bool = field(default=False, repr=False)
    """Waiting would show nothing new."""
    allowed_s: float = field(default=0, repr=False)
    """The object's own settings allow it for so long."""

    @property
    def id(self) -> tuple[str, str, str]:
        return self.uid, self.container, self.kind

    def saying(self, message: str) -> "Trouble":
        return replace(self, message=message)

    def document(self) -> dict[str, str]:
        kind, name = self.owner
        where = {"object": f"{kind} {name}", "pod": self.pod, "container": self.container}
        return {**where, "reason": self.reason, "message": self.message}

    def __str__(self) -> str:
        where = [" ".join(self.owner)]
        where += [f"pod {self.pod}"] if self.pod else []
        where += [f"container {self.container}"] if self.container else []
        what = f"{self.reason}: {self.message}" if self.message else self.reason
        return f"{', '.join(where)}: {what}"


class State:
    """The objects of a namespace at one moment."""

    def __init__(self, items: Iterable[Object] = ()) -> None:
        self._by_uid = {each["metadata"]["uid"]: each for each in items}

    def of_kind(self, kind: str) -> Iterator[Object]:
        return (each for each in self._by_uid.values() if each["kind"] == kind)

    def revisions(self) -> set[str]:
        """Return what has made the pods that are here, as Trouble.revision names it."""
        makers = ((pod, self._controller(pod)) for pod in self.of_kind("Pod"))
        return {_revision(pod, maker) for pod, maker in makers if maker}

    def origin(self, pod: Object) -> tuple[Key, str] | None:
        """Return the object whose newest revision a pod is of, and that revision."""
        maker = self._controller(pod)
        if maker is None or "deletionTimestamp" in pod["metadata"]:
            return None
        revision = _revision(pod, maker)
        if maker["kind"] == "Job":
            return key(maker), revision
        if maker["kind"] == "StatefulSet":
            newest = str(maker.get("status", {}).get("updateRevision", ""))
            return (key(maker), revision) if _is_observed(maker) and revision == newest else None
        owner = self._controller(maker)
        if owner is None or not _is_observed(owner) or _number(maker) != _number(owner):
            return None
        return key(owner), revision

    def rolling(self, keys: AbstractSet[Key]) -> set[Key]:
        """Return which of these workloads are not as they are to be yet, as kubectl sees it."""
        kinds = ("Deployment", "StatefulSet")
        found = (each for kind in kinds for each in self.of_kind(kind) if key(each) in keys)
        return {key(each) for each in found if not _is_rolled_out(each)}

    def made_by(self, uid: str) -> Iterator[Object]:
        """Yield the pods of a ReplicaSet, a Job or a StatefulSet."""
        for pod in self.of_kind("Pod"):
            if (maker := self._controller(pod)) and _uid(maker) == uid:
                yield pod

    def uids(self) -> AbstractSet[str]:
        return self._by_uid.keys()

    def _controller(self, of: Object) -> Object | None:
        for reference in of["metadata"].get("ownerReferences", ()):
            if reference.get("controller"):
                return self._by_uid.get(reference["uid"])
        return None


class Rollout:
    """Follows the states of one rollout, from the one `before` anything is applied."""

    def __init__(self, before: State) -> None:
        self._old = before.revisions()
        self._gone_wrong = {_uid(job) for job in before.of_kind("Job") if _failure(job)}
        self._since: dict[tuple[str, str, str], float] = {}
        self._told: set[tuple[str, str, str]] = set()

    def judge(
        self, state: State, applied: AbstractSet[Key], now: float
    ) -> tuple[list[Trouble], list[Trouble]]:
        """Return what is worth a line now, and what the rollout is to be given up for.

        `applied` are the objects that the engine is working on, `now` is in seconds. A container
        whose image is pulled once more still says that it has none (`is_pulled` knows).
        """
        present = self._present(state, applied)
        self._forget(state)
        for trouble in present:
            self._since.setdefault(trouble.id, now)
        news = [each for each in present if self._is_new(each, now)]
        self._told.update(each.id for each in news)
        return news, [each for each in present if self._is_over(each, now)]

    def cause(self, state: State, applied: AbstractSet[Key]) -> Trouble | None:
        """Return what an engine that has failed by itself has most likely failed for."""
        present = self._present(state, applied)
        return next((e for e in present if e.kind in CAUSES or e.id in self._told), None)

    def _present(self, state: State, applied: AbstractSet[Key]) -> list[Trouble]:
        order = list(LIMITS)
        found = [each for each in _troubles(state) if each.owner in applied]
        found = [each for each in found if each.uid not in self._gone_wrong]
        return sorted(found, key=lambda each: order.index(each.kind))

    def _is_new(self, trouble: Trouble, now: float) -> bool:
        lasts = now - self._since[trouble.id]
        return trouble.id not in self._told and lasts >= LIMITS[trouble.kind].tell_s

    def _is_over(self, trouble: Trouble, now: float) -> bool:
        old = trouble.revision in self._old
        patience_s = max(LIMITS[trouble.kind].end_s, trouble.allowed_s) + (BACKOFF_S if old else 0)
        return (trouble.final and not old) or now - self._since[trouble.id] >= patience_s

    def _forget(self, state: State) -> None:
        """Forget the pods that are gone, and those that have become ready: they begin anew."""
        ready = {_uid(pod) for pod in state.of_kind("Pod") if _is_ready(pod)}
        for trouble_id in [*self._since]:
            if trouble_id[0] in ready or trouble_id[0] not in state.uids():
                del self._since[trouble_id]


def is_pulled(events: Iterable[Object], container: str) -> bool:
    """Return whether an image is being pulled now, by the events of its pod."""
    about = [
        event
        for event in events
        if event.get("reason") in IMAGE_EVENTS
        and event["involvedObject"].get("fieldPath", "").endswith(f"{{{container}}}")
    ]
    return bool(about) and max(about, key=_seen)["reason"] == PULLING


def key(of: Object) -> Key:
    return of["kind"], of["metadata"]["name"]


def _troubles(state: State) -> Iterator[Trouble]:
    for job in state.of_kind("Job"):
        if failure := _failure(job):
            reason, message = failure.get("reason", "Failed"), failure.get("message", "")
            yield Trouble("failed", key(job), reason, _line(message), uid=_uid(job), final=True)
    for pod in state.of_kind("Pod"):
        if origin := state.origin(pod):
            yield from _of_pod(pod, *origin)


def _of_pod(pod: Object, owner: Key, revision: str) -> Iterator[Trouble]:
    status = pod.get("status", {})

    def trouble(kind: Kind, reason: str, message: str = "", **more: Any) -> Trouble:
        name = pod["metadata"]["name"]
        about = {"pod": name, "uid": _uid(pod), "revision": revision, **more}
        return Trouble(kind, owner, reason, _line(message), **about)

    if owner[0] != "Job" and status.get("phase") in ENDED:
        return  # its controller has another one in its place
    scheduled = _condition(pod, "PodScheduled")
    if status.get("phase") == "Pending" and scheduled.get("status") == "False":
        reason = scheduled.get("reason", "Unschedulable")
        yield trouble("unscheduled", reason, scheduled.get("message", ""))
    for container in _containers(status):
        waiting = container["state"].get("waiting", {})
        reason = waiting.get("reason", "")
        if kind := WAITING.get(reason):
            about = {"message": waiting.get("message", ""), "container": container["name"]}
            yield trouble(kind, reason, **about)
        # A Job counts its failures itself, and says when there were too many.
        elif owner[0] != "Job" and (crash := _crash(container)):
            often = container.get("restartCount", 0) >= RESTARTS
            yield trouble("crash", *crash, container=container["name"], final=often)
    if owner[0] != "Job" and status.get("phase") == "Running" and not _is_ready(pod):
        lazy = [each for each in status.get("containerStatuses", ()) if not each["ready"]]
        if lazy and all("running" in each["state"] for each in lazy):
            about = {"container": lazy[0]["name"], "allowed_s": _allowed_s(pod)}
            yield trouble("unready", "NotReady", "runs, but is not ready", **about)


def _allowed_s(pod: Object) -> float:
    """Return for how long a pod's probes let it run unready: to start, and then to serve.

    A kubelet ends a container whose startup probe fails, and that is a crash.
    """
    return max(
        sum(_probe_s(container.get(name) or {}) for name in ("startupProbe", "readinessProbe"))
        for container in pod["spec"]["containers"]
    )


def _probe_s(probe: Object) -> float:
    if not probe:
        return 0
    delay_s: float = probe.get("initialDelaySeconds", 0)
    return delay_s + float(probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10))


def _containers(status: Object) -> Iterator[Object]:
    yield from status.get("initContainerStatuses", ())
    yield from status.get("containerStatuses", ())


def _crash(container: Object) -> tuple[str, str] | None:
    """Return reason and message when a container has ended, should not have, and isn't back yet.

    One that ends without an error has done its work, unless a kubelet has to start it again.
    """
    state = container["state"]
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated") or {}
    waits = state.get("waiting", {}).get("reason") == CRASH_LOOP
    if not ended or not (waits or ("terminated" in state and ended["exitCode"])):
        return None
    why = f"exit code {ended['exitCode']}, {ended.get('reason', 'Error')}"
    restarts = container.get("restartCount", 0)
    said = f"; {ended['message']}" if ended.get("message") else ""
    return CRASH_LOOP if waits else "Error", f"{why}, {restarts} restarts{said}"


def _failure(job: Object) -> Object:
    failed = _condition(job, "Failed")
    return failed if failed.get("status") == "True" else {}


def _is_ready(pod: Object) -> bool:
    return _condition(pod, "Ready").get("status") == "True"


def _condition(of: Object, kind: str) -> Object:
    conditions = of.get("status", {}).get("conditions", ())
    return next((each for each in conditions if each["type"] == kind), {})


def _is_rolled_out(workload: Object) -> bool:
    status, wanted = workload.get("status", {}), workload["spec"].get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    if not _is_observed(workload) or updated < wanted:
        return False
    if workload["kind"] == "StatefulSet":
        return bool(status.get("readyReplicas", 0) >= wanted)
    old = status.get("replicas", 0) - updated
    return bool(old <= 0 and status.get("availableReplicas", 0) >= updated)


def _is_observed(owner: Object) -> bool:
    """Return whether the controller has made a revision of what was last applied."""
    observed: int = owner.get("status", {}).get("observedGeneration", 0)
    return observed >= int(owner["metadata"].get("generation", 0))


def _revision(pod: Object, maker: Object) -> str:
    if maker["kind"] == "StatefulSet":
        return str(pod["metadata"].get("labels", {}).get(REVISION_HASH, ""))
    return _uid(maker)


def _number(of: Object) -> str:
    return str(of["metadata"].get("annotations", {}).get(REVISION, ""))


def _uid(of: Object) -> str:
    return str(of["metadata"]["uid"])


def _seen(event: Object) -> tuple[str, int, str]:
    """Return what orders events; of those of one second it is the order of writing."""
    version = str(event["metadata"]["resourceVersion"])
    when = event.get("lastTimestamp") or event.get("eventTime") or ""
    return when, len(version), version


def _line(text: str) -> str:
    return " ".join(text.split())
