"""Objectives: what has been good and bad, and how fast the error budget burns.

Multi-window, multi-burn-rate alerts after the Google SRE workbook, chapter 5. The long window says
that it matters, the short one that it still goes on. Ratios over days come from recorded rates: a
few thousand samples instead of millions. A burn needs five bad events in its long window, so that
one failure of a quiet night is none; a minimum of traffic would hide an outage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from alerts.links import OBJECTIVES_DASHBOARD
from alerts.model import (
    EVALUATION_INTERVAL_S,
    RULES,
    SERVICE,
    STACK,
    Alert,
    Area,
    ForDuration,
    Recording,
    Severity,
    ValueFormat,
)
from alerts.promql import OneOf, OverTime, above, both, either, ratio, times
from service.metric_catalog import PAYMENT_DURATION, PAYMENTS, Metric
from service.metric_model import gauge
from service.slo import (
    BURN_LEAST,
    BURN_WINDOWS,
    ERROR_STATUSES,
    PAYMENT_AVAILABILITY,
    PAYMENT_LATENCY,
    PAYMENT_LATENCY_P95_S,
    BurnWindow,
    Objective,
)

RATE_WINDOW: Final = "5m"
UNSEEN: Final = 1.0
"""Rates added up see nine tenths of a lone event: with one fewer asked for, five count as five."""

MONTH_INTERVAL: Final = "5m"
"""A month's ratio hardly moves in five minutes, and costs as much as all others together."""


def recorded(name: str, text: str) -> Metric:
    """Return what a recording rule makes, one series a namespace: level:metric:operation."""
    return gauge(f"namespace:{name}", text)


@dataclass(frozen=True)
class Budget:
    """An objective with the rates of its bad events and of all, as expressions by namespace."""

    objective: Objective
    title: str
    bad: str
    every: str

    @property
    def _name(self) -> str:
        return self.objective.name.replace("-", "_")

    @property
    def bad_rate(self) -> Metric:
        """Bad events a second."""
        return recorded(f"{self._name}_bad:rate{RATE_WINDOW}", "Bad events a second.")

    @property
    def every_rate(self) -> Metric:
        """All events a second."""
        return recorded(f"{self._name}_all:rate{RATE_WINDOW}", "Events a second.")

    def error_ratio(self, window: str) -> Metric:
        """Return the fraction of bad events over a window, 0 to 1."""
        return recorded(f"{self._name}_bad:ratio_rate{window}", "The fraction of bad events.")

    @property
    def remaining(self) -> Metric:
        """What is left of the error budget: 1 is all, 0 nothing, below 0 overspent."""
        return recorded(
            f"{self._name}_budget:remaining{self.objective.window}", "What is left of the budget."
        )

    def rates(self) -> tuple[Recording, ...]:
        """Return the rules of the rates, and of the ratio over the shortest window."""
        short = ratio(RULES.plain(self.bad_rate), RULES.plain(self.every_rate))
        return (
            Recording(self.bad_rate, self.bad),
            Recording(self.every_rate, self.every),
            Recording(self.error_ratio(RATE_WINDOW), short),
        )

    def ratio_over(self, window: str) -> Recording:
        """Return the rule of the ratio over a longer window."""
        over = OverTime("sum", window)
        expression = ratio(RULES.plain(self.bad_rate, over), RULES.plain(self.every_rate, over))
        return Recording(self.error_ratio(window), expression)

    def left(self) -> Recording:
        """Return the rule of what is left of the budget."""
        spent = RULES.plain(self.error_ratio(self.objective.window))
        return Recording(self.remaining, f"1 - {spent} / {self.objective.error_budget:g}")

    def burning(self, windows: Sequence[BurnWindow]) -> str:
        """Return the error ratio where one of the windows burns too fast, on enough events."""
        return either(*map(self._burning, windows))

    def _burning(self, window: BurnWindow) -> str:
        limit = round(window.factor * self.objective.error_budget, 6)
        counted = RULES.plain(self.bad_rate, OverTime("sum", window.long))
        return both(
            above(RULES.plain(self.error_ratio(window.long)), limit),
            above(RULES.plain(self.error_ratio(window.short)), limit),
            above(times(EVALUATION_INTERVAL_S, counted), BURN_LEAST.value - UNSEEN),
        )


