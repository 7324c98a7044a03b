"""Scenarios of processes that are gone, unseen, or only seem to work."""

from collections.abc import Iterator
from typing import Final

from alerts import availability as rules
from alerts.external_catalog import UP
from alerts.model import Alert
from alerts.scenarios import (
    API_JOB,
    INSTANCE,
    WORKER_JOB,
    Firing,
    Scenario,
    Series,
    borders,
    level,
)
from service.metric_catalog import CLOCK_OFFSET, WORKER_LAST_ROUND

_ONE: Final = {"pod": "coinslot-api-1", "instance": INSTANCE}
_TWO: Final = {"pod": "coinslot-api-2", "instance": "10.0.0.8:8080"}


def up(value: float, job: str = API_JOB, pod: dict[str, str] = _ONE) -> Series:
    """Return whether a target answers."""
    return level(UP, value, job=job, where=pod)


def vanished(job: str) -> Series:
    """Return a target that answered for five minutes and is gone since."""
    return Series(UP, tuple(_ONE.items()), "1x10 _x200", job=job)


def gone(alert: Alert, job: str, other: str) -> Iterator[Scenario]:
    """Yield the ways in which all processes of a role can be away."""
    yield from borders(
        alert,
        over=(up(0, job), up(1, other)),
        under=(up(0, job), up(1, job, _TWO)),
        value="1",
    )
    fires = (Firing("1"),)
    yield Scenario(alert, "no target of it is left", (vanished(job),), "20m", fires)
    yield Scenario(alert, "a stack that never had one", (up(1, other),), "20m")


def last_round(moment: float, worker: str = "outbox") -> Series:
    """Return when a worker last ended a round; the scenario starts at second 0."""
    return level(WORKER_LAST_ROUND, moment, job=WORKER_JOB, worker=worker, where=_ONE)


def offset(seconds: float, pod: dict[str, str] = _ONE) -> Series:
    """Return how far a process's clock is ahead of the database's."""
    return level(CLOCK_OFFSET, seconds, job=API_JOB, where=pod)


SCENARIOS: Final[tuple[Scenario, ...]] = (
    *borders(
        rules.TARGET_DOWN,
        over=(up(0), up(1, pod=_TWO)),
        under=(up(1), up(1, pod=_TWO)),
        value="0",
        labels={"job": API_JOB, **_ONE},
    ),
    *gone(rules.API_GONE, API_JOB, WORKER_JOB),
    *gone(rules.WORKER_GONE, WORKER_JOB, API_JOB),
    *borders(
        rules.NO_TARGETS,
        over=(up(1, "another-shop"),),
        under=(up(0, WORKER_JOB),),
        value="1",
        namespace="",
    ),
    *borders(
        rules.STALLED,
        over=(last_round(0),),
        under=(last_round(150),),
        value="17m 30s",
        starts_s=930,
        labels={"worker": "outbox", **_ONE},
    ),
    *borders(
        rules.CLOCK_APART,
        over=(offset(-6), offset(4, _TWO)),
        under=(offset(-5), offset(5, _TWO)),
        value="6s",
        labels=_ONE,
    ),
    Scenario(rules.STALLED, "a run of reconciliation", (last_round(0, "reconciliation"),), "25m"),
)
