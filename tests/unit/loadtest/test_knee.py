"""Where the knee is, whether the generator kept up, and how long the way back takes."""

import math

import pytest

from loadtest.arrivals import Outcome, Stage
from loadtest.knee import SMOKE, STANDARD, Course, StageResult, find_knee, recovery_s, results
from tests.unit.loadtest.open_model import START_S, arrival, stage


@pytest.mark.parametrize(
    ("served", "took_s", "holds"),
    [(1.0, 0.1, True), (0.98, 0.5, True), (0.97, 0.1, False), (1.0, 0.501, False)],
)
def test_a_rate_holds_when_nearly_all_are_served_in_time(
    served: float,
    took_s: float,
    holds: bool,  # noqa: FBT001  a parameter
) -> None:
    assert stage(100, served=served, took_s=took_s).holds is holds


def test_without_arrivals_nothing_holds() -> None:
    assert not StageResult(Stage(1, START_S, 10, 10), "10/s", []).holds


def test_the_knee_is_the_highest_rate_that_holds() -> None:
    hiccup = stage(50, took_s=0.9)
    steps = [stage(40), hiccup, stage(50, label="again"), stage(80), stage(100, served=0.5)]
    knee = find_knee(steps)
    assert knee is steps[3]
    assert find_knee([hiccup]) is None


def test_a_late_start_counts_as_response_time_and_against_the_generator() -> None:
    """Lag and response time count from the schedule, so a slow generator is seen in both."""
    assert stage(100, took_s=0.1, lag_s=0.009).generator_kept_up
    assert stage(100, took_s=0.1, lag_s=0.02).generator_kept_up
    assert not stage(100, took_s=0.1, lag_s=0.021).generator_kept_up
    assert stage(100, took_s=2.0, lag_s=0.19).generator_kept_up
    assert not stage(100, took_s=2.0, lag_s=0.3).generator_kept_up


def back(*seconds: tuple[float, Outcome]) -> StageResult:
    """Return a stage of which each second has its own response time and outcome."""
    arrivals = [
        arrival(START_S + second + n / 50, took_s, outcome=(outcome, ""))
        for second, (took_s, outcome) in enumerate(seconds)
        for n in range(50)
    ]
    return StageResult(Stage(1, START_S, 50, len(seconds)), "back", arrivals)


GOOD, SLOW, SHED = (0.1, Outcome.GOOD), (3.0, Outcome.GOOD), (0.01, Outcome.SHED)


def test_recovery_ends_when_three_seconds_in_a_row_are_good() -> None:
    assert recovery_s(back(*[GOOD] * 10)) == 0
    assert recovery_s(back(SLOW, SHED, *[GOOD] * 8)) == 2
    assert recovery_s(back(SLOW, GOOD, GOOD, SLOW, *[GOOD] * 6)) == 4


def test_a_hiccup_after_the_recovery_is_none_of_it() -> None:
    assert recovery_s(back(SLOW, GOOD, GOOD, GOOD, SLOW, GOOD)) == 1


def test_a_service_that_stays_slow_never_recovers() -> None:
    assert math.isnan(recovery_s(back(*[SLOW] * 10)))


def test_arrivals_are_sorted_into_their_stages() -> None:
    stages = [(Stage(1, 0, 1, 5), "first"), (Stage(2, 5, 1, 5), "second")]
    found = results(stages, [arrival(6, number=2), arrival(3), arrival(1), arrival(9, number=4)])
    assert [[one.due_at for one in each.arrivals] for each in found] == [[1, 3], [6]]


def test_figures_of_a_stage() -> None:
    one = stage(100, served=0.6, took_s=0.2)
    assert one.offered == 100
    assert (one.rate_of(Outcome.GOOD), one.rate_of(Outcome.SHED)) == (60, 40)
    assert one.quantile_s(0.95) == 0.2
    assert one.pay_p95_s == 0.1
    assert dict(one.kinds) == {"order: 503 overloaded": 400}
    assert not one.failures


@pytest.mark.parametrize("course", [SMOKE, STANDARD])
def test_steps_rise_far_enough_to_find_a_knee(course: Course) -> None:
    assert course.rate(0) == course.first_rate
    assert course.rate(course.most_steps - 1) > 2_000
