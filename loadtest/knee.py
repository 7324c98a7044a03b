"""The knee of the load curve, and what happens past it: from arrivals to figures. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, isnan, nan
from typing import Final

from loadtest.arrivals import Arrival, Outcome, Stage
from service.slo import KNEE_GOOD_RATIO, KNEE_P95_S

LAG_RATIO: Final = 0.1
"""Of the response time: a load generator that adds more than that measures itself."""
LAG_FLOOR_S: Final = 0.02
"""A timer that fires as late as this is usual on a machine that has other work."""

WINDOW_S: Final = 1.0
CALM_WINDOWS: Final = 3
"""Windows in a row that must be good again: one alone may be chance."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a stress run goes: rates are arrivals a second, and the last three go by the knee."""

    name: str
    first_rate: float
    factor: float
    step_s: float
    overloads: tuple[float, ...]
    overload_s: float
    back: float
    back_s: float
    most_steps: int = 32

    def rate(self, step: int) -> float:
        """Return the rate of a step, the first of which is 0."""
        return self.first_rate * self.factor**step


STANDARD: Final = Course("stress", 20.0, 1.25, 12.0, (1.5, 2.0), 20.0, 0.5, 20.0)
SMOKE: Final = Course("smoke", 10.0, 1.6, 5.0, (1.5, 2.0), 8.0, 0.5, 10.0, most_steps=14)


@dataclass(frozen=True)
class StageResult:
    """A stage and its arrivals, in the order in which they were due."""

    stage: Stage
    label: str
    arrivals: Sequence[Arrival]

    def count(self, outcome: Outcome) -> int:
        """Return how many arrivals ended so."""
        return self._outcomes[outcome]

    def rate_of(self, outcome: Outcome) -> float:
        """Return how many arrivals a second ended so."""
        return self.count(outcome) / self.stage.seconds

    @property
    def offered(self) -> float:
        """Return the arrivals a second that there were: a Poisson process scatters."""
        return len(self.arrivals) / self.stage.seconds

    @property
    def good_ratio(self) -> float:
        """Return the fraction of arrivals that were served; 0 when there were none."""
        return self.count(Outcome.GOOD) / len(self.arrivals) if self.arrivals else 0.0

    def quantile_s(self, q: float) -> float:
        """Return what the fraction `q` of the good ones did not exceed; NaN without any."""
        return quantile(self._good_s, q)

    @cached_property
    def pay_p95_s(self) -> float:
        """Return the P95 of payment requests that were accepted."""
        return quantile(sorted(a.pay_s for a in self._good if a.pay_s is not None), 0.95)

    @cached_property
    def lag_p95_s(self) -> float:
        """Return the P95 of how late the load generator started flows."""
        return quantile(sorted(arrival.started_s for arrival in self.arrivals), 0.95)

    @cached_property
    def kinds(self) -> Mapping[str, int]:
        """Return how often each other answer than the flow's came."""
        return Counter(arrival.what for arrival in self.arrivals if arrival.what)

    @cached_property
    def failures(self) -> Mapping[str, int]:
        """Return what came to those that were neither served nor refused as they should be."""
        bad = (Outcome.FAILED, Outcome.UNSENT)
        return Counter(arrival.what for arrival in self.arrivals if arrival.outcome in bad)

    @property
    def holds(self) -> bool:
        """Return whether this rate is below the knee: nearly all served, and in time."""
        return holds(self.arrivals)

    @property
    def generator_kept_up(self) -> bool:
        """Return whether the response times are the service's, and not the generator's own."""
        lag_s, p95_s = self.lag_p95_s, self.quantile_s(0.95)
        allowed_s = LAG_FLOOR_S if isnan(p95_s) else max(LAG_FLOOR_S, LAG_RATIO * p95_s)
        return lag_s <= allowed_s

    @cached_property
    def _outcomes(self) -> Mapping[Outcome, int]:
        return Counter(arrival.outcome for arrival in self.arrivals)

    @cached_property
    def _good(self) -> Sequence[Arrival]:
        return [arrival for arrival in self.arrivals if arrival.outcome is Outcome.GOOD]

    @cached_property
    def _good_s(self) -> Sequence[float]:
        return sorted(arrival.ended_s for arrival in self._good)


def holds(arrivals: Sequence[Arrival]) -> bool:
    """Return whether nearly all were served, and in time; False when there were none."""
    good = sorted(a.ended_s for a in arrivals if a.outcome is Outcome.GOOD)
    return (
        bool(good)
        and len(good) >= KNEE_GOOD_RATIO.value * len(arrivals)
        and quantile(good, 0.95) <= KNEE_P95_S.value
    )


def quantile(ordered: Sequence[float], q: float) -> float:
    """Return what the fraction `q` of the ordered values does not exceed; NaN without any."""
    return ordered[max(0, ceil(q * len(ordered)) - 1)] if ordered else nan


def results(
    stages: Iterable[tuple[Stage, str]], arrivals: Iterable[Arrival]
) -> tuple[StageResult, ...]:
    """Return each stage, which has a label, with its arrivals."""
    by_stage: dict[int, list[Arrival]] = {}
    for arrival in arrivals:
        by_stage.setdefault(arrival.stage, []).append(arrival)
    return tuple(
        StageResult(
            stage, label, sorted(by_stage.get(stage.number, ()), key=lambda one: one.due_at)
        )
        for stage, label in stages
    )


def find_knee(steps: Sequence[StageResult]) -> StageResult | None:
    """Return the step with the highest rate that holds; None if none does."""
    return max((step for step in steps if step.holds), key=lambda one: one.stage.rate, default=None)


def recovery_s(back: StageResult) -> float:
    """Return the seconds from the end of the overload until the knee's limits hold again.

    That is the start of the first window after which three in a row hold; NaN if none are.
    """
    count = int(back.stage.seconds // WINDOW_S)
    windows: list[list[Arrival]] = [[] for _ in range(count)]
    for arrival in back.arrivals:
        number = int((arrival.due_at - back.stage.starts_at) // WINDOW_S)
        if number < count:
            windows[number].append(arrival)
    calm = [holds(window) for window in windows]
    for number in range(count - CALM_WINDOWS + 1):
        if all(calm[number : number + CALM_WINDOWS]):
            return number * WINDOW_S
    return nan
