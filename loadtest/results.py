"""What a run measured, read from what the locustfile wrote."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtest.measured import Counted, Key, Recording
from loadtest.profile import Phase, Profile, Task

PAY_REQUEST: Final = "POST /v1/payments"
ALL_REQUESTS: Final = "all requests"
LOAD_TEST: Final = "load test"
"""Where a failure is that is the load generator's own."""


@dataclass(frozen=True, slots=True)
class Requests:
    """All requests of one kind; `times_ms` counts them by response time, to the millisecond."""

    name: str
    count: int
    failures: int
    times_ms: Mapping[int, int]

    @property
    def longest_ms(self) -> int:
        """Return the longest response time; 0 when there were no requests."""
        return max(self.times_ms, default=0)

    @property
    def error_ratio(self) -> float:
        """Return the fraction that failed; 0 when there were none."""
        return self.failures / self.count if self.count else 0.0

    def quantile_s(self, q: float) -> float:
        """Return the response time, in seconds, that the fraction `q` did not exceed.

        It is NaN when there were no requests.
        """
        wanted = math.ceil(q * self.count)
        seen = 0
        for time_ms in sorted(self.times_ms):
            seen += self.times_ms[time_ms]
            if seen >= wanted:
                return time_ms / 1000
        return math.nan


@dataclass(frozen=True, slots=True)
class PhaseResults:
    """One phase of the run: the requests that began in it."""

    number: int
    phase: Phase
    total: Requests
    pay: Requests

    @property
    def throughput(self) -> float:
        """Return requests a second."""
        return self.total.count / self.phase.duration_s


@dataclass(frozen=True, slots=True)
class Moment:
    """An interval of the run, `at_s` seconds after the start: figures of what began in it."""

    at_s: float
    users: int
    requests_s: float
    failures_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    pay_p95_s: float
    requests_s_by_name: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind of failure and how often it came."""

    where: str
    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Results:
    """One run. `tasks` counts those begun; `workers` of the load generator reported to the end.

    `started_at` is a Unix time.
    """

    tasks: Mapping[Task, int]
    total: Requests
    by_name: tuple[Requests, ...]
    phases: tuple[PhaseResults, ...]
    failures: tuple[Failure, ...]
    history: tuple[Moment, ...]
    users: tuple[tuple[float, int], ...]
    started_at: float
    duration_s: float
    workers: int

    @property
    def peak_users(self) -> int:
        """Return the largest number of users that was seen at a time."""
        return max((users for _, users in self.users), default=0)

    @property
    def throughput(self) -> float:
        """Return requests a second over the whole run."""
        return self.total.count / self.duration_s if self.duration_s else 0.0

    def requests(self, name: str) -> Requests | None:
        """Return the requests of one kind, such as `POST /v1/payments`; None if there were none."""
        return next((one for one in self.by_name if one.name == name), None)


def read(path: Path, profile: Profile) -> Results:
    """Read the file that the locustfile wrote in a run of `profile`."""
    return parse(json.loads(path.read_text(encoding="utf-8")), profile)


def parse(raw: Mapping[str, Any], profile: Profile) -> Results:
    """Return the results from the locustfile's JSON."""
    recording = Recording(profile)
    recording.add(raw["measured"])
    counted = recording.counted
    users = tuple((float(at_s), int(count)) for at_s, count in raw["users"])
    return Results(
        tasks={Task(name): count for name, count in raw["tasks"].items()},
        total=_total(ALL_REQUESTS, counted.values()),
        by_name=_by_name(counted),
        phases=tuple(
            _phase(number, phase, _where(counted, lambda key, number=number: key[0] == number))  # type: ignore[misc]
            for number, phase in enumerate(profile.phases)
        ),
        failures=_failures(raw),
        history=tuple(_history(recording, users)),
        users=users,
        started_at=raw["started_at"],
        duration_s=float(profile.duration_s),
        workers=raw["workers"],
    )


def _where(counted: Mapping[Key, Counted], wanted: Callable[[Key], bool]) -> dict[Key, Counted]:
    return {key: one for key, one in counted.items() if wanted(key)}


def _total(name: str, parts: Iterable[Counted]) -> Requests:
    total = Counted()
    for part in parts:
        total.add(part)
    return Requests(name, total.times_ms.total(), total.failures, total.times_ms)


def _of_kind(counted: Mapping[Key, Counted], kind: str) -> Requests:
    return _total(kind, (one for key, one in counted.items() if key[2] == kind))


def _by_name(counted: Mapping[Key, Counted]) -> tuple[Requests, ...]:
    found = [_of_kind(counted, kind) for kind in {key[2] for key in counted}]
    return tuple(sorted(found, key=lambda one: (-one.count, one.name)))


def _phase(number: int, phase: Phase, counted: Mapping[Key, Counted]) -> PhaseResults:
    total = _total(ALL_REQUESTS, counted.values())
    return PhaseResults(number, phase, total, _of_kind(counted, PAY_REQUEST))


def _history(recording: Recording, users: Sequence[tuple[float, int]]) -> Iterator[Moment]:
    """Yield what each interval measured; one without requests too, as a silence is a finding."""
    profile = recording.profile
    by_interval: dict[tuple[int, int], dict[Key, Counted]] = defaultdict(dict)
    for key, one in recording.counted.items():
        by_interval[key[:2]][key] = one
    for number, (start_s, phase) in enumerate(zip(profile.starts_s(), profile.phases, strict=True)):
        for interval in range(math.ceil(phase.duration_s / profile.interval_s)):
            offset_s = interval * profile.interval_s
            length_s = min(profile.interval_s, phase.duration_s - offset_s)
            counted = by_interval.get((number, interval), {})
            yield _moment(start_s + offset_s, length_s, counted, users)


def _moment(
    at_s: float,
    length_s: float,
    counted: Mapping[Key, Counted],
    users: Sequence[tuple[float, int]],
) -> Moment:
    total = _total(ALL_REQUESTS, counted.values())
    by_name = {one.name: one.count / length_s for one in _by_name(counted)}
    return Moment(
        at_s=at_s,
        users=next((count for seen_s, count in reversed(users) if seen_s <= at_s + length_s), 0),
        requests_s=total.count / length_s,
        failures_s=total.failures / length_s,
        p50_s=total.quantile_s(0.5),
        p95_s=total.quantile_s(0.95),
        p99_s=total.quantile_s(0.99),
        pay_p95_s=_of_kind(counted, PAY_REQUEST).quantile_s(0.95),
        requests_s_by_name=by_name,
    )


def _failures(raw: Mapping[str, Any]) -> tuple[Failure, ...]:
    answered = (
        Failure(f"{error['method']} {error['name']}", str(error["error"]), error["occurrences"])
        for error in raw["errors"]
    )
    raised = (Failure(LOAD_TEST, found["message"], found["count"]) for found in raw["exceptions"])
    return tuple(sorted((*answered, *raised), key=lambda failure: -failure.count))
