"""Disputes: a buyer's bank takes a payment back, and how that changes our ledger.

The statuses are Stripe's (https://docs.stripe.com/api/disputes/object#dispute_object-status), with
its three `warning_*` ones as two: a `warning` is an inquiry, in which no money moves yet.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from service.domain.money import Money


class DisputeStatus(StrEnum):
    """The status of a dispute at the provider."""

    WARNING = "warning"
    WARNING_CLOSED = "warning_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"


_S = DisputeStatus
_CHARGEBACK: Final = frozenset({_S.NEEDS_RESPONSE, _S.UNDER_REVIEW, _S.WON, _S.LOST})
TRANSITIONS: Final[dict[DisputeStatus, frozenset[DisputeStatus]]] = {
    _S.WARNING: _CHARGEBACK | {_S.WARNING_CLOSED},
    _S.WARNING_CLOSED: _CHARGEBACK | {_S.WARNING},
    _S.NEEDS_RESPONSE: _CHARGEBACK - {_S.NEEDS_RESPONSE},
    _S.UNDER_REVIEW: _CHARGEBACK - {_S.UNDER_REVIEW},
    _S.WON: _CHARGEBACK - {_S.WON},
    _S.LOST: _CHARGEBACK - {_S.LOST},
}
"""Banks begin second rounds, so that no status is the last one. Only an inquiry is never come back
to once it has become a chargeback."""

DisputeReview = Literal["answer", "lost", "won_after_revoke"]
"""Why a dispute waits for a person."""

OPEN: Final = frozenset({_S.WARNING, _S.NEEDS_RESPONSE, _S.UNDER_REVIEW})
CLOSED: Final = frozenset(DisputeStatus) - OPEN


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute as the provider reports it; `withdrawn` and `reinstated` are sums since it began.

    Both are in minor units of the amount's currency. `withdrawn - reinstated` is what the provider
    has taken from us at present.
    """

    status: DisputeStatus
    amount: Money
    withdrawn_minor: int
    reinstated_minor: int
    evidence_due_at: datetime | None

    @property
    def withheld_minor(self) -> int:
        """Return what the provider keeps from us."""
        return self.withdrawn_minor - self.reinstated_minor

    @property
    def lost_minor(self) -> int:
        """Return what is gone for good, as far as anything is."""
        return self.withheld_minor if self.status is DisputeStatus.LOST else 0


class ImplausibleError(ValueError):
    """The provider's report can't follow from the one before; a person has to decide."""


def check(known: Dispute | None, reported: Dispute, paid: Money) -> None:
    """Raise ImplausibleError for what our ledger can't hold."""
    if reported.amount.currency != paid.currency:
        raise ImplausibleError(
            f"the dispute is in {reported.amount.currency} and the payment in {paid.currency}"
        )
    if not 0 <= reported.reinstated_minor <= reported.withdrawn_minor:
        raise ImplausibleError("more was reinstated than was withdrawn")
    if reported.withheld_minor > reported.amount.minor:
        raise ImplausibleError("more was withdrawn than is disputed")
    if known is None:
        return
    if reported.withdrawn_minor < known.withdrawn_minor:
        raise ImplausibleError("less was withdrawn than before")
    if reported.reinstated_minor < known.reinstated_minor:
        raise ImplausibleError("less was reinstated than before")
    if reported.status is not known.status and reported.status not in TRANSITIONS[known.status]:
        raise ImplausibleError(f"a dispute does not go from {known.status} to {reported.status}")
