"""What a run measured, read from what the locustfile wrote."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtest.profile import Task

PAY_REQUEST: Final = "POST /v1/payments"


@dataclass(frozen=True, slots=True)
class Requests:
    """All requests of one kind; `times_ms` counts them by rounded response time."""

    name: str
    count: int
    failures: int
    times_ms: Mapping[int, int]
    longest_ms: float

    @property
    def error_ratio(self) -> float:
        """Return the fraction that failed; 0 when there were none."""
        return self.failures / self.count if self.count else 0.0

    def quantile_s(self, q: float) -> float:
        """Return the response time, in seconds, that the fraction `q` did not exceed; NaN if none.

        locust keeps two significant digits, so the value is right to 5 %.
        """
        wanted = math.ceil(q * sum(self.times_ms.values()))
        seen = 0
        for time_ms in sorted(self.times_ms):
            seen += self.times_ms[time_ms]
            if seen >= wanted:
                return time_ms / 1000
        return math.nan


@dataclass(frozen=True, slots=True)
class Moment:
    """The run at one time: seconds since the start, users, requests and failures a second, P95."""

    at_s: float
    users: int
    requests_s: float
    failures_s: float
    p95_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind of failure and how often it came."""

    where: str
    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Results:
    """One run. `tasks` counts those begun; `duration_s` is from the first request to the last."""

    tasks: Mapping[Task, int]
    total: Requests
    by_name: tuple[Requests, ...]
    failures: tuple[Failure, ...]
    history: tuple[Moment, ...]
    duration_s: float

    @property
    def peak_users(self) -> int:
        """Return the largest number of users that was seen at a time."""
        return max((moment.users for moment in self.history), default=0)

    @property
    def throughput(self) -> float:
        """Return requests a second over the whole run."""
        return self.total.count / self.duration_s if self.duration_s else 0.0

    def requests(self, name: str) -> Requests | None:
        """Return the requests of one kind, such as `POST /v1/payments`; None if there were none."""
        return next((one for one in self.by_name if one.name == name), None)


def read(path: Path) -> Results:
    """Read the file that the locustfile wrote."""
    return parse(json.loads(path.read_text(encoding="utf-8")))


def parse(raw: Mapping[str, Any]) -> Results:
    """Return the results from the locustfile's JSON."""
    total = raw["total"]
    last = total["last_request_timestamp"] or total["start_time"]
    return Results(
        tasks={Task(name): count for name, count in raw["tasks"].items()},
        total=_requests(total, "all requests"),
        by_name=tuple(
            _requests(entry, f"{entry['method']} {entry['name']}")
            for entry in sorted(raw["entries"], key=lambda entry: -int(entry["num_requests"]))
        ),
        failures=_failures(raw),
        history=tuple(
            _moment(entry, number * _HISTORY_INTERVAL_S)
            for number, entry in enumerate(raw["history"])
        ),
        duration_s=last - total["start_time"],
    )


_HISTORY_INTERVAL_S: Final = 5.0
"""locust.stats.HISTORY_STATS_INTERVAL_SEC."""


def _requests(entry: Mapping[str, Any], name: str) -> Requests:
    return Requests(
        name=name,
        count=entry["num_requests"],
        failures=entry["num_failures"],
        times_ms={int(time_ms): count for time_ms, count in entry["response_times"].items()},
        longest_ms=entry["max_response_time"],
    )


def _failures(raw: Mapping[str, Any]) -> tuple[Failure, ...]:
    answered = (
        Failure(f"{error['method']} {error['name']}", str(error["error"]), error["occurrences"])
        for error in raw["errors"]
    )
    raised = (Failure("load test", found["message"], found["count"]) for found in raw["exceptions"])
    return tuple(sorted((*answered, *raised), key=lambda failure: -failure.count))


def _moment(entry: Mapping[str, Any], at_s: float) -> Moment:
    return Moment(
        at_s=at_s,
        users=entry["user_count"][1],
        requests_s=entry["current_rps"][1],
        failures_s=entry["current_fail_per_sec"][1],
        p95_s=entry["response_time_percentile_0.95"][1] / 1000,
    )
