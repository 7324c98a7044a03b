"""The simulator's records, mapped to the port's types."""

from typing import Final, Literal

import msgspec

from service.domain.amounts import AmountLimits, AmountRange
from service.domain.dispute import Dispute, DisputeStatus
from service.domain.money import CURRENCIES, Money
from service.domain.payment import Charge, ChargeOutcome
from service.providers.calls import MAX_CODE, money_of, time_of, uuid_of
from service.providers.port import (
    OutcomeUnknownError,
    ProviderCharge,
    ProviderDispute,
    ProviderFraudWarning,
    ProviderRefund,
    RefundResult,
)

MOST_MINOR: Final = 99_999_999
LIMITS: Final[AmountLimits] = {currency: AmountRange(1, MOST_MINOR) for currency in CURRENCIES}
_OUTCOMES: Final = frozenset(ChargeOutcome)


class SimulatorCharge(msgspec.Struct, frozen=True):
    """A charge; times are Unix seconds, amounts minor units."""

    id: str
    status: str
    amount: int
    currency: str
    amount_captured: int
    amount_refunded: int
    reference: str
    idempotency_key: str
    created: int
    failure_code: str | None = None


class SimulatorChange(msgspec.Struct, frozen=True):
    """That a charge has changed, and how it stands now."""

    id: str
    changed: int
    charge: SimulatorCharge


class SimulatorRefund(msgspec.Struct, frozen=True):
    """A refund of a charge."""

    id: str
    status: Literal["pending", "succeeded", "failed"]
    amount: int
    currency: str
    idempotency_key: str = ""
    failure_code: str | None = None


class SimulatorDispute(msgspec.Struct, frozen=True):
    """A dispute of a charge."""

    id: str
    charge: str
    amount: int
    currency: str
    reason: str
    status: str
    withdrawn: int
    reinstated: int
    created: int
    evidence_due_by: int | None = None


class SimulatorWarning(msgspec.Struct, frozen=True):
    """A warning of fraud."""

    id: str
    charge: str
    fraud_type: str
    actionable: bool
    created: int


def charge_of(charge: SimulatorCharge) -> Charge:
    """Return the charge's outcome; raise OutcomeUnknownError for a status that is none of ours."""
    if charge.status not in _OUTCOMES:
        raise OutcomeUnknownError(f"the charge is {charge.status}")
    return Charge(
        ChargeOutcome(charge.status),
        charge.id,
        money_of(charge.amount, charge.currency),
        charge.failure_code,
        captured_minor=charge.amount_captured,
        payment_id=uuid_of(charge.reference),
        attempt_id=uuid_of(charge.idempotency_key),
    )


def listed(charge: SimulatorCharge, *, changed: int | None = None) -> ProviderCharge:
    """Return a charge as reconciliation compares it; `changed` in Unix seconds."""
    return ProviderCharge(
        provider_ref=charge.id,
        payment_id=uuid_of(charge.reference),
        outcome=ChargeOutcome(charge.status) if charge.status in _OUTCOMES else None,
        amount=money_of(charge.amount, charge.currency),
        captured_minor=charge.amount_captured,
        refunded_minor=charge.amount_refunded,
        created_at=time_of(charge.created),
        changed_at=time_of(changed) if changed is not None else None,
    )


def refund_of(refund: SimulatorRefund) -> RefundResult:
    """Return the refund's result; raise OutcomeUnknownError while it is pending."""
    if refund.status == "pending":
        raise OutcomeUnknownError("the refund is pending", answered=True)
    done = refund.status == "succeeded"
    code = None if done else refund.failure_code or refund.status
    return RefundResult(done, refund.id, money_of(refund.amount, refund.currency), code)


def listed_refund(refund: SimulatorRefund) -> ProviderRefund:
    """Return a refund of a charge's list."""
    return ProviderRefund(
        provider_ref=refund.id,
        refund_id=uuid_of(refund.idempotency_key),
        status=refund.status,
        amount=money_of(refund.amount, refund.currency),
        failure_code=refund.failure_code,
    )


def dispute_of(found: SimulatorDispute) -> ProviderDispute:
    """Return the dispute, `unreadable` where it can't be one of ours."""
    dispute, unreadable = None, ""
    try:
        dispute = Dispute(
            DisputeStatus(found.status),
            Money(found.amount, found.currency),
            found.withdrawn,
            found.reinstated,
            time_of(found.evidence_due_by) if found.evidence_due_by else None,
        )
    except ValueError as error:
        unreadable = str(error)
    return ProviderDispute(
        provider_ref=found.id,
        charge_ref=found.charge,
        reason=found.reason[:MAX_CODE],
        created_at=time_of(found.created),
        dispute=dispute,
        unreadable=unreadable,
    )


def fraud_warning_of(found: SimulatorWarning) -> ProviderFraudWarning:
    """Return the warning of fraud."""
    return ProviderFraudWarning(
        provider_ref=found.id,
        charge_ref=found.charge,
        fraud_type=found.fraud_type[:MAX_CODE],
        actionable=found.actionable,
        created_at=time_of(found.created),
    )
