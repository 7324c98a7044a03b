"""Objectives: what is left of each error budget, its burn rate, and latency."""

from typing import Final

from alerts.budgets import AREA, AVAILABILITY, BUDGETS, LATENCY, Budget
from alerts.links import OBJECTIVES_DASHBOARD
from alerts.model import Alert
from alerts.payments import LATENCY_CRITICAL, LATENCY_HIGH
from dashboards.panels import (
    Dashboard,
    Panel,
    Query,
    Row,
    falling,
    heatmap,
    rising,
    stat,
    timeseries,
)
from dashboards.queries import (
    LATENCY_THRESHOLDS,
    NEVER,
    RECORDED,
    SHOWN,
    USUAL,
    WINDOW,
    latest,
    p95,
    quantiles,
)
from dashboards.rollout import DEPLOYMENTS
from service.metric_catalog import PAID_NOT_GRANTED, PAYMENT_DURATION
from service.slo import BURN_WINDOWS, GRANT_FRESHNESS_S, PAYMENT_LATENCY_P95_S

LEFT_THRESHOLDS: Final = falling(0.5, 0.1)
"""Below a half, plan fewer risky changes; below a tenth, none but fixes."""
BURN_THRESHOLDS: Final = rising(
    min(window.factor for window in BURN_WINDOWS),
    min(window.factor for window in BURN_WINDOWS if window.severity == "critical"),
)


def alerts_of(budget: Budget) -> tuple[Alert, ...]:
    """Return the alerts about a budget."""
    return tuple(alert for alert in AREA.alerts if alert.name.lower().startswith(budget.title))


def left(budget: Budget) -> Panel:
    """Return what is left of a budget now, in the worst stack."""
    promise = budget.objective
    return stat(
        f"Budget of {budget.title}",
        f"What is left for {promise.window}: {promise.description}, {promise.target:.1%} of them. "
        "Below 0 %, reliability goes before features.",
        RECORDED.gauge(budget.remaining, "min"),
        "percent",
        LEFT_THRESHOLDS,
        alerts_of(budget),
    )


def good(budget: Budget) -> Panel:
    """Return the good fraction over the objective's whole window."""
    promise = budget.objective
    worst = RECORDED.gauge(budget.error_ratio(promise.window), "max")
    return stat(
        f"Good over {promise.window}: {budget.title}",
        f"The objective is {promise.target:.1%}.",
        f"1 - {worst}",
        "percent",
        falling(promise.target, promise.target - promise.error_budget),
    )


def burn(budget: Budget) -> Panel:
    """Return how many times too fast the budget burns, over each window."""
    windows = dict.fromkeys(name for one in BURN_WINDOWS for name in (one.long, one.short))
    pages = [f"{w.factor:g} over {w.long} and {w.short}" for w in BURN_WINDOWS]
    return timeseries(
        f"Burn rate of {budget.title}",
        f"At 1 the budget ends exactly with the window. Alerts fire above {', '.join(pages)}.",
        (
            Query(
                f"{RECORDED.gauge(budget.error_ratio(window), 'max')} "
                f"/ {budget.objective.error_budget:g}",
                window,
            )
            for window in windows
        ),
        "times",
        thresholds=BURN_THRESHOLDS,
        alerts=alerts_of(budget),
    )


def remaining(budget: Budget) -> Panel:
    """Return what was left of a budget over time, by stack."""
    return timeseries(
        f"Budget of {budget.title} over time",
        "By stack. Below 0 it is overdrawn. It recovers as bad hours leave the window.",
        (Query(RECORDED.gauge(budget.remaining, "min", ("namespace",)), "{{namespace}}"),),
        "percent",
        signed=True,
        alerts=alerts_of(budget),
    )


LATENCY_LINES: Final = (
    (
        timeseries(
            "Latency P50, P95, P99",
            f"Of payment requests. Why these limits: {PAYMENT_LATENCY_P95_S.why}.",
            quantiles(PAYMENT_DURATION),
            "seconds",
            thresholds=LATENCY_THRESHOLDS,
            alerts=(LATENCY_HIGH, LATENCY_CRITICAL),
        ),
        timeseries(
            "Latency P95 by status",
            "Slow failures are timeouts; slow successes are load.",
            (p95(PAYMENT_DURATION, "status"),),
            "seconds",
            thresholds=LATENCY_THRESHOLDS,
            alerts=(LATENCY_HIGH, LATENCY_CRITICAL),
        ),
        heatmap(
            "Payment durations",
            "Payments a second by how long they took.",
            SHOWN.buckets(PAYMENT_DURATION, WINDOW),
            "seconds",
        ),
    ),
)

FRESHNESS: Final = stat(
    "Grants that are late",
    f"Orders paid more than {GRANT_FRESHNESS_S} s ago whose games are not granted. The objective "
    "is none.",
    latest(PAID_NOT_GRANTED).expression,
    "count",
    NEVER,
)

OBJECTIVES: Final = Dashboard(
    uid=OBJECTIVES_DASHBOARD,
    title="Coinslot / Objectives",
    description="Are the objectives met, and how much of the error budgets is left this month?",
    variables=USUAL,
    rows=(
        Row("Now", ((*map(left, BUDGETS), *map(good, BUDGETS), FRESHNESS),)),
        Row("Availability", ((burn(AVAILABILITY), remaining(AVAILABILITY)),)),
        Row("Latency budget", ((burn(LATENCY), remaining(LATENCY)),)),
        Row("Latency", LATENCY_LINES),
    ),
    annotations=DEPLOYMENTS,
)
