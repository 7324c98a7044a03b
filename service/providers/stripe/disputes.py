"""Stripe's disputes and early fraud warnings, mapped to the port's types.

https://docs.stripe.com/api/disputes, https://docs.stripe.com/api/radar/early_fraud_warnings
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from service.domain.dispute import Dispute, DisputeStatus
from service.providers.calls import MAX_CODE, money_of, time_of
from service.providers.port import ProviderDispute, ProviderFraudWarning

STATUSES: Final = {
    "warning_needs_response": DisputeStatus.WARNING,
    "warning_under_review": DisputeStatus.WARNING,
    "warning_closed": DisputeStatus.WARNING_CLOSED,
    # Refunded by a rule of ours at the card network before it became a chargeback: only the refund
    # is left.
    "prevented": DisputeStatus.WARNING_CLOSED,
    "needs_response": DisputeStatus.NEEDS_RESPONSE,
    "under_review": DisputeStatus.UNDER_REVIEW,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}
"""Our status by a Dispute's."""


class _BalanceTransaction(msgspec.Struct, frozen=True):
    """A movement on Stripe's balance of ours, without its fee: < 0 is withdrawn from us."""

    amount: int
    currency: str


class _EvidenceDetails(msgspec.Struct, frozen=True):
    due_by: int | None = None


class StripeDispute(msgspec.Struct, frozen=True):
    """The part of a Dispute that we read; amounts in the currency's smallest unit."""

    id: str
    charge: str
    amount: int
    currency: str
    reason: str
    status: str
    created: int
    payment_intent: str | None = None
    balance_transactions: tuple[_BalanceTransaction, ...] = ()
    evidence_details: _EvidenceDetails = _EvidenceDetails()


class EarlyFraudWarning(msgspec.Struct, frozen=True):
    """The part of an early fraud warning that we read."""

    id: str
    charge: str
    fraud_type: str
    actionable: bool
    created: int
    payment_intent: str | None = None


def dispute_of(found: StripeDispute) -> ProviderDispute:
    """Return the dispute, `unreadable` where it can't be one of ours."""
    amount, status = money_of(found.amount, found.currency), STATUSES.get(found.status)
    dispute = None
    if amount is not None and status is not None:
        withdrawn, reinstated = _balance_changes(found, found.balance_transactions)
        due = found.evidence_details.due_by
        dispute = Dispute(status, amount, withdrawn, reinstated, time_of(due) if due else None)
    return ProviderDispute(
        provider_ref=found.id,
        charge_ref=found.payment_intent or found.charge,
        reason=found.reason[:MAX_CODE],
        created_at=time_of(found.created),
        dispute=dispute,
        unreadable="" if dispute else f"{found.status}, {found.amount} {found.currency}",
    )


def fraud_warning_of(found: EarlyFraudWarning) -> ProviderFraudWarning:
    """Return the warning of fraud."""
    return ProviderFraudWarning(
        provider_ref=found.id,
        charge_ref=found.payment_intent or found.charge,
        fraud_type=found.fraud_type[:MAX_CODE],
        actionable=found.actionable,
        created_at=time_of(found.created),
    )


def _balance_changes(found: StripeDispute, moves: Iterable[_BalanceTransaction]) -> tuple[int, int]:
    """Return what was withdrawn and reinstated, in the dispute's currency.

    Stripe converts to the currency that it pays us in. A movement in another currency than the
    dispute's is of the whole disputed amount, at a rate that doesn't matter here.
    """
    withdrawn = reinstated = 0
    for move in moves:
        minor = abs(move.amount) if move.currency == found.currency else found.amount
        if move.amount < 0:
            withdrawn += minor
        elif move.amount > 0:
            reinstated += minor
    return withdrawn, reinstated
