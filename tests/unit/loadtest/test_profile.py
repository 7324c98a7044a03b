"""The mix and the phases are those of the requirements, and time runs through them."""

import itertools

import pytest

from loadtest.profile import (
    DOUBLE,
    FULL,
    MIX,
    MOST_INTERVALS,
    PROFILES,
    RAMP_S,
    REQUESTS_A_TASK,
    SHORT,
    SMOKE,
    Phase,
    Profile,
    Task,
    least_throughput,
    users_at,
)
from service.slo import LOAD_USERS


def test_the_mix_is_the_required_one() -> None:
    assert MIX == {Task.PAY: 70, Task.STATUS: 15, Task.CANCEL: 10, Task.HEALTH: 5}
    assert sum(MIX.values()) == 100


def test_the_phases_of_full_are_the_required_ones() -> None:
    assert [phase.users for phase in FULL.phases] == [50, 200, 500, 1000, 1500, 100]
    assert FULL.phases[FULL.peak_phase].users == FULL.peak_users >= LOAD_USERS


def test_double_goes_to_three_thousand_users() -> None:
    assert DOUBLE.peak_users == 3000
    assert [phase.duration_s for phase in DOUBLE.phases] == [p.duration_s for p in FULL.phases]


def test_short_has_the_phases_of_full_in_small() -> None:
    assert len(SHORT.phases) == len(FULL.phases)
    assert SHORT.peak_phase == FULL.peak_phase
    assert 120 <= SHORT.duration_s <= 180


def test_the_least_throughput_is_that_of_slow_answers() -> None:
    profile = Profile("p", "", (Phase(100, 20), Phase(300, 20)), (1.0, 3.0))
    # 200 users on average while 200 more arrive in 10 s, then 300
    users = (200 * 10 + 300 * 10) / 20
    assert least_throughput(profile, 1, 0) == users * REQUESTS_A_TASK / 2.0
    assert least_throughput(profile, 1, 1.2) == pytest.approx(
        users * REQUESTS_A_TASK / (2.0 + REQUESTS_A_TASK * 1.2)
    )


@pytest.mark.parametrize("hours", [1, 12])
def test_a_long_run_has_no_more_points_than_a_chart_shows(hours: int) -> None:
    profile = Profile("p", "", (Phase(10, hours * 3600),), (1.0, 1.0))
    assert profile.duration_s / profile.interval_s <= MOST_INTERVALS


def test_a_smoke_run_is_short_and_small() -> None:
    assert SMOKE.duration_s == 60
    assert SMOKE.peak_users <= 20


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_time_runs_through_every_phase_and_ends(profile: Profile) -> None:
    seen = [users_at(profile, second) for second in range(profile.duration_s)]
    users = [answer[0] for answer in seen if answer is not None]
    assert len(users) == profile.duration_s
    assert [key for key, _ in itertools.groupby(users)] == [p.users for p in profile.phases]
    assert users_at(profile, profile.duration_s) is None


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_each_phase_reaches_its_users_within_the_ramp(profile: Profile) -> None:
    at = before = 0
    for phase in profile.phases:
        answer = users_at(profile, at)
        assert answer is not None
        assert answer[1] * RAMP_S >= abs(phase.users - before)
        assert phase.duration_s >= RAMP_S
        before, at = phase.users, at + phase.duration_s
