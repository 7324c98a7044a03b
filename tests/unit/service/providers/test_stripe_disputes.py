"""What Stripe's disputes mean to us."""

from typing import Any

import msgspec
import pytest

from service.domain.dispute import Dispute, DisputeStatus
from service.domain.money import Money
from service.providers.stripe import disputes as stripe_disputes
from service.providers.stripe.disputes import StripeDispute, dispute_of


def a_dispute(**changes: Any) -> StripeDispute:
    fields = {
        "id": "dp_1",
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "amount": 1999,
        "currency": "eur",
        "reason": "fraudulent",
        "status": "needs_response",
        "created": 1_790_000_000,
        **changes,
    }
    return msgspec.convert(fields, StripeDispute)


@pytest.mark.parametrize(
    ("moves", "withdrawn", "reinstated"),
    [
        ([], 0, 0),
        ([(-1999, "eur")], 1999, 0),
        ([(-1500, "eur")], 1500, 0),
        ([(-1999, "eur"), (1999, "eur")], 1999, 1999),
        ([(-1999, "eur"), (1999, "eur"), (-1999, "eur")], 3998, 1999),
        ([(-2311, "usd")], 1999, 0),
        ([(-2311, "usd"), (2290, "usd")], 1999, 1999),
        ([(0, "eur")], 0, 0),
    ],
)
def test_money_moves_in_the_disputes_currency(
    moves: list[tuple[int, str]], withdrawn: int, reinstated: int
) -> None:
    transactions = [{"amount": amount, "currency": currency} for amount, currency in moves]
    found = dispute_of(a_dispute(balance_transactions=transactions)).dispute
    assert found == Dispute(
        DisputeStatus.NEEDS_RESPONSE, Money(1999, "EUR"), withdrawn, reinstated, None
    )


def test_every_status_of_stripe_has_one_of_ours() -> None:
    assert set(stripe_disputes.STATUSES) == {
        *("lost", "needs_response", "prevented", "under_review", "warning_closed"),
        *("warning_needs_response", "warning_under_review", "won"),
    }
    assert set(stripe_disputes.STATUSES.values()) == set(DisputeStatus)


@pytest.mark.parametrize("changes", [{"status": "new_word"}, {"currency": "xxx"}])
def test_what_cannot_be_ours_is_said_so(changes: dict[str, str]) -> None:
    found = dispute_of(a_dispute(**changes))
    assert found.dispute is None
    assert next(iter(changes.values())) in found.unreadable


def test_no_deadline_is_none() -> None:
    found = dispute_of(a_dispute(evidence_details={"due_by": 0})).dispute
    assert found is not None
    assert found.evidence_due_at is None
