"""Money adds up, never rounds, and never mixes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.money import CURRENCIES, MAX_MINOR, CurrencyMismatchError, Money

minors = st.integers(min_value=-(10**9), max_value=10**9)
currencies = st.sampled_from(sorted(CURRENCIES))


@given(minors, minors, currencies)
def test_sums_are_exact(a: int, b: int, currency: str) -> None:
    assert (Money(a, currency) + Money(b, currency)).minor == a + b
    assert Money(a, currency) - Money(b, currency) == Money(a, currency) + -Money(b, currency)


@given(minors, st.integers(0, 100), currencies)
def test_a_multiple_is_a_repeated_sum(minor: int, times: int, currency: str) -> None:
    total = Money(0, currency)
    for _ in range(times):
        total = total + Money(minor, currency)
    assert Money(minor, currency) * times == total


def test_currencies_do_not_mix() -> None:
    with pytest.raises(CurrencyMismatchError):
        Money(1, "EUR") + Money(1, "USD")
    with pytest.raises(CurrencyMismatchError):
        Money(1, "EUR") - Money(1, "USD")


@pytest.mark.parametrize(("minor", "currency"), [(1, "XXX"), (MAX_MINOR + 1, "EUR"), (1, "eur")])
def test_what_is_no_money_is_refused(minor: int, currency: str) -> None:
    with pytest.raises(ValueError, match=r"currency|beyond"):
        Money(minor, currency)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(1999, "EUR"), "19.99 EUR"),
        (Money(-5, "USD"), "-0.05 USD"),
        (Money(500, "JPY"), "500 JPY"),
    ],
)
def test_money_reads_like_money(money: Money, text: str) -> None:
    assert str(money) == text
