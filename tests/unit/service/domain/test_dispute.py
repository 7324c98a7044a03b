"""Which disputes of a provider the ledger can hold."""

from typing import Any

import pytest

from service.domain.dispute import Dispute, DisputeStatus, ImplausibleError, check
from service.domain.money import Money

PAID = Money(1_000, "EUR")


def a_dispute(
    status: DisputeStatus = DisputeStatus.NEEDS_RESPONSE, withdrawn: int = 0,
    reinstated: int = 0, amount: Money = PAID,
) -> Dispute:  # fmt: skip
    return Dispute(status, amount, withdrawn, reinstated, None)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"amount": Money(1_000, "USD")}, "USD"),
        ({"reinstated": 1}, "reinstated"),
        ({"withdrawn": 1_001}, "more was withdrawn"),
        ({"withdrawn": 400}, "less was withdrawn"),
        ({"withdrawn": 1_000, "reinstated": 499}, "less was reinstated"),
        ({"status": DisputeStatus.WARNING, "withdrawn": 1_000, "reinstated": 500}, "warning"),
    ],
)
def test_what_cannot_be_is_for_a_person(told: dict[str, Any], why: str) -> None:
    known = a_dispute(withdrawn=1_000, reinstated=500)
    with pytest.raises(ImplausibleError, match=why):
        check(known, a_dispute(**told), PAID)


@pytest.mark.parametrize("status", DisputeStatus)
def test_whatever_comes_first_is_taken(status: DisputeStatus) -> None:
    check(None, a_dispute(status, 1_000, 0), PAID)
    check(None, a_dispute(status, 3_000, 2_000, Money(5_000, "EUR")), PAID)


def test_only_a_lost_dispute_is_a_loss() -> None:
    for status in DisputeStatus:
        found = a_dispute(status, 1_000, 300)
        assert found.withheld_minor == 700
        assert found.lost_minor == (700 if status is DisputeStatus.LOST else 0)
