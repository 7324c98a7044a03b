"""Alerts about processes that are gone, unseen, or only seem to work."""

from typing import Final

from alerts.external_catalog import UP
from alerts.links import RESOURCES_DASHBOARD, ROLLOUT_DASHBOARD
from alerts.model import (
    API_JOB,
    INSTANCE,
    SERVICE,
    STACK,
    WORKER_JOB,
    Alert,
    Area,
    ForDuration,
    Severity,
    ValueFormat,
)
from alerts.promql import NoneOf, OverTime, above, absent, age, equal, magnitude, without
from service.metric_catalog import CLOCK_OFFSET, WORKER_LAST_ROUND
from service.slo import CLOCK_OFFSET_S, WORKER_ROUND_S

REMEMBERED: Final = "1d"
"""A stack that was here within a day should be here; one that was removed is silenced that long."""

TARGET: Final = (*STACK, "job", "pod", "instance")


def gone(job: str) -> str:
    """Return the stacks that had a process of the job within a day, and have none that answers."""
    return without(
        above(SERVICE.gauge(UP, "count", STACK, OverTime("count", REMEMBERED), job=job), 0),
        equal(SERVICE.gauge(UP, "max", STACK, job=job), 1),
    )


_GONE_FOR: Final = ForDuration(
    "2m", "four evaluations: a rollout never takes the last process away"
)

TARGET_DOWN: Final = Alert(
    name="TargetDown",
    expression=equal(SERVICE.gauge(UP, "max", TARGET), 0),
    for_duration=ForDuration("5m", "a rescheduled pod is no longer a target by then"),
    severity=Severity.WARNING,
    summary="A process does not answer Prometheus",
    description="{pod} ({instance}) of {job} in {namespace} has not answered; up is {value}.",
    value_format=ValueFormat.NUMBER,
    why="Prometheus sets up to 0 when a scrape fails",
    by=TARGET,
    dashboard=ROLLOUT_DASHBOARD,
)
API_GONE: Final = Alert(
    name="ApiDown",
    expression=gone(API_JOB),
    for_duration=_GONE_FOR,
    severity=Severity.CRITICAL,
    summary="No API process answers: nobody can pay",
    description="{namespace} had {value} API processes within a day; now none answers.",
    value_format=ValueFormat.NUMBER,
    why="one process that answers can serve buyers; none is an outage",
    dashboard=ROLLOUT_DASHBOARD,
)
WORKER_GONE: Final = Alert(
    name="WorkerDown",
    expression=gone(WORKER_JOB),
    for_duration=_GONE_FOR,
    severity=Severity.CRITICAL,
    summary="No worker process answers: nothing is granted or repaired",
    description="{namespace} had {value} worker processes within a day; now none answers.",
    value_format=ValueFormat.NUMBER,
    why="one worker does the work of all; without any, paid orders get no games",
    dashboard=ROLLOUT_DASHBOARD,
)
NO_TARGETS: Final = Alert(
    name="NoTargets",
    expression=absent(SERVICE.plain(UP)),
    for_duration=ForDuration(
        "10m", "a restart of Prometheus finds its targets within a minute or two"
    ),
    severity=Severity.CRITICAL,
    summary="Prometheus knows no process of the service: no other alert can fire",
    description="There is no target of the service at all (absent: {value}).",
    value_format=ValueFormat.NUMBER,
    why="alerts about a service that isn't scraped never fire, which looks like health",
    by=(),
    dashboard=ROLLOUT_DASHBOARD,
)
STALLED: Final = Alert(
    name="WorkerStalled",
    expression=above(
        age(
            SERVICE.gauge(
                WORKER_LAST_ROUND,
                "max",
                (*INSTANCE, "worker"),
                worker=NoneOf(("reconciliation",)),
            )
        ),
        WORKER_ROUND_S.value,
    ),
    for_duration=ForDuration("2m", "four evaluations; the quarter of an hour is in the condition"),
    severity=Severity.WARNING,
    summary="A background worker has completed no round for a quarter of an hour",
    description="The worker {worker} of {pod} ({instance}) in {namespace} completed its last "
    "round {value} ago. Its gauges are as old.",
    value_format=ValueFormat.DURATION,
    why=f"{WORKER_ROUND_S.why}; a run of reconciliation may take an hour and has its own alert",
    by=(*INSTANCE, "worker"),
    dashboard=RESOURCES_DASHBOARD,
)

CLOCK_APART: Final = Alert(
    name="ClockApart",
    expression=above(magnitude(SERVICE.gauge(CLOCK_OFFSET, "max", INSTANCE)), CLOCK_OFFSET_S.value),
    for_duration=ForDuration("5m", "a clock that is set right after a boot is right by then"),
    severity=Severity.WARNING,
    summary="A machine's clock and the database's are seconds apart",
    description="The clock of the machine that runs {pod} ({instance}) in {namespace} and the "
    "database's are {value} apart. The service uses the database's.",
    value_format=ValueFormat.DURATION,
    why=CLOCK_OFFSET_S.why,
    by=INSTANCE,
    dashboard=RESOURCES_DASHBOARD,
)

AREA: Final = Area(
    "availability", (TARGET_DOWN, API_GONE, WORKER_GONE, NO_TARGETS, STALLED, CLOCK_APART)
)
