"""How a stress run climbs, goes past the knee and comes back, against a service of arithmetic."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from loadtest import course
from loadtest.arrivals import Arrival, Outcome, Stage
from loadtest.course import FURTHER, Runner
from loadtest.knee import Course
from loadtest.stress_verdict import StressResults
from tests.unit.loadtest.open_model import SHED, arrival

COURSE = Course("tiny", 100.0, 1.25, 0.05, (1.5, 2.0), 0.05, 0.5, 0.05, most_steps=8)
Serve = Callable[[Stage, int], tuple[float, float]]
"""From a stage, and how often its rate came before, to the response time and fraction served."""


class Generators:
    """Load generators whose arrivals have all ended when a stage begins."""

    def __init__(self, arrivals: list[Arrival], serve: Serve) -> None:
        self.stages: list[Stage] = []
        self.waited = 0
        self._arrivals = arrivals
        self._serve = serve

    async def follow(self, stage: Stage) -> None:
        again = sum(one.rate == stage.rate for one in self.stages)
        self.stages.append(stage)
        took_s, served = self._serve(stage, again)
        count = max(20, round(stage.rate * stage.seconds))
        for n in range(count):
            outcome = (Outcome.GOOD, "") if n < served * count else (Outcome.SHED, SHED)
            due_at = stage.starts_at + n * stage.seconds / count
            one = arrival(due_at, took_s, number=stage.number, outcome=outcome)
            self._arrivals.append(one)

    async def until_idle(self, _timeout_s: float) -> None:
        self.waited += 1


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "LEAD_S", 0.0)
    monkeypatch.setattr(course, "GAP_S", 0.0)


async def run(serve: Serve) -> tuple[StressResults, Generators]:
    arrivals: list[Arrival] = []
    generators: Any = Generators(arrivals, serve)
    shown: list[str] = []
    runner = Runner(COURSE, generators, arrivals, lambda _stage, label: shown.append(label))
    results = await runner.run()
    assert shown[0] == "warm-up"
    return results, generators


def sheds_above(capacity: float) -> Serve:
    return lambda stage, _again: (0.1, min(1.0, capacity / stage.rate))


async def test_it_climbs_until_a_rate_fails_twice_and_comes_back() -> None:
    results, generators = await run(sheds_above(160))
    assert [one.label for one in results.steps] == [
        *("100/s", "125/s", "156/s", "195/s", "195/s again"),
    ]
    assert [one.label for one in results.overloads] == ["1.5 times the knee", "2 times the knee"]
    assert results.knee is results.steps[2]
    assert results.back is not None
    assert results.back.stage.rate == pytest.approx(0.5 * 156.25)
    assert generators.waited == 3  # before the repetition, before the overload, at the end
    starts = [stage.starts_at for stage in generators.stages]
    assert starts == sorted(starts)


async def test_an_overload_has_no_pause() -> None:
    results, _ = await run(sheds_above(160))
    assert results.back is not None
    stages = [one.stage for one in (*results.overloads, results.back)]
    for before, after in pairwise(stages):
        assert after.starts_at == pytest.approx(before.ends_at)


async def test_a_hiccup_is_no_knee() -> None:
    def hiccup(stage: Stage, again: int) -> tuple[float, float]:
        if stage.rate == 125 and not again:
            return 0.9, 1.0
        return sheds_above(160)(stage, again)

    results, _ = await run(hiccup)
    assert [one.label for one in results.steps][1:3] == ["125/s", "125/s again"]
    assert results.knee is not None
    assert results.knee.stage.rate == pytest.approx(156.25)


async def test_it_goes_further_past_the_knee_until_something_is_refused() -> None:
    """A knee that was found low, by slowness beside other work: twice of it is no overload."""

    def slow(stage: Stage, _again: int) -> tuple[float, float]:
        return (0.6 if stage.rate > 130 else 0.1), min(1.0, 400 / stage.rate)

    results, _ = await run(slow)
    assert [one.label.split()[0] for one in results.overloads] == ["1.5", "2", "3", "4"]
    most, _ = await run(lambda stage, _again: (0.6 if stage.rate > 130 else 0.1, 1.0))
    assert len(most.overloads) == len(COURSE.overloads) + len(FURTHER)


async def test_without_a_knee_nothing_is_past_it() -> None:
    results, generators = await run(lambda _stage, _again: (3.0, 1.0))
    assert results.knee is None
    assert not results.overloads
    assert results.back is None
    assert len(generators.stages) == 3  # the warm-up, the first step, and that again


async def test_a_climb_ends_at_its_most_steps() -> None:
    results, _ = await run(sheds_above(10_000))
    assert len(results.steps) == COURSE.most_steps
