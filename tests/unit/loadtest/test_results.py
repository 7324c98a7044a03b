"""The figures of a run, from what the locustfile writes."""

import json
import math
from pathlib import Path

import pytest

from loadtest.results import Requests, parse, read
from tests.unit.loadtest.examples import raw_run


def requests(times_ms: dict[int, int]) -> Requests:
    return Requests("GET /", sum(times_ms.values()), 0, times_ms, max(times_ms, default=0))


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
    path = tmp_path / "locust.json"
    path.write_text(json.dumps(raw_run()))
    results = read(path)
    assert results.total.count == 1100
    assert results.duration_s == 60
    assert results.throughput == pytest.approx(1100 / 60)
    assert results.peak_users == 20
    assert [one.name for one in results.by_name] == ["POST /v1/payments", "GET /health/ready"]
    assert [moment.at_s for moment in results.history] == [0, 5, 10]
    assert results.history[0].p95_s == 0.04
    pay = results.requests("POST /v1/payments")
    assert pay is not None
    assert pay.error_ratio == 0.001
    assert results.requests("POST /v1/refunds") is None


def test_failures_come_most_frequent_first_with_the_load_tests_own() -> None:
    raw = raw_run()
    raw["exceptions"] = [{"count": 3, "message": "KeyError: 'id'"}]
    assert [(f.where, f.count) for f in parse(raw).failures] == [
        ("load test", 3),
        ("POST /v1/payments", 1),
    ]
