"""Whether a stress run passed: a knee, refusals as they should be, no collapse, recovery. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan

from loadtest.arrivals import Outcome
from loadtest.knee import StageResult, find_knee, recovery_s
from loadtest.money import Money
from loadtest.verdict import Check, Verdict, money_checks
from service.slo import (
    KNEE_GOOD_RATIO,
    KNEE_P95_S,
    OVERLOAD_FLOW_P95_S,
    OVERLOAD_GOOD_RATIO,
    OVERLOAD_P95_S,
    RECOVERY_S,
)


@dataclass(frozen=True)
class StressResults:
    """The steps up to the knee and past it, the overloads by the knee, and the way back."""

    steps: Sequence[StageResult]
    overloads: Sequence[StageResult]
    back: StageResult | None

    @cached_property
    def knee(self) -> StageResult | None:
        """Return the highest step that holds."""
        return find_knee(self.steps)

    @property
    def stages(self) -> Sequence[StageResult]:
        """Return all of them, in order."""
        return (*self.steps, *self.overloads, *((self.back,) if self.back else ()))

    @property
    def paid(self) -> int:
        """Return the flows that were paid; a payment whose look-up failed is not one of them."""
        return sum(one.count(Outcome.GOOD) for one in self.stages)

    @property
    def late(self) -> Sequence[StageResult]:
        """Return the stages of which the generator was the limit."""
        return [one for one in (*self.steps, *self.overloads) if not one.generator_kept_up]


def evaluate(results: StressResults, money: Money) -> Verdict:
    """Return the verdict on a run whose load generator kept up."""
    return Verdict(
        (*_knee(results), *_past(results), *_back(results), *money_checks(money, results.paid))
    )


def _knee(results: StressResults) -> Iterator[Check]:
    knee = results.knee
    limits = f"{KNEE_GOOD_RATIO.value:.0%} served, P95 up to {KNEE_P95_S.value * 1000:.0f} ms"
    yield Check(
        "knee",
        f"a rate with {limits}",
        f"{knee.offered:.0f} flows/s, P95 {_ms(knee.quantile_s(0.95))}" if knee else "none",
        knee is not None,
    )
    yield Check(
        "steps past the knee",
        "at least 1, or it was not found",
        f"{sum(not step.holds for step in results.steps)}",
        any(not step.holds for step in results.steps),
    )


def _past(results: StressResults) -> Iterator[Check]:
    if results.knee is None:
        return
    least = OVERLOAD_GOOD_RATIO.value * results.knee.rate_of(Outcome.GOOD)
    for one in results.overloads:
        good, pay_s, flow_s = one.rate_of(Outcome.GOOD), one.pay_p95_s, one.quantile_s(0.95)
        failed = one.failures
        yield Check(
            f"served at {one.label}", f"at least {least:.0f}/s", f"{good:.0f}/s", good >= least
        )
        yield Check(
            f"neither served nor shed at {one.label}",
            "0: what is refused gets 503, overloaded and Retry-After",
            "; ".join(f"{n} {what}" for what, n in failed.items()) or "0",
            not failed,
        )
        yield _p95(f"P95 of accepted payments at {one.label}", pay_s, OVERLOAD_P95_S.value)
        yield _p95(f"P95 of flows served at {one.label}", flow_s, OVERLOAD_FLOW_P95_S.value)
    shed = sum(one.count(Outcome.SHED) for one in results.overloads)
    yield Check("shed past the knee", "more than 0", f"{shed}", shed > 0)


def _back(results: StressResults) -> Iterator[Check]:
    if results.back is None:
        return
    seconds = recovery_s(results.back)
    yield Check(
        f"as before at {results.back.label}",
        f"within {RECOVERY_S.value:.0f} s",
        "not at all" if isnan(seconds) else f"after {seconds:.0f} s",
        seconds <= RECOVERY_S.value,
    )


def _p95(name: str, seconds: float, limit_s: float) -> Check:
    return Check(name, f"up to {limit_s * 1000:.0f} ms", _ms(seconds), seconds <= limit_s)


def _ms(seconds: float) -> str:
    return "none" if isnan(seconds) else f"{seconds * 1000:.0f} ms"
