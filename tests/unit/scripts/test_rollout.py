"""When a rollout is told about, and when it is given up: recorded objects over time."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from scripts.deploy.rollout import BACKOFF_S, LIMITS, Rollout, State, Trouble, is_pulled, key

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


@pytest.mark.parametrize(
    ("reason", "kind", "ends"),
    [
        ("ErrImagePull", "image", 45),
        ("ImagePullBackOff", "image", 45),
        ("InvalidImageName", "image", 45),
        ("ErrImageNeverPull", "image", 45),
        ("CreateContainerConfigError", "configuration", 45),
        ("CreateContainerError", "creation", 90),
        ("RunContainerError", "configuration", 45),
    ],
)
def test_what_no_container_can_be_made_of_ends_a_rollout(reason: str, kind: str, ends: int) -> None:
    lines, when, over = follow(lasting(release(waiting(reason, PULL))))
    said = f"Deployment coinslot-api, pod api-1, container api: {reason}: {PULL}"
    assert (lines, when, str(over)) == ([said], ends, said)
    assert over is not None
    assert over.kind == kind


def test_reasons_that_alternate_are_one_trouble() -> None:
    pull, back_off = release(waiting("ErrImagePull")), release(waiting("ImagePullBackOff"))
    states = {n: (pull, back_off)[n // 10 % 2] for n in range(0, 60, 10)}
    lines, when, _ = follow(states)
    assert (len(lines), when) == (1, 45)


def test_an_image_that_comes_in_time_ends_nothing() -> None:
    states = {
        0: release(waiting("ErrImagePull")),
        40: release(running(ready=False), "Running"),
        60: release(running(ready=True), "Running"),
        500: release(running(ready=True), "Running"),
    }
    assert follow(states)[1:] == (None, None)


@pytest.mark.parametrize(("restarts", "ends"), [(1, 45), (2, 45), (3, 0), (9, 0)])
def test_a_container_that_crashes_again_and_again(restarts: int, ends: int) -> None:
    _, when, over = follow(lasting(release(crashed(restarts), "Running")))
    assert when == ends
    assert over is not None
    assert over.reason == "CrashLoopBackOff"
    assert over.message == f"exit code 1, Error, {restarts} restarts"


def test_a_crash_is_counted_through_the_starts_in_between() -> None:
    back = release(running(ready=False, restarts=1), "Running")
    crash = release(crashed(1), "Running")
    _, when, over = follow({0: crash, 20: back, 30: crash, 60: crash})
    assert when == 45
    assert over is not None
    assert over.kind == "crash"


def test_a_container_that_ends_without_an_error_again_and_again() -> None:
    """A service that is told to end by its failing probe may do it well."""
    _, when, over = follow(lasting(release(crashed(2, code=0), "Running")))
    assert when == 45
    assert over is not None
    assert over.message == "exit code 0, Completed, 2 restarts"


def test_a_container_that_has_done_its_work_is_no_crash() -> None:
    objects = release(waiting("PodInitializing"))
    done = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    objects[-1]["status"]["initContainerStatuses"] = [waiting("") | {"state": done}]
    assert follow(lasting(objects))[1] is None


def test_a_pod_that_runs_but_does_not_become_ready() -> None:
    lines, when, over = follow(lasting(release(running(ready=False), "Running")))
    assert when == 75
    assert str(over) == lines[0]
    assert lines == [
        "Deployment coinslot-api, pod api-1, container api: NotReady: runs, but is not ready"
    ]


@pytest.mark.parametrize(
    ("startup", "readiness", "ends"),
    [
        ({"failureThreshold": 60, "periodSeconds": 2}, {}, 120),
        ({"failureThreshold": 60, "periodSeconds": 2}, {"initialDelaySeconds": 5}, 155),
        ({"failureThreshold": 60, "periodSeconds": 2}, {"periodSeconds": 5}, 135),
        ({"failureThreshold": 30, "periodSeconds": 2}, {"periodSeconds": 5}, 75),
        ({}, {"failureThreshold": 10}, 100),
    ],
)
def test_a_pod_may_take_as_long_as_its_probes_allow(
    startup: Object, readiness: Object, ends: int
) -> None:
    objects = release(running(ready=False), "Running")
    (container,) = objects[-1]["spec"]["containers"]
    container |= {"startupProbe": startup, "readinessProbe": readiness}
    assert follow(lasting(objects))[1] == ends


def test_a_pod_that_becomes_ready_soon_is_not_worth_a_line() -> None:
    states = {
        0: release(running(ready=False), "Running"),
        15: release(running(ready=True), "Running"),
        200: release(running(ready=True), "Running"),
    }
    assert follow(states) == ([], None, None)


def test_a_pod_that_was_ready_begins_anew() -> None:
    lazy, well = release(running(ready=False), "Running"), release(running(ready=True), "Running")
    assert follow({0: lazy, 60: well, 70: lazy, 140: well, 160: well})[1] is None


def test_a_pod_without_a_node() -> None:
    top = deployment()
    made = replica_set("rs-1", 1, top)
    lines, when, over = follow(lasting([top, made, unscheduled("api-1", made)]))
    assert when == 300
    assert lines == [str(over)]
    assert "Unschedulable: 0/2 nodes are available" in lines[0]


def test_a_node_that_is_added_for_a_pod_is_waited_for() -> None:
    top = deployment()
    made = replica_set("rs-1", 1, top)
    states = {
        0: [top, made, unscheduled("api-1", made)],
        240: [top, made, pod("api-1", made, running(ready=True), "Running")],
        900: [top, made, pod("api-1", made, running(ready=True), "Running")],
    }
    lines, when, _ = follow(states)
    assert (len(lines), when) == (1, None)


def test_a_large_image_may_take_its_time() -> None:
    lines, when, _ = follow(lasting(release(waiting("ContainerCreating"))))
    assert when is None
    assert len(lines) == 1


def test_an_image_of_an_init_container_counts_too() -> None:
    objects = release(waiting("PodInitializing"))
    objects[-1]["status"]["initContainerStatuses"] = [
        waiting("ImagePullBackOff") | {"name": "init"}
    ]
    _, when, over = follow(lasting(objects))
    assert when == 45
    assert over is not None
    assert over.container == "init"


# --- a pull that is tried again -----------------------------------------------------------------


def event(reason: str, minute: int, version: int = 100, container: str = "api") -> Object:
    return {
        "reason": reason,
        "lastTimestamp": f"2026-01-01T00:{minute:02}:00Z",
        "involvedObject": {"fieldPath": f"spec.containers{{{container}}}"},
        "metadata": {"resourceVersion": str(version)},
    }


@pytest.mark.parametrize(
    ("events", "pulled"),
    [
        ([], False),
        ([event("Failed", 1), event("Pulling", 2)], True),
        ([event("Pulling", 2), event("Failed", 1), event("BackOff", 1)], True),
        ([event("Pulling", 2), event("Failed", 3)], False),
        ([event("Pulling", 2), event("BackOff", 3)], False),
        ([event("Pulling", 2), event("Pulled", 3)], False),
        ([event("Pulling", 2, 99), event("Failed", 2, 100)], False),
        ([event("Failed", 2, 99), event("Pulling", 2, 100)], True),
        ([event("Pulling", 2), event("Scheduled", 3)], True),
        ([event("Pulling", 2), event("BackOff", 3, container="other")], True),
        ([event("Failed", 2), event("Pulling", 3, container="other")], False),
    ],
)
def test_the_newest_event_of_an_image_says_whether_it_is_pulled(
    events: list[Object], *, pulled: bool
) -> None:
    assert is_pulled(events, "api") is pulled


# --- a Job ---------------------------------------------------------------------------------------


def job(*, failed: bool = False) -> Object:
    condition = {
        "type": "Failed",
        "status": "True" if failed else "False",
        "reason": "BackoffLimitExceeded",
        "message": "Job has reached the specified backoff limit",
    }
    return owned(*JOB, status={"conditions": [condition]})


def test_a_job_that_has_failed_ends_it_at_once() -> None:
    _, when, over = follow({0: [job()], 10: [job(failed=True)], 20: []}, [JOB])
    assert when == 10
    assert str(over) == (
        "Job coinslot-migrate-1: BackoffLimitExceeded: Job has reached the specified backoff limit"
    )


def test_the_job_that_failed_last_time_does_not_count_before_it_is_replaced() -> None:
    old = job(failed=True)
    new = job() | {"metadata": job()["metadata"] | {"uid": "another"}}
    assert follow({0: [old], 5: [new], 500: [new]}, [JOB], before=[old])[1] is None


def test_a_job_whose_pods_fail_is_left_to_its_own_count() -> None:
    made = job()
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    failed = pod("m-1", made, waiting("") | {"state": ended}, "Failed")
    assert follow(lasting([made, failed]), [JOB])[1] is None


def test_a_job_whose_image_is_missing() -> None:
    made = job()
    objects = [made, pod("m-1", made, waiting("ImagePullBackOff", PULL))]
    _, when, over = follow(lasting(objects), [JOB])
    assert when == 45
    assert str(over).startswith("Job coinslot-migrate-1, pod m-1, container api: ImagePullBackOff")


# --- what does not count ------------------------------------------------------------------------


def test_pods_of_the_revision_before_do_not_count() -> None:
    """An update mends a broken revision; its controller replaces a broken pod meanwhile."""
    old_top = deployment(1)
    old = replica_set("rs-1", 1, old_top)
    before = [old_top, old, pod("old-1", old, crashed(9), "Running")]
    waits = [old_top, old, pod("old-2", old, crashed(9), "Running")]
    unseen = [deployment(1, observed=False), *waits[1:]]
    top = deployment(2)
    new = replica_set("rs-2", 2, top)
    rolls = [top, old, new, waits[2], pod("new-1", new, running(ready=True), "Running")]
    states = {0: before, 5: waits, 10: unseen, 20: rolls, 900: rolls}
    lines, when, _ = follow(states, before=before)
    assert ["pod old-1" in lines[0], "pod old-2" in lines[1], len(lines)] == [True, True, 2]
    assert when is None


def test_the_new_revision_counts_beside_a_broken_old_one() -> None:
    old_top = deployment(1)
    old = replica_set("rs-1", 1, old_top)
    broken = pod("old-1", old, crashed(9), "Running")
    top = deployment(2)
    new = replica_set("rs-2", 2, top)
    rolls = [top, old, new, broken, pod("new-1", new, waiting("ImagePullBackOff"))]
    _, when, over = follow({0: rolls, 100: rolls}, before=[old_top, old, broken])
    assert when == 45
    assert over is not None
    assert over.pod == "new-1"


def test_a_broken_revision_that_is_applied_again_gets_a_kubelet_s_longest_pause() -> None:
    before = release(waiting("ImagePullBackOff"))
    _, when, _ = follow(lasting(before), before=before)
    assert when == LIMITS["image"].end_s + BACKOFF_S


def test_a_revision_that_had_no_pods_is_as_good_as_new() -> None:
    """A rollback lets the Deployment take up a ReplicaSet of before."""
    after = release(waiting("ImagePullBackOff"))
    assert follow(lasting(after), before=after[:2])[1] == 45


@pytest.mark.parametrize("applied", [[], [("Deployment", "coinslot-worker")]])
def test_what_the_engine_is_not_working_on_does_not_count(applied: list[tuple[str, str]]) -> None:
    assert follow(lasting(release(waiting("ImagePullBackOff"))), applied) == ([], None, None)


def test_a_pod_that_is_being_deleted_does_not_count() -> None:
    objects = release(waiting("ImagePullBackOff"))
    objects[-1]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert follow(lasting(objects)) == ([], None, None)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_was_evicted_does_not_count(phase: str) -> None:
    """It stays for long, with its containers as they ended, beside the one in its place."""
    evicted = waiting("") | {"state": {"terminated": {"exitCode": 137, "reason": "Error"}}}
    top, made, old = release(evicted, phase)
    new = pod("api-2", made, running(ready=True), "Running")
    assert follow(lasting([top, made, old, new])) == ([], None, None)


def test_a_pod_that_is_deleted_and_made_again_begins_anew() -> None:
    objects = release(waiting("ImagePullBackOff"))
    again = [*objects[:2], pod("api-2", objects[1], waiting("ImagePullBackOff"))]
    lines, when, _ = follow({0: objects, 40: again, 100: again})
    assert (len(lines), when) == (2, 85)


def test_a_stateful_set_s_pods_count_by_its_newest_revision() -> None:
    top = owned(*DATABASE, status={"updateRevision": "new"})
    label = "controller-revision-hash"
    old = pod("database-0", top, waiting("ImagePullBackOff"), labels={label: "old"})
    new = pod("database-1", top, waiting("ImagePullBackOff"), labels={label: "new"})
    assert follow(lasting([top, old]), [DATABASE])[1] is None
    _, when, over = follow(lasting([top, old, new]), [DATABASE])
    assert when == 45
    assert over is not None
    assert over.pod == "database-1"


# --- an engine that fails by itself -------------------------------------------------------------


def test_the_cause_of_a_failure_is_the_gravest_trouble_however_short() -> None:
    rollout = Rollout(State())
    objects = [job(failed=True), *release(waiting("ImagePullBackOff", PULL))]
    assert str(rollout.cause(State(objects), {API, JOB})).startswith("Job coinslot-migrate-1: Back")
    assert "ImagePullBackOff" in str(rollout.cause(State(objects), {API}))


def test_a_pod_that_is_only_starting_is_no_cause() -> None:
    rollout = Rollout(State())
    starting = State(release(running(ready=False), "Running"))
    assert rollout.cause(starting, {API}) is None
    rollout.judge(starting, {API}, 0)
    rollout.judge(starting, {API}, LIMITS["unready"].tell_s)
    assert rollout.cause(starting, {API}) is not None


@pytest.mark.parametrize(
    ("status", "rolling"),
    [
        ({"updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}, False),
        ({"updatedReplicas": 1, "replicas": 3, "availableReplicas": 2}, True),
        ({"updatedReplicas": 2, "replicas": 3, "availableReplicas": 3}, True),
        ({"updatedReplicas": 2, "replicas": 2, "availableReplicas": 1}, True),
        ({}, True),
    ],
)
def test_a_deployment_has_rolled_out_when_all_its_pods_are_new(
    status: Object,
    rolling: bool,  # noqa: FBT001
) -> None:
    top = deployment()
    top["spec"] = {**top.get("spec", {}), "replicas": 2}
    generation = int(top["metadata"].get("generation", 0))
    top["status"] = {**status, "observedGeneration": generation}
    assert bool(State([top]).rolling({key(top)})) is rolling
    assert State([top]).rolling(set()) == set()


def test_a_deployment_that_its_controller_has_not_seen_yet_has_not_rolled_out() -> None:
    top = deployment()
    top["metadata"]["generation"] = 2
    top["spec"] = {**top.get("spec", {}), "replicas": 1}
    done = {"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1, "observedGeneration": 1}
    top["status"] = done
    assert State([top]).rolling({key(top)}) == {key(top)}


def test_a_stateful_set_has_rolled_out_when_its_pods_are_ready() -> None:
    made = {"kind": "StatefulSet", "metadata": {"name": "db", "uid": "u", "generation": 1}}
    made["spec"] = {"replicas": 1}
    status = {"observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1}
    assert State([{**made, "status": status}]).rolling({key(made)}) == set()
    assert State([{**made, "status": {**status, "readyReplicas": 0}}]).rolling({key(made)})
