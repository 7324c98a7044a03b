"""How much is paid: the distribution of amounts, of one currency at a time."""

from typing import Final

from alerts.links import AMOUNTS_DASHBOARD
from alerts.promql import OneOf, Pattern, either, ratio
from dashboards.common import HIGH_VALUE_FAILURES
from dashboards.panels import Dashboard, Query, Row, heatmap, stat, timeseries
from dashboards.queries import (
    CURRENCY,
    QUANTILES,
    SHOWN,
    USUAL,
    WINDOW,
    grouped,
)
from dashboards.rollout import DEPLOYMENTS
from service.metric_catalog import PAYMENT_AMOUNT
from service.slo import HIGH_VALUE, HIGH_VALUE_MINOR

CHOSEN: Final = Pattern("$currency")


def quantile(q: float) -> str:
    """Return a quantile of the amounts in the chosen currency, in minor units."""
    return SHOWN.quantile(q, PAYMENT_AMOUNT, WINDOW, currency=CHOSEN)


def high_value() -> str:
    """Return the payments per second above each currency's own limit, by currency."""
    borders = sorted(set(HIGH_VALUE_MINOR.values()))
    codes = [
        OneOf(tuple(c for c, minor in HIGH_VALUE_MINOR.items() if minor == border))
        for border in borders
    ]
    return either(
        *(
            SHOWN.slower(PAYMENT_AMOUNT, border, WINDOW, ("currency",), currency=each)
            for border, each in zip(borders, codes, strict=True)
        )
    )


LINES: Final = (
    (
        stat(
            "Payments per second ($currency)",
            "Payments that succeeded in this currency.",
            SHOWN.rate(PAYMENT_AMOUNT, WINDOW, currency=CHOSEN),
            "per_second",
        ),
        stat(
            "Median amount ($currency, minor units)",
            "Half of the payments are below it, in minor units.",
            quantile(0.5),
            "minor",
        ),
        stat(
            "High-value share ($currency)",
            f"Payments above {HIGH_VALUE} minor units.",
            ratio(
                f"({high_value()})",
                SHOWN.rate(PAYMENT_AMOUNT, WINDOW, ("currency",), currency=CHOSEN),
            ),
            "percent",
        ),
    ),
    (
        heatmap(
            "Amounts ($currency, minor units)",
            "How many payments a second fall into each range, in minor units of the currency.",
            SHOWN.buckets(PAYMENT_AMOUNT, WINDOW, currency=CHOSEN),
            "minor",
        ),
        timeseries(
            "Amount quantiles ($currency, minor units)",
            "Half of the payments are below P50, one in a hundred is above P99, in minor units. A "
            "jump without a sale is a pricing error or fraud.",
            (Query(quantile(q), name) for name, q in QUANTILES),
            "minor",
        ),
    ),
    (
        timeseries(
            "Payments by currency",
            "Payments that succeeded, of all currencies.",
            (grouped(PAYMENT_AMOUNT, "currency"),),
            "per_second",
            stacked=True,
        ),
        HIGH_VALUE_FAILURES,
    ),
)

AMOUNTS: Final = Dashboard(
    uid=AMOUNTS_DASHBOARD,
    title="Coinslot / Amounts",
    description="How much do buyers pay, and does the distribution change?",
    variables=(*USUAL, CURRENCY),
    rows=(Row("Amounts", LINES),),
    annotations=DEPLOYMENTS,
)
