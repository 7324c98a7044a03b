"""Each check of a stress run fails for what it is there for, and for nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from loadtest.arrivals import Outcome
from loadtest.knee import StageResult
from loadtest.stress_verdict import StressResults, evaluate
from loadtest.verdict import Verdict
from tests.unit.loadtest.open_model import good_money, stage

STEPS = (stage(80), stage(100), stage(125, took_s=0.8))
BACK = stage(50, label="0.5 times the knee")


def over(times: float, **changes: object) -> StageResult:
    given: dict[str, object] = {"served": 1 / times, "took_s": 1.5, **changes}
    return stage(100 * times, label=f"{times:g} times the knee", **given)  # type: ignore[arg-type]


GOOD = StressResults(STEPS, (over(1.5), over(2.0)), BACK)


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.passed]


def test_a_service_that_sheds_and_recovers_passes() -> None:
    verdict = evaluate(GOOD, good_money())
    assert verdict.passed, failed(verdict)
    assert not GOOD.late


def reset(times: float) -> StageResult:
    return over(times, rest=(Outcome.FAILED, "pay: ConnectionResetError"))


BROKEN: dict[str, Callable[[], StressResults]] = {
    "knee": lambda: StressResults(STEPS[2:], (), None),
    "steps past the knee": lambda: replace(GOOD, steps=STEPS[:2]),
    "served at 2 times the knee": lambda: replace(
        GOOD, overloads=(over(1.5), over(2.0, served=0.39))
    ),
    "neither served nor shed at 2 times the knee": lambda: replace(
        GOOD, overloads=(over(1.5), reset(2.0))
    ),
    "P95 of accepted payments at 1.5 times the knee": lambda: replace(
        GOOD, overloads=(over(1.5, took_s=4.2), over(2.0))
    ),
    "shed past the knee": lambda: replace(
        GOOD, overloads=(over(1.5, served=1.0), over(2.0, served=1.0))
    ),
    "as before at 0.5 times the knee": lambda: replace(
        GOOD, back=stage(50, label=BACK.label, took_s=3)
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_one_broken_thing_fails_its_check_alone(name: str) -> None:
    assert failed(evaluate(BROKEN[name](), good_money())) == [name]


def test_a_flow_that_takes_too_long_fails_with_its_payment() -> None:
    slow = replace(GOOD, overloads=(over(1.5), over(2.0, took_s=5.5)))
    assert failed(evaluate(slow, good_money())) == [
        "P95 of accepted payments at 2 times the knee",
        "P95 of flows served at 2 times the knee",
    ]


def test_money_that_is_missing_at_the_provider_fails() -> None:
    assert "charges at the provider, reconciled" in failed(evaluate(GOOD, good_money(charges=10)))


def test_a_generator_that_is_late_is_named_and_not_the_service() -> None:
    late = over(2.0, lag_s=0.4)
    assert replace(GOOD, overloads=(over(1.5), late)).late == [late]
