"""Expressions that could never return what they say are refused while they are built."""

import pytest

from alerts.promql import (
    NoneOf,
    OneOf,
    Pattern,
    PromQLError,
    Source,
    above,
    ratio,
    share,
)
from service.domain.order import OrderStatus
from service.metric_catalog import (
    ACTIVE_PAYMENTS,
    HTTP_REQUESTS,
    ORDERS,
    OUTBOX_LAG,
    PAYMENT_AMOUNT,
    PAYMENT_DURATION,
    PAYMENT_STATUSES,
    PAYMENTS,
)

SHOP = Source({"job": Pattern("shop-.+")})
ALL = Source({})


def test_every_selector_carries_the_scope() -> None:
    assert SHOP.rate(PAYMENTS, "5m") == 'sum(rate(payments_total{job=~"shop-.+"}[5m]))'


def test_conditions_become_matchers() -> None:
    expression = ALL.rate(PAYMENTS, "1m", ("status",), status=NoneOf(("failed", "review")))
    assert expression == 'sum by (status) (rate(payments_total{status!~"failed|review"}[1m]))'
    assert 'status=~"failed|unknown"' in ALL.rate(
        PAYMENTS, "1m", status=OneOf(("failed", "unknown"))
    )
    assert 'provider="stripe"' in ALL.rate(PAYMENTS, "1m", provider="stripe")
    assert 'currency=~"$currency"' in ALL.rate(PAYMENT_AMOUNT, "1m", currency=Pattern("$currency"))


def test_a_regular_expression_matches_its_values_and_nothing_else() -> None:
    assert 'route=~"A\\\\.B|C"' in ALL.rate(HTTP_REQUESTS, "1m", route=OneOf(("A.B", "C")))
    assert 'route="A.B"' in ALL.rate(HTTP_REQUESTS, "1m", route=OneOf(("A.B",)))
    assert 'currency!="EUR"' in ALL.rate(PAYMENT_AMOUNT, "1m", currency=NoneOf(("EUR",)))


def test_a_histogram_has_a_rate_buckets_and_quantiles() -> None:
    assert ALL.rate(PAYMENT_DURATION, "5m") == "sum(rate(payment_duration_seconds_count[5m]))"
    assert ALL.quantile(0.95, PAYMENT_DURATION, "5m", ("provider",)) == (
        "histogram_quantile(0.95, sum by (le, provider) "
        "(rate(payment_duration_seconds_bucket[5m])))"
    )


def test_a_gauge_is_aggregated() -> None:
    assert ALL.gauge(OUTBOX_LAG, "max") == "max(outbox_lag_seconds)"


def test_arithmetic() -> None:
    assert above(ratio("bad", "all"), 0.05) == "bad / (all > 0) > 0.05"
    assert share("bad", "all") == "((bad) or (0 * all)) / (all > 0)"


def test_the_kind_must_fit() -> None:
    with pytest.raises(PromQLError, match="active_payments_gauge is a gauge"):
        ALL.rate(ACTIVE_PAYMENTS, "5m")
    with pytest.raises(PromQLError, match="payments_total is a counter"):
        ALL.buckets(PAYMENTS, "5m")
    with pytest.raises(PromQLError, match="payments_total is a counter, not a gauge"):
        ALL.gauge(PAYMENTS, "sum")
    with pytest.raises(PromQLError, match="not at 95"):
        ALL.quantile(95, PAYMENT_DURATION, "5m")


def test_labels_and_values_must_exist() -> None:
    with pytest.raises(PromQLError, match="no label 'user'; it has status, provider"):
        ALL.rate(PAYMENTS, "5m", user="u1")
    with pytest.raises(PromQLError, match=r"status='sucess' never occurs; .* succeeded"):
        ALL.rate(PAYMENTS, "5m", status="sucess")
    with pytest.raises(PromQLError, match="provider='paypal' never occurs"):
        ALL.rate(PAYMENTS, "5m", provider=OneOf(("stripe", "paypal")))


def test_grouping_labels_must_exist() -> None:
    with pytest.raises(PromQLError, match="no label 'currency'"):
        ALL.rate(PAYMENTS, "5m", ("namespace", "currency"))


def test_a_status_means_what_its_metric_means() -> None:
    assert PAYMENTS.values("status") == PAYMENT_STATUSES
    assert ORDERS.values("status") == tuple(OrderStatus)
