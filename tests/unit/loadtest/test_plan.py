"""The plan reaches the load generator whole, and nobody else."""

import stat
from pathlib import Path

from loadtest.plan import Plan, read_plan
from loadtest.profile import FULL


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    plan = Plan(FULL, ("a", "b"), workers=2)
    plan.write(tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan


def test_the_tokens_are_for_the_owner_of_the_file_only(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.touch(mode=0o644)  # from a run that was killed
    Plan(FULL, ("a",)).write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_two_workers_have_the_same_person() -> None:
    tokens = tuple("abcdefg")
    plan = Plan(FULL, tokens, workers=3)
    shares = [plan.tokens_of(worker) for worker in range(3)]
    assert sorted(token for share in shares for token in share) == list(tokens)
    assert {len(share) for share in shares} == {2, 3}
