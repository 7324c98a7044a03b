"""Arrivals of an open model: they come when they come, whether or not the last one was answered.

A closed model's users wait for an answer before they ask again, so a slow service gets less load
and its worst moments are measured least ("coordinated omission", Gil Tene). Here a schedule is
drawn beforehand, and a response time counts from the scheduled arrival: what starts late because
the load generator was late is slow.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec


class Outcome(StrEnum):
    """What became of an arrival: a buyer who orders, pays, and looks at the order."""

    GOOD = "good"
    SHED = "shed"
    """Refused as a service that is overloaded should: 503, `overloaded`, and Retry-After."""
    FAILED = "failed"
    """Anything else: a time-out, a reset, another status, an answer that contradicts the flow."""
    UNSENT = "unsent"
    """Never begun, because the load generator had as many in flight as it may."""


OVERLOADED: Final = "overloaded"
PROBLEM: Final = "application/problem+json"


def classify(
    status: int, content_type: str | None, retry_after: str | None, body: bytes
) -> tuple[Outcome, str]:
    """Return what a refusal is and says; the text is the same for all of a kind.

    Only a problem document of 503 `overloaded` that says when to come back is a refusal as it
    should be: a request that timed out or found the database gone is a 503, too.
    """
    try:
        code = str(msgspec.json.decode(body)["code"])
    except (msgspec.DecodeError, TypeError, KeyError):
        code = "no problem document"
    what = f"{status} {code}"
    if status != 503 or code != OVERLOADED or not (content_type or "").startswith(PROBLEM):  # noqa: PLR2004
        return Outcome.FAILED, what
    if not (retry_after or "").isdigit() or retry_after == "0":
        return Outcome.FAILED, f"{what} without Retry-After"
    return Outcome.SHED, what


@dataclass(frozen=True, slots=True)
class Stage:
    """Poisson arrivals at `rate` a second, from `starts_at` (monotonic clock) on."""

    number: int
    starts_at: float
    rate: float
    seconds: float

    @property
    def ends_at(self) -> float:
        """Return the end of its arrivals; answers come later."""
        return self.starts_at + self.seconds

    def split(self, generators: int) -> "Stage":
        """Return the share of one of so many processes: Poisson processes add up to another."""
        return Stage(self.number, self.starts_at, self.rate / generators, self.seconds)

    def due(self, dice: random.Random) -> Iterator[float]:
        """Yield the times of arrival."""
        at = self.starts_at
        while self.rate and (at := at + dice.expovariate(self.rate)) < self.ends_at:
            yield at


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """One arrival. `due_at` is by the monotonic clock; both times are in seconds from then on.

    `started_s` is the load generator's own lag, `ended_s` the response time of the whole flow.
    `pay_s` is what the payment request alone took, None if it was not made. `what` says why an
    arrival that was not good was not: the request and the answer.
    """

    stage: int
    due_at: float
    started_s: float
    ended_s: float
    outcome: Outcome
    pay_s: float | None = None
    what: str = ""


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """A line that a load generator writes: flows in flight, and the arrivals that have ended."""

    in_flight: int
    ended: list[Arrival]


class OpenPlan(msgspec.Struct, frozen=True):
    """What one load generator is given beside its stages; `tokens` are people of its own."""

    seed: int
    max_in_flight: int
    tokens: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Store the plan, readable by nobody else: a token is as good as its owner."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(self))


def read_open_plan(path: Path) -> OpenPlan:
    """Return the plan that `OpenPlan.write` stored."""
    return msgspec.json.decode(path.read_bytes(), type=OpenPlan)
