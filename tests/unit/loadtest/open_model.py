"""Stages and arrivals as a stress run would measure them."""

from loadtest.arrivals import Arrival, Outcome, Stage
from loadtest.knee import StageResult
from loadtest.money import Money, Reconciliation

START_S = 1_000.0
SHED = "order: 503 overloaded"


def stage(
    rate: float,
    *,
    label: str = "",
    number: int = 1,
    seconds: float = 10.0,
    took_s: float = 0.1,
    served: float = 1.0,
    rest: tuple[Outcome, str] = (Outcome.SHED, SHED),
    lag_s: float = 0.001,
) -> StageResult:
    """Return a stage with even arrivals, of which a fraction is served and the rest is not."""
    count = round(rate * seconds)
    arrivals = [
        arrival(
            START_S + n / rate,
            took_s,
            number=number,
            lag_s=lag_s,
            outcome=(Outcome.GOOD, "") if (n * 7_919 % count) < served * count else rest,
        )
        for n in range(count)
    ]
    return StageResult(Stage(number, START_S, rate, seconds), label or f"{rate:.0f}/s", arrivals)


def arrival(
    due_at: float,
    took_s: float = 0.1,
    *,
    number: int = 1,
    lag_s: float = 0.001,
    outcome: tuple[Outcome, str] = (Outcome.GOOD, ""),
) -> Arrival:
    pay_s = took_s / 2 if outcome[0] is Outcome.GOOD else None
    return Arrival(number, due_at, lag_s, took_s, outcome[0], pay_s, outcome[1])


def good_money(charges: int = 1_000_000) -> Money:
    return Money({"books_balance": 0}, {"outbox": 0}, Reconciliation(None, charges, charges, ()))
