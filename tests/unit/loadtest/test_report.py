"""The report says the same in three ways, and shows text as text."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loadtest.archive import Archived
from loadtest.money import Money
from loadtest.profile import SMOKE
from loadtest.report import GREEN, Origin, Report, table
from loadtest.report_page import report_page
from loadtest.resources import Sample, Usage
from loadtest.results import parse
from loadtest.run import GENERATOR
from loadtest.verdict import evaluate
from tests.unit.loadtest.examples import Raw, raw_run
from tests.unit.loadtest.examples import money as right_money

ORIGIN = Origin("0123456789ab", {"cpus": 2}, {"python": "3.11"})


def samples(generator_cores: float = 0.2) -> tuple[Sample, ...]:
    parts = {
        "api": Usage(0.5, 100.0, 0.5),
        GENERATOR: Usage(generator_cores, 80.0, generator_cores),
    }
    return (Sample(1002.0, parts), Sample(1004.0, parts))


def report(
    raw: Raw | None = None,
    money: Money | None = None,
    taken: tuple[Sample, ...] = (),
) -> Report:
    results, money = parse(raw or raw_run(), SMOKE), money or right_money()
    return Report(
        profile=SMOKE,
        url="http://127.0.0.1:8080",
        workers=1,
        started_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        results=results,
        samples=taken,
        money=money,
        verdict=evaluate(SMOKE, results, money),
        origin=ORIGIN,
    )


def failing() -> Raw:
    raw = raw_run()
    raw["measured"][1]["failures"] = 1
    raw["errors"] = [
        {"method": "POST", "name": "/v1/payments", "error": "503 overloaded", "occurrences": 1}
    ]
    return raw


def test_json_has_the_verdict_and_each_figure(tmp_path: Path) -> None:
    document = json.loads(report(taken=samples()).write_json(tmp_path).read_text())
    assert document["passed"] is True
    assert document["started_at"] == "2026-01-02T03:04:00+00:00"
    assert document["requests"][0]["count"] == 3300
    assert document["requests"][1]["p95_s"] == 0.03
    assert document["phases"][1]["users"] == 20
    assert document["phases"][1]["payments"]["p95_s"] == 0.03
    assert document["money"]["pending"] == {"outbox": 0}
    assert document["money"]["reconciliation"]["differences"] == []
    assert document["resources"][0]["at_s"] == 2
    assert document["resources"][0]["api"]["cores"] == 0.5
    assert document["revision"] == "0123456789ab"


def test_what_was_not_measured_is_null() -> None:
    text = json.dumps(report(raw_run() | {"measured": []}).document(), allow_nan=False)
    document = json.loads(text)
    assert document["requests"][0]["p95_s"] is None
    assert document["history"][0]["p99_s"] is None


def test_the_page_shows_what_failed_first() -> None:
    broken = right_money({"ledger_balanced": 3, "no_double_grant": 0})
    page = report_page(report(failing(), broken), None)
    assert '<p class="verdict failed">' in page
    assert "checks failed. failed requests, our own target: 1" in page
    first, second = page.index("invariant: ledger_balanced"), page.index("invariant: no_double")
    assert first < page.index("<details>") < second
    assert "503 overloaded" in page


def test_the_page_marks_where_the_run_broke() -> None:
    raw = failing()
    raw["measured"][3]["times_ms"] = {"2500": 1000}
    page = report_page(report(raw), None)
    assert '"x0": 0.0' in page.replace('"x0": 0,', '"x0": 0.0,')
    assert "first failed request" in page
    assert "P95 above its limit" in page
    assert "P95 above its limit" not in report_page(report(), None)


def test_the_page_has_a_chart_for_each_figure_over_time() -> None:
    page = report_page(report(taken=samples()), None)
    for title in (
        *("Response time of all requests", "Throughput by kind of request", "Concurrent users"),
        *("Failed requests", "CPU", "Memory"),
    ):
        assert f"<figcaption>{title}" in page
    assert page.count('"text": "20 users"') == 6
    assert "not measured" not in page


def test_the_page_says_what_was_not_measured() -> None:
    page = report_page(report(), None)
    assert "CPU and memory were not measured: --ops-url" in page
    assert "<figcaption>CPU" not in page


def test_a_load_generator_that_is_late_itself_is_named() -> None:
    assert "A process of the load generator used 97% of its core" in report_page(
        report(taken=samples(0.97)), None
    )
    assert "A process of the load generator" not in report_page(report(taken=samples()), None)


def test_the_page_compares_with_the_last_run() -> None:
    summary = report().summary()
    for figure in summary["figures"]:
        if figure["name"] == "P95, all requests":
            figure["value"] *= 2
    before = Archived(Path("2026-01-01T000000Z.json"), summary | {"passed": False})
    page = report_page(report(), before)
    assert "failed (2026-01-01T000000Z.json)" in page
    assert '<td class="number">-30 ms (-50.0%)</td>' in page


@pytest.mark.parametrize("color", [True, False])
def test_colours_are_for_terminals(color: bool) -> None:  # noqa: FBT001  a parameter of pytest
    text = table(report().verdict, color=color)
    assert (GREEN in text) is color
    assert text.splitlines()[-1].endswith("verdict")
