"""The simulator's disputes and warnings of fraud, and what they mean in the port's words."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from service.domain.dispute import Dispute, DisputeStatus
from service.domain.money import Money
from service.providers.port import OutcomeUnknownError, ProviderDispute, ProviderFraudWarning

MAX_REASON: Final = 64


class _Dispute(msgspec.Struct, frozen=True):
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


class _DisputePage(msgspec.Struct, frozen=True):
    data: tuple[_Dispute, ...]
    has_more: bool


class _Warning(msgspec.Struct, frozen=True):
    id: str
    charge: str
    fraud_type: str
    actionable: bool
    created: int


def dispute_of(body: Any) -> ProviderDispute:
    """Return a dispute; raise OutcomeUnknownError if it is none."""
    return _dispute_of(_read(body, _Dispute))


def disputes_of(body: Any) -> tuple[list[ProviderDispute], bool]:
    """Return a page of disputes, and whether there are more; raise OutcomeUnknownError."""
    page: _DisputePage = _read(body, _DisputePage)
    return [_dispute_of(found) for found in page.data], page.has_more


def fraud_warning_of(body: Any) -> ProviderFraudWarning:
    """Return a warning of fraud; raise OutcomeUnknownError if it is none."""
    found: _Warning = _read(body, _Warning)
    return ProviderFraudWarning(
        provider_ref=found.id,
        charge_ref=found.charge,
        fraud_type=found.fraud_type[:MAX_REASON],
        actionable=found.actionable,
        created_at=_at(found.created),
    )


def _dispute_of(found: _Dispute) -> ProviderDispute:
    dispute, unreadable = None, ""
    try:
        dispute = Dispute(
            DisputeStatus(found.status),
            Money(found.amount, found.currency),
            found.withdrawn,
            found.reinstated,
            _at(found.evidence_due_by) if found.evidence_due_by else None,
        )
    except ValueError as error:
        unreadable = str(error)
    return ProviderDispute(
        provider_ref=found.id,
        charge_ref=found.charge,
        reason=found.reason[:MAX_REASON],
        created_at=_at(found.created),
        dispute=dispute,
        unreadable=unreadable,
    )


def _read(body: Any, kind: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise OutcomeUnknownError(f"the provider's answer cannot be read: {error}") from error


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
