"""Load profiles: the mix of tasks, the number of users over time, and what that should come to."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Task(StrEnum):
    """What a visitor does, as one unit."""

    PAY = "complete payment flow"
    STATUS = "order status"
    CANCEL = "cancellation"
    HEALTH = "health"


MIX: Final[dict[Task, int]] = {Task.PAY: 70, Task.STATUS: 15, Task.CANCEL: 10, Task.HEALTH: 5}
"""Percent of the tasks begun."""

REQUESTS: Final[dict[Task, int]] = {Task.PAY: 3, Task.STATUS: 1, Task.CANCEL: 2, Task.HEALTH: 1}
"""Requests of a task when none of them fails."""

REQUESTS_A_TASK: Final = sum(MIX[task] * REQUESTS[task] for task in Task) / 100

RAMP_S: Final = 10
"""A phase's users arrive within this many seconds, so that a phase measures its own load."""

MOST_INTERVALS: Final = 240
"""Points of a chart: as many as a screen shows, and a bound on what a long run keeps."""

LEAST_INTERVAL_S: Final = 2
"""Shorter, and an interval of a small run has too few requests for a percentile."""


@dataclass(frozen=True, slots=True)
class Phase:
    """So many users for so long; the ramp is part of the phase."""

    users: int
    duration_s: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A run: its phases and the pause (least, most, in seconds) between a user's tasks."""

    name: str
    description: str
    phases: tuple[Phase, ...]
    pause_s: tuple[float, float]

    @property
    def duration_s(self) -> int:
        """Return the length of the run, in seconds."""
        return sum(phase.duration_s for phase in self.phases)

    @property
    def peak_users(self) -> int:
        """Return the largest number of users at a time."""
        return max(phase.users for phase in self.phases)

    @property
    def peak_phase(self) -> int:
        """Return the index of the first phase with the most users."""
        return [phase.users for phase in self.phases].index(self.peak_users)

    @property
    def interval_s(self) -> int:
        """Return how many seconds a point of a chart stands for."""
        return max(LEAST_INTERVAL_S, math.ceil(self.duration_s / MOST_INTERVALS))

    def starts_s(self) -> Iterator[int]:
        """Yield when each phase starts, in seconds since the start of the run."""
        start = 0
        for phase in self.phases:
            yield start
            start += phase.duration_s


SMOKE: Final = Profile(
    "smoke",
    "A minute with few users: does the whole path work?",
    (Phase(5, 15), Phase(20, 35), Phase(5, 10)),
    (0.5, 1.5),
)
SHORT: Final = Profile(
    "short",
    "The phases of full in two and a half minutes, up to 200 users.",
    (Phase(10, 20), Phase(30, 20), Phase(70, 25), Phase(140, 30), Phase(200, 40), Phase(15, 15)),
    (1.0, 4.0),
)
FULL: Final = Profile(
    "full",
    "An evening in twelve minutes: 50 to 1,500 users and back.",
    (
        Phase(50, 60),
        Phase(200, 90),
        Phase(500, 150),
        Phase(1_000, 180),
        Phase(1_500, 150),
        Phase(100, 90),
    ),
    (2.0, 8.0),
)
DOUBLE: Final = replace(
    FULL,
    name="double",
    description="The phases of full with twice the users: up to 3,000.",
    phases=tuple(Phase(2 * phase.users, phase.duration_s) for phase in FULL.phases),
)

PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile for profile in (SMOKE, SHORT, FULL, DOUBLE)
}


def users_at(profile: Profile, elapsed_s: float) -> tuple[int, float] | None:
    """Return (users, users started or stopped a second) at a time; None when the run is over."""
    before, start = 0, 0
    for phase in profile.phases:
        if elapsed_s < start + phase.duration_s:
            return phase.users, max(1.0, abs(phase.users - before) / RAMP_S)
        before, start = phase.users, start + phase.duration_s
    return None


def least_throughput(profile: Profile, number: int, response_s: float) -> float:
    """Return the requests a second of a phase if every request took `response_s`.

    A user pauses, does a task, and pauses again, so that slow answers mean fewer requests. A
    service that keeps a P95 of `response_s` answers most requests sooner, and does more.
    """
    phase = profile.phases[number]
    before = profile.phases[number - 1].users if number else 0
    ramp_s = min(RAMP_S, phase.duration_s)
    user_s = phase.users * phase.duration_s - (phase.users - before) * ramp_s / 2
    task_s = sum(profile.pause_s) / 2 + REQUESTS_A_TASK * response_s
    return user_s * REQUESTS_A_TASK / task_s / phase.duration_s
