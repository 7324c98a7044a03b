"""Load profiles: the mix of tasks, and the number of users over time."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Task(StrEnum):
    """What a visitor does, as one unit."""

    PAY = "complete payment flow"
    STATUS = "order status"
    CANCEL = "cancellation"
    HEALTH = "health"


MIX: Final[dict[Task, int]] = {Task.PAY: 70, Task.STATUS: 15, Task.CANCEL: 10, Task.HEALTH: 5}
"""Percent of the tasks begun; a payment flow makes three requests, the others one or two."""

RAMP_S: Final = 10
"""A phase's users arrive within this many seconds, so that a phase measures its own load."""


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


SMOKE: Final = Profile(
    "smoke",
    "A minute with few users: does the whole path work?",
    (Phase(5, 15), Phase(20, 35), Phase(5, 10)),
    (0.5, 1.5),
)
STANDARD: Final = Profile(
    "standard",
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

PROFILES: Final[dict[str, Profile]] = {profile.name: profile for profile in (SMOKE, STANDARD)}


def users_at(profile: Profile, elapsed_s: float) -> tuple[int, float] | None:
    """Return (users, users started or stopped a second) at a time; None when the run is over."""
    before, start = 0, 0
    for phase in profile.phases:
        if elapsed_s < start + phase.duration_s:
            return phase.users, max(1.0, abs(phase.users - before) / RAMP_S)
        before, start = phase.users, start + phase.duration_s
    return None
