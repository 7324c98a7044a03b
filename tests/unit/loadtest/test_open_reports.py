"""The reports of stress and endurance runs: what a reader and what a program finds in them."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import pytest

from loadtest import archive, soak, stress
from loadtest.arrivals import Stage
from loadtest.flow_windows import FlowWindows
from loadtest.knee import STANDARD
from loadtest.money import SetUpError
from loadtest.report import Origin
from loadtest.slopes import Series, trend
from loadtest.soak_report import SoakReport
from loadtest.soak_verdict import P95, RESPONSE_TIME, RSS, Measure
from loadtest.soak_verdict import evaluate as evaluate_soak
from loadtest.stress_report import StressReport
from loadtest.stress_verdict import StressResults, evaluate
from tests.unit.loadtest.open_model import START_S, good_money, stage

ORIGIN = Origin("abc", {"cpus": 2}, {"python": "3.11"})
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
RESULTS = StressResults(
    (stage(80), stage(100), stage(125, took_s=0.8)),
    (stage(200, label="2 times the knee", served=0.5, took_s=1.0, number=2),),
    stage(50, label="0.5 times the knee", number=3),
)


def stress_report(results: StressResults = RESULTS) -> StressReport:
    verdict = None if results.late else evaluate(results, good_money())
    return StressReport(STANDARD, "http://x", 1, AT, results, good_money(), verdict, ORIGIN)


def soak_report(slope: float, refusal: str = "") -> SoakReport:
    times = [float(second) for second in range(0, 600, 5)]
    series = Series(times, [100 + slope * time for time in times])
    measures = [Measure("memory of api", series, RSS, trend(series))]
    flows = FlowWindows(Stage(1, START_S, 10, 600))
    flows.add(stage(10, seconds=600).arrivals)
    flows.close()
    measures.append(Measure(RESPONSE_TIME, flows.p95(), P95, trend(flows.p95())))
    verdict = evaluate_soak(measures, flows, good_money(), late=bool(refusal))
    return SoakReport("soak", 1, AT, flows, measures, good_money(), verdict, refusal, ORIGIN)


def test_a_stress_report_names_the_knee_and_draws_it() -> None:
    page = stress_report().page(None)
    assert "the knee is at 100 flows a second" in page
    assert "knee, 100/s" in page
    assert page.count('class="chart"') == 5


def test_a_stress_report_is_json_without_nan(tmp_path: Path) -> None:
    empty = StressResults((stage(20, took_s=0.9),), (), None)
    for report in (stress_report(), stress_report(empty)):
        assert json.loads(json.dumps(report.document(), allow_nan=False))["profile"] == "stress"
        assert report.page(None)
        archive.keep(report.summary(), tmp_path)


def test_without_a_verdict_the_page_and_the_json_say_why() -> None:
    late = stage(200, label="2 times the knee", served=0.5, lag_s=0.3, took_s=1.0, number=2)
    report = stress_report(replace(RESULTS, overloads=(late,)))
    assert not report.passed
    assert "at 2 times the knee its P95 of starting late was 300 ms" in report.page(None)
    assert report.document()["refusal"] == report.refusal
    assert report.document()["checks"] == []


def test_a_run_is_compared_with_the_one_before(tmp_path: Path) -> None:
    archive.keep(stress_report().summary(), tmp_path)
    before = archive.newest("stress", tmp_path)
    assert before is not None
    page = stress_report().page(before)
    assert escape(before.title) in page
    assert "+0 flows/s" in page


@pytest.mark.parametrize(("slope", "word"), [(0.0, "level"), (0.1, "rises")])
def test_a_soak_report_has_each_measure_with_its_slope(slope: float, word: str) -> None:
    report = soak_report(slope)
    page = report.page(None)
    assert f"{slope * 3_600:+,.3g} MiB an hour; {word}." in page
    assert "fitted slope" in page
    assert report.passed is (word == "level")
    json.dumps(report.document(), allow_nan=False)


LATE = "the load generator was the limit in 19 of 40 windows"


def test_response_times_of_a_late_generator_are_not_judged() -> None:
    report = soak_report(0.0, refusal=LATE)
    assert (report.passed, report.refused) == (False, True)
    names = {check.name for check in report.verdict.checks}
    assert "memory of api" in names
    assert RESPONSE_TIME not in names
    page = report.page(None)
    assert f"Response times were not judged: {LATE}" in page
    assert "Endurance test without a verdict" in page


def test_what_rises_fails_the_run_however_late_the_generator_was() -> None:
    report = soak_report(0.1, refusal=LATE)
    assert (report.passed, report.refused) == (False, False)
    assert [check.name for check in report.verdict.checks if not check.passed] == ["memory of api"]


def test_a_soak_run_without_any_flow_fails_and_can_be_shown() -> None:
    report = soak_report(0.0)
    nothing = FlowWindows(Stage(1, 0.0, 10, 60))
    nothing.close()
    empty = replace(report, flows=nothing, verdict=evaluate_soak((), nothing, good_money()))
    assert not empty.passed
    json.dumps(empty.document(), allow_nan=False)
    assert empty.page(None)


def test_a_soak_run_without_a_knee_ends_with_2(tmp_path: Path) -> None:
    assert soak.main(["--out", str(tmp_path), "--archive", str(tmp_path)]) == 2


def test_a_soak_runs_at_a_share_of_the_last_knee(tmp_path: Path) -> None:
    with pytest.raises(SetUpError, match=r"make stress.*--rate"):
        soak._share_of_knee(tmp_path)
    archive.keep(stress_report().summary(), tmp_path)
    assert soak._share_of_knee(tmp_path) == pytest.approx(70)


@pytest.mark.parametrize(
    "arguments", [["--minutes", "0.1"], ["--rate", "0"], ["--minutes", "much"], ["--users", "3"]]
)
def test_wrong_options_of_a_soak_end_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        soak.main(arguments)
    assert ended.value.code == 2


def test_wrong_options_of_a_stress_run_end_with_2() -> None:
    with pytest.raises(SystemExit) as ended:
        stress.main(["--processes", "0"])
    assert ended.value.code == 2
