"""The figures of a run, from what the locustfile writes."""

import json
import math
from pathlib import Path

import pytest

from loadtest.profile import SMOKE
from loadtest.results import PAY_REQUEST, Requests, parse, read
from tests.unit.loadtest.examples import HEALTH_REQUEST, raw_run, row


def requests(times_ms: dict[int, int]) -> Requests:
    return Requests("GET /", sum(times_ms.values()), 0, times_ms)


@pytest.mark.parametrize(
    ("q", "seconds"), [(0.01, 0.001), (0.5, 0.05), (0.95, 0.095), (0.99, 0.099), (1.0, 0.1)]
)
def test_a_quantile_is_the_time_that_so_many_did_not_exceed(q: float, seconds: float) -> None:
    assert requests(dict.fromkeys(range(1, 101), 1)).quantile_s(q) == seconds


def test_quantiles_count_requests_and_not_buckets() -> None:
    skewed = requests({10: 96, 3000: 4})
    assert skewed.quantile_s(0.95) == 0.01
    assert skewed.quantile_s(0.97) == 3.0


def test_without_requests_there_is_no_quantile() -> None:
    assert math.isnan(requests({}).quantile_s(0.95))
    assert requests({}).error_ratio == 0


def test_a_run_is_read(tmp_path: Path) -> None:
    raw = raw_run()
    raw["measured"][1]["failures"] = 3
    path = tmp_path / "locust.json"
    path.write_text(json.dumps(raw))
    results = read(path, SMOKE)
    assert results.total.count == 3300
    assert results.total.longest_ms == 90
    assert results.duration_s == 60
    assert results.throughput == pytest.approx(3300 / 60)
    assert results.peak_users == 20
    assert [one.name for one in results.by_name] == [PAY_REQUEST, HEALTH_REQUEST]
    pay = results.requests(PAY_REQUEST)
    assert pay is not None
    assert pay.error_ratio == 0.001
    assert results.requests("POST /v1/refunds") is None


def test_each_phase_has_its_own_figures() -> None:
    raw = raw_run()
    raw["measured"] = [
        row(0, 0, PAY_REQUEST, {"10": 100}),
        row(1, 0, PAY_REQUEST, {"300": 100}),
        row(1, 3, HEALTH_REQUEST, {"5": 100}, failures=2),
    ]
    first, peak, last = parse(raw, SMOKE).phases
    assert (first.total.quantile_s(0.95), first.total.failures) == (0.01, 0)
    assert (peak.pay.quantile_s(0.95), peak.total.failures) == (0.3, 2)
    assert peak.throughput == 200 / 35
    assert last.total.count == 0


def test_the_history_has_each_interval_once_also_the_silent_ones() -> None:
    raw = raw_run()
    raw["measured"] = [
        row(0, 7, PAY_REQUEST, {"10": 6}, failures=3),  # the second that is left of 15
        row(2, 9, PAY_REQUEST, {"10": 1}),  # of a user who was on the way out
    ]
    results = parse(raw, SMOKE)
    assert results.total.count == 7
    assert [one.at_s for one in results.history[:9]] == [0, 2, 4, 6, 8, 10, 12, 14, 15]
    assert results.history[-1].at_s == 58
    silent, busy = results.history[6:8]
    assert (silent.requests_s, busy.requests_s, busy.failures_s) == (0, 6, 3)
    assert math.isnan(silent.p95_s)
    assert busy.requests_s_by_name == {PAY_REQUEST: 6}
    assert [one.users for one in results.history[6:9]] == [5, 5, 20]


def test_failures_come_most_frequent_first_with_the_load_tests_own() -> None:
    raw = raw_run()
    raw["errors"] = [
        {"method": "POST", "name": "/v1/payments", "error": "503 overloaded", "occurrences": 1}
    ]
    raw["exceptions"] = [{"count": 3, "message": "KeyError: 'id'"}]
    assert [(f.where, f.count) for f in parse(raw, SMOKE).failures] == [
        ("load test", 3),
        ("POST /v1/payments", 1),
    ]
