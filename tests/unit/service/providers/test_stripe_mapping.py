"""Amounts as Stripe counts them: the same digits as ours, or a refusal."""

import pytest

from service.domain.money import CURRENCIES, Money
from service.providers.stripe import mapping as stripe_mapping


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_every_currency_of_ours_has_stripe_s_digits(currency: str) -> None:
    digits = 0 if currency in stripe_mapping.ZERO_DECIMAL else 2
    assert CURRENCIES[currency] == digits
    assert stripe_mapping.amount_out(Money(1999, currency)) == "1999"
    assert stripe_mapping.amount_in(1999, currency.lower()) == Money(1999, currency)


def test_a_currency_that_stripe_counts_otherwise_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CURRENCIES, "KRW", 2)
    with pytest.raises(ValueError, match="KRW"):
        stripe_mapping.amount_out(Money(1999, "KRW"))
