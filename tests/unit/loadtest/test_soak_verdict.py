"""An endurance run on recorded series: one leak fails its own check, and a level run passes."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from loadtest.arrivals import Arrival, Outcome, Stage
from loadtest.flow_windows import FlowWindows
from loadtest.samples import Sample
from loadtest.soak_verdict import Measure, evaluate, measures
from loadtest.verdict import Verdict
from tests.unit.loadtest.open_model import START_S, arrival, good_money

RUN_S, EVERY_S, RATE = 600.0, 5.0, 20
Change = Callable[[Sample, float], Sample]


def recorded(change: Change = lambda sample, _hours: sample, seed: int = 3) -> list[Sample]:
    """Return samples of ten minutes with the noise of a busy machine."""
    dice = random.Random(seed)  # noqa: S311  noise
    return [
        change(
            Sample(
                at=START_S + number * EVERY_S,
                rss_mib={"api": 110 + dice.gauss(0, 1), "worker": 95 + dice.gauss(0, 0.5)},
                descriptors={"api": 60.0 + dice.randrange(9), "worker": 30.0 + dice.randrange(3)},
                tasks={"api": 25.0 + dice.randrange(20), "worker": 22.0 + dice.randrange(4)},
                connections=12.0 + dice.randrange(3),
                table_bytes=500_000 + number * EVERY_S * RATE * 3_000 + dice.randrange(3) * 8_192,
                index_bytes=400_000 + number * EVERY_S * RATE * 2_000 + dice.randrange(3) * 8_192,
                payments=number * EVERY_S * RATE,
            ),
            number * EVERY_S / 3_600,
        )
        for number in range(int(RUN_S / EVERY_S))
    ]


def flows(change: Callable[[Arrival, float], Arrival] = lambda one, _hours: one) -> FlowWindows:
    dice = random.Random(4)  # noqa: S311  noise
    arrivals = [
        change(arrival(START_S + n / RATE, max(0.02, dice.gauss(0.08, 0.02))), n / RATE / 3_600)
        for n in range(int(RUN_S * RATE))
    ]
    found = FlowWindows(Stage(1, START_S, RATE, RUN_S))
    for start in range(0, len(arrivals), 100):
        found.add(arrivals[start : start + 100])
    found.close()
    return found


LEVEL = flows()


def verdict(samples: Sequence[Sample], served: FlowWindows = LEVEL) -> Verdict:
    return evaluate(measures(samples, served), served, good_money())


def failed(found: Verdict) -> list[str]:
    return [check.name for check in found.checks if not check.passed]


@pytest.mark.parametrize("seed", range(6))
def test_a_level_run_passes(seed: int) -> None:
    found = verdict(recorded(seed=seed))
    assert found.passed, failed(found)


LEAKS: dict[str, Change] = {
    "memory of api": lambda one, hours: replace(
        one, rss_mib={**one.rss_mib, "api": one.rss_mib["api"] + 100 * hours}
    ),
    "open descriptors of worker": lambda one, hours: replace(
        one, descriptors={**one.descriptors, "worker": one.descriptors["worker"] + 120 * hours // 1}
    ),
    "event-loop tasks of api": lambda one, hours: replace(
        one, tasks={**one.tasks, "api": one.tasks["api"] + 300 * hours}
    ),
    "database connections": lambda one, hours: replace(
        one, connections=one.connections + 60 * hours // 1
    ),
    "tables": lambda one, hours: replace(one, table_bytes=one.table_bytes * (1 + 3 * hours)),
    "indexes": lambda one, hours: replace(one, index_bytes=one.index_bytes * (1 + 3 * hours)),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_fails_its_own_check_alone(name: str) -> None:
    assert failed(verdict(recorded(LEAKS[name]))) == [name]


def test_answers_that_become_slower_fail() -> None:
    def slower(one: Arrival, hours: float) -> Arrival:
        return arrival(one.due_at, one.ended_s * (1 + 4 * hours))

    assert failed(verdict(recorded(), flows(slower))) == ["P95 of flows"]


def test_refused_and_failed_flows_fail() -> None:
    def some(one: Arrival, hours: float) -> Arrival:
        reset = (Outcome.FAILED, "read: ConnectionResetError")
        return arrival(one.due_at, one.ended_s, outcome=reset) if hours > 0.16 else one

    found = verdict(recorded(), flows(some))
    assert {"flows served", "flows neither served nor shed"} <= set(failed(found))


def test_a_measure_that_could_not_be_read_does_not_pass() -> None:
    unread = recorded(lambda one, _hours: replace(one, connections=math.nan))
    assert failed(verdict(unread)) == ["database connections"]


def test_a_table_that_grows_with_payments_is_level_by_payment() -> None:
    by_name: dict[str, Measure] = {one.name: one for one in measures(recorded(), LEVEL)}
    found = by_name["tables"].trend
    assert found is not None
    assert found.level == pytest.approx(3_000, rel=0.02)


def test_windows_have_the_arrivals_that_were_due_in_them() -> None:
    slow_end = flows(lambda one, hours: arrival(one.due_at, 2.0) if hours > 0.15 else one)
    values = slow_end.p95().values
    assert len(values) == 40
    assert max(values[:35]) < 200
    assert min(values[36:]) == pytest.approx(2_000)
