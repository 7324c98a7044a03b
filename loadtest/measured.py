"""The exact response times of a run, by phase, by interval and by kind of request.

Each process of the load generator records its own requests; recordings are added up. Times are kept
to the millisecond: locust's own tables keep two significant digits, and no history of them.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtest.profile import Profile

Key = tuple[int, int, str]
"""A phase's index, an interval's number within the phase, and the kind of request."""


@dataclass
class Counted:
    """Requests, counted by their time in milliseconds, and how many of them failed."""

    failures: int = 0
    times_ms: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Counted") -> None:
        """Count the other's requests too."""
        self.failures += other.failures
        self.times_ms.update(other.times_ms)


@dataclass
class Recording:
    """The requests of a run of `profile`, or of a part of it."""

    profile: Profile
    counted: dict[Key, Counted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._starts_s = list(self.profile.starts_s())

    def record(self, kind: str, began_s: float, took_ms: float, *, failed: bool) -> None:
        """Count a request that began so many seconds after the start of the run.

        Those of the last users, who may end a task after the run's end, belong to the last phase.
        """
        phase = max(0, bisect_right(self._starts_s, began_s) - 1)
        interval = int(max(0.0, began_s - self._starts_s[phase]) // self.profile.interval_s)
        counted = self._at((phase, interval, kind))
        counted.failures += failed
        counted.times_ms[round(took_ms)] += 1

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add what another recording of the same profile took."""
        for row in rows:
            times = Counter({int(ms): count for ms, count in row["times_ms"].items()})
            key = row["phase"], row["interval"], row["kind"]
            self._at(key).add(Counted(row["failures"], times))

    def take(self) -> list[dict[str, Any]]:
        """Return all that was counted as JSON values, and count from zero again."""
        rows = [
            {
                "phase": phase,
                "interval": interval,
                "kind": kind,
                "failures": counted.failures,
                "times_ms": dict(counted.times_ms),
            }
            for (phase, interval, kind), counted in self.counted.items()
        ]
        self.counted.clear()
        return rows

    def _at(self, key: Key) -> Counted:
        return self.counted.setdefault(key, Counted())
