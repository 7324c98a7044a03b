"""What the API answers about disputes and warnings of fraud; amounts are minor units."""

from datetime import datetime
from uuid import UUID

import msgspec

from service.store.disputes import DisputeRow
from service.store.fraud_warnings import FraudWarningRow


class DisputeView(msgspec.Struct, frozen=True):
    """A dispute of a payment; `amount` is in minor units of `currency`.

    `warning` is an inquiry of the buyer's bank, in which no money moves.
    """

    id: UUID
    payment_id: UUID
    status: str
    amount: int
    currency: str
    reason: str
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None


class AdminDispute(msgspec.Struct, frozen=True):
    """A dispute as operators see it; `withdrawn` less `reinstated` is what the provider keeps.

    `review` says why it waits for a person: `answer` the bank until `evidence_due_at`, `lost` and
    the buyer still has the game, or `won_after_revoke`: the buyer has paid and has no game.
    """

    id: UUID
    payment_id: UUID
    provider: str
    provider_ref: str
    status: str
    amount: int
    currency: str
    reason: str
    evidence_due_at: datetime | None
    withdrawn: int
    reinstated: int
    review: str | None
    disputed_at: datetime
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None


class FraudWarningView(msgspec.Struct, frozen=True):
    """An early fraud warning; it is `open` while it waits for an operator."""

    id: UUID
    payment_id: UUID
    provider: str
    provider_ref: str
    status: str
    fraud_type: str
    actionable: bool
    warned_at: datetime
    created_at: datetime
    updated_at: datetime


def dispute_view(row: DisputeRow) -> DisputeView:
    """Return the dispute as its buyer sees it."""
    return msgspec.convert(_minor(row), DisputeView)


def admin_dispute_view(row: DisputeRow) -> AdminDispute:
    """Return the dispute as operators see it."""
    return msgspec.convert(_minor(row), AdminDispute)


def fraud_warning_view(row: FraudWarningRow) -> FraudWarningView:
    """Return the warning as operators see it."""
    return msgspec.convert(row, FraudWarningView, from_attributes=True)


def _minor(row: DisputeRow) -> dict[str, object]:
    return {
        **msgspec.structs.asdict(row),
        "amount": row.amount_minor,
        "withdrawn": row.withdrawn_minor,
        "reinstated": row.reinstated_minor,
    }
