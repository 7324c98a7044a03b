"""What the API answers about disputes and warnings of fraud; amounts are minor units."""

from uuid import UUID

import msgspec

from service.domain.dispute import DisputeReview, DisputeStatus
from service.store.fraud_warnings import FraudWarningRow
from service.store.rows import Timestamp
from service.views import viewer


class DisputeView(msgspec.Struct, frozen=True):
    """A dispute of a payment; `amount` is in minor units of `currency`.

    `warning` is an inquiry of the buyer's bank, in which no money moves.
    """

    id: UUID
    payment_id: UUID
    status: DisputeStatus
    amount: int
    currency: str
    reason: str
    created_at: Timestamp
    updated_at: Timestamp
    closed_at: Timestamp | None


class AdminDispute(msgspec.Struct, frozen=True):
    """A dispute as operators see it; `withdrawn` less `reinstated` is what the provider keeps.

    `review` says why it waits for a person: `answer` the bank until `evidence_due_at`, `lost` and
    the buyer still has the game, or `won_after_revoke`: the buyer has paid and has no game.
    """

    id: UUID
    payment_id: UUID
    provider: str
    provider_ref: str
    status: DisputeStatus
    amount: int
    currency: str
    reason: str
    evidence_due_at: Timestamp | None
    withdrawn: int
    reinstated: int
    review: DisputeReview | None
    disputed_at: Timestamp
    created_at: Timestamp
    updated_at: Timestamp
    closed_at: Timestamp | None


class FraudWarningView(FraudWarningRow, frozen=True):
    """An early fraud warning; it is `open` while it waits for an operator."""


dispute_view = viewer(DisputeView)
admin_dispute_view = viewer(AdminDispute)
fraud_warning_view = viewer(FraudWarningView)
