"""The mix and the phases are those of the requirements, and time runs through them."""

import itertools

import pytest

from loadtest.profile import MIX, PROFILES, RAMP_S, SMOKE, STANDARD, Profile, Task, users_at
from service.slo import LOAD_USERS


def test_the_mix_is_the_required_one() -> None:
    assert MIX == {Task.PAY: 70, Task.STATUS: 15, Task.CANCEL: 10, Task.HEALTH: 5}
    assert sum(MIX.values()) == 100


def test_the_standard_phases_are_the_required_ones() -> None:
    assert [phase.users for phase in STANDARD.phases] == [50, 200, 500, 1000, 1500, 100]
    assert STANDARD.peak_users >= LOAD_USERS


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
