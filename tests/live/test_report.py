"""What `make live` says of a run, and what it takes for a failure."""

import io
import json

import pytest
from rich.console import Console

from alerts import all_alerts, availability
from tests.live import faults
from tests.live.__main__ import answer, show
from tests.live.alert_run import Report, Row, Watch, outcome

ALERT = availability.API_GONE


def printed(report: Report) -> str:
    out = io.StringIO()
    show(report, Console(file=out, width=100))
    return out.getvalue()


def test_the_table_names_alert_fault_and_time() -> None:
    report = Report([Row("ApiDown", "all processes are killed", 5.2)], panels=3, recordings=2)
    text = printed(report)
    assert "ApiDown" in text
    assert "all processes are killed" in text
    assert "5 s" in text
    assert "1 of 1 alerts fired by their fault; 3 of 3 queries of panels" in text
    assert list(report.problems()) == []


def test_everything_that_is_wrong_is_a_problem_and_is_told() -> None:
    report = Report(
        [Row("ApiDown", "all processes are killed", None, "did not fire")],
        empty_panels=["coinslot-money, Orphans: x"],
        empty_recordings=["a:b:c"],
        broken_rules=["R: no"],
        fired_when_well=["CpuHigh"],
    )
    problems = list(report.problems())
    assert problems == [
        "ApiDown: did not fire",
        "a panel has no data: coinslot-money, Orphans: x",
        "a recording has no value: a:b:c",
        "a rule can't be evaluated: R: no",
        "CpuHigh fires while all is well",
    ]
    assert all(problem in printed(report) for problem in problems)
    assert json.loads(json.dumps(answer(report)))["problems"] == problems


@pytest.mark.parametrize(
    ("fired", "injected", "after_s", "problem"),
    [
        (12.0, 10.0, 2.0, ""),
        (9.0, 10.0, -1.0, "fired before its fault"),
        (None, 10.0, None, "did not fire"),
        (9.0, None, None, "did not fire"),
    ],
)
def test_an_alert_counts_only_after_its_fault(
    fired: float | None, injected: float | None, after_s: float | None, problem: str
) -> None:
    row = outcome(ALERT, fired, injected)
    assert (row.fired_after_s, row.problem) == (after_s, problem)


async def test_only_what_fires_at_its_fault_fired_before_it() -> None:
    now = {"passed", "lasts"}

    async def firing() -> set[str]:
        return set(now)

    watch = Watch(firing)
    await watch.look()
    now.discard("passed")
    await watch.look()
    watch.inject(["passed", "lasts", "quiet"])
    assert watch.fired.keys() == {"lasts"}
    assert watch.fired["lasts"] < watch.injected["lasts"]
    now.add("passed")
    await watch.look()
    assert watch.fired["passed"] >= watch.injected["passed"]


def test_an_alert_that_cannot_fire_shows_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(faults.CANNOT, ALERT.name, "needs a moon")
    row = outcome(ALERT, None, None)
    assert (row.fault, row.summary, row.problem) == ("needs a moon", "cannot fire here", "")


def test_an_alert_without_a_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "PHASES", faults.PHASES[:-1])
    assert set(faults.uncaused()) == {
        availability.API_GONE,
        availability.WORKER_GONE,
        availability.NO_TARGETS,
    }
    assert set(faults.uncaused()) < set(all_alerts())
