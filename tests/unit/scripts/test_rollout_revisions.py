"""What belongs to a rollout: its Job, its revision, its pods; and when it is over."""

import pytest

from scripts.deploy.rollout import BACKOFF_S, LIMITS, Rollout, State, key
from tests.support.rollouts import (
    API,
    DATABASE,
    JOB,
    PULL,
    Object,
    crashed,
    deployment,
    follow,
    lasting,
    owned,
    pod,
    release,
    replica_set,
    running,
    waiting,
)

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