AVAILABILITY: Final = Budget(
    PAYMENT_AVAILABILITY,
    "availability",
    SERVICE.rate(PAYMENTS, RATE_WINDOW, STACK, status=OneOf(ERROR_STATUSES)),
    SERVICE.rate(PAYMENTS, RATE_WINDOW, STACK),
)
LATENCY: Final = Budget(
    PAYMENT_LATENCY,
    "latency",
    SERVICE.slower(PAYMENT_DURATION, PAYMENT_LATENCY_P95_S.warning, RATE_WINDOW, STACK),
    SERVICE.rate(PAYMENT_DURATION, RATE_WINDOW, STACK),
)
BUDGETS: Final = (AVAILABILITY, LATENCY)

PAGE: Final = tuple(window for window in BURN_WINDOWS if window.severity == "critical")
TICKET: Final = tuple(window for window in BURN_WINDOWS if window.severity == "warning")


def _windows() -> tuple[str, ...]:
    named = [name for window in BURN_WINDOWS for name in (window.short, window.long)]
    return tuple(name for name in dict.fromkeys(named) if name != RATE_WINDOW)


def _why(windows: Sequence[BurnWindow]) -> str:
    rates = ", ".join(f"{w.factor:g} times over {w.long} and {w.short}" for w in windows)
    return (
        f"the budget burns {rates} as fast as it may (SRE workbook, chapter 5); at least "
        f"{BURN_LEAST.value:g} {BURN_LEAST.why}"
    )


def fast(budget: Budget) -> Alert:
    """Return the page: the month's budget would be gone within days."""
    promise = budget.objective.target
    return Alert(
        name=f"{budget.title.capitalize()}BudgetBurnFast",
        expression=budget.burning(PAGE),
        for_duration=ForDuration("2m", "four evaluations; the two windows are the actual duration"),
        severity=Severity.CRITICAL,
        summary=f"The error budget of payment {budget.title} burns fast",
        description=f"{{value}} of the payments of {{namespace}} were bad over the long window; "
        f"the objective is {promise:.1%} good ones over {budget.objective.window}.",
        value_format=ValueFormat.PERCENTAGE,
        why=_why(PAGE),
        dashboard=OBJECTIVES_DASHBOARD,
    )


def slow(budget: Budget) -> Alert:
    """Return the ticket: the budget won't last the month."""
    promise = budget.objective.target
    return Alert(
        name=f"{budget.title.capitalize()}BudgetBurnSlow",
        expression=budget.burning(TICKET),
        for_duration=ForDuration("15m", "short beside windows of hours and days"),
        severity=Severity.WARNING,
        summary=f"The error budget of payment {budget.title} won't last the month",
        description=f"{{value}} of the payments of {{namespace}} were bad over the long window; "
        f"the objective is {promise:.1%} good ones over {budget.objective.window}.",
        value_format=ValueFormat.PERCENTAGE,
        why=_why(TICKET),
        dashboard=OBJECTIVES_DASHBOARD,
    )


RECORDED: Final = Area(
    "objectives",
    recordings=(
        *(rule for budget in BUDGETS for rule in budget.rates()),
        *(budget.ratio_over(window) for budget in BUDGETS for window in _windows()),
    ),
)
MONTH: Final = Area(
    "objectives-month",
    recordings=tuple(
        rule
        for budget in BUDGETS
        for rule in (budget.ratio_over(budget.objective.window), budget.left())
    ),
    interval=MONTH_INTERVAL,
)
AREA: Final = Area("budgets", tuple(make(budget) for budget in BUDGETS for make in (fast, slow)))
