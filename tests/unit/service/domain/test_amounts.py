"""What providers take, and what counts as much, in every currency that the shop sells in."""

import pytest

from service import metric_catalog as m
from service.domain.amounts import AmountLimits, AmountRange, described, takes
from service.domain.money import CURRENCIES, MAX_MINOR
from service.providers.simulator.mapping import LIMITS
from service.providers.stripe import mapping as stripe_mapping
from service.slo import HIGH_VALUE_MINOR


@pytest.mark.parametrize("limits", [LIMITS, stripe_mapping.LIMITS], ids=["simulator", "stripe"])
def test_every_currency_has_limits_that_money_can_hold(limits: AmountLimits) -> None:
    assert set(limits) == set(CURRENCIES)
    assert all(1 <= each.least < each.most <= MAX_MINOR for each in limits.values())


def test_limits_are_inclusive_and_by_currency() -> None:
    limits = {"EUR": AmountRange(50, 99)}
    tried = (-50, 0, 49, 50, 99, 100, 10**40)
    assert [minor for minor in tried if takes(limits, minor, "EUR")] == [50, 99]
    assert not takes(limits, 50, "USD")


def test_what_can_be_paid_is_said_in_words() -> None:
    every = [{"EUR": AmountRange(50, 9_999)}, {"EUR": AmountRange(1, 500)}, {}]
    assert described(every, "EUR") == "Orders go from 0.01 EUR to 99.99 EUR"
    assert described(every, "JPY") == "Nothing can be paid in JPY"


def test_every_currency_has_a_high_value_at_the_end_of_a_bucket() -> None:
    assert set(HIGH_VALUE_MINOR) == set(CURRENCIES)
    assert set(map(float, HIGH_VALUE_MINOR.values())) <= set(m.AMOUNT_BUCKETS_MINOR)
