"""A run that passes, as the locustfile would write it; tests break it in one place each."""

from typing import Any

from loadtest.profile import MIX
from loadtest.verdict import Money


def entry(method: str, name: str, times_ms: dict[str, int], failures: int = 0) -> dict[str, Any]:
    return {
        "method": method,
        "name": name,
        "num_requests": sum(times_ms.values()),
        "num_failures": failures,
        "response_times": times_ms,
        "max_response_time": max(map(int, times_ms), default=0),
        "start_time": 1000.0,
        "last_request_timestamp": 1060.0,
    }


def moment(users: int) -> dict[str, Any]:
    return {
        "time": "2026-01-01T00:00:00Z",
        "user_count": ["", users],
        "current_rps": ["", 50.0],
        "current_fail_per_sec": ["", 0.5],
        "response_time_percentile_0.95": ["", 40],
    }


def raw_run() -> dict[str, Any]:
    return {
        "tasks": {str(task): share * 14 for task, share in MIX.items()},
        "entries": [
            entry("GET", "/health/ready", {"2": 100}),
            entry("POST", "/v1/payments", {"20": 940, "30": 50, "90": 10}, failures=1),
        ],
        "total": entry("", "Aggregated", {"2": 100, "20": 940, "30": 50, "90": 10}, failures=1),
        "errors": [
            {"method": "POST", "name": "/v1/payments", "error": "503 overloaded", "occurrences": 1}
        ],
        "exceptions": [],
        "history": [moment(5), moment(20), moment(5)],
    }


def no_violations() -> Money:
    return Money({"ledger_balanced": 0, "no_double_grant": 0}, {"outbox": 0})
