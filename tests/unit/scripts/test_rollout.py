"""When a rollout is told about, and when it is given up: pods in trouble."""

import pytest

from scripts.deploy.rollout import is_pulled
from tests.support.rollouts import (
    PULL,
    Object,
    crashed,
    deployment,
    event,
    follow,
    lasting,
    pod,
    release,
    replica_set,
    running,
    unscheduled,
    waiting,
)


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
