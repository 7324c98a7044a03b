"""What operators see, over HTTP and on the command line; amounts are minor units."""

from uuid import UUID

import msgspec

from service.domain.dispute import DisputeReview, DisputeStatus
from service.merchant_webhooks.catalog import EventType
from service.merchant_webhooks.signing import message_id
from service.store.audit_entries import AuditEntryRow
from service.store.audit_seals import SealRow
from service.store.fraud_warnings import FraudWarningRow
from service.store.inbox import EventStatus
from service.store.merchant_webhook_deliveries import DeliveryRow, DeliveryStatus, SentType
from service.store.merchant_webhook_endpoints import DisabledReason, EndpointStatus
from service.store.outbox import OutboxRow
from service.store.payments import AttemptRow, EntitlementRow
from service.store.reconciliation import DifferenceRow
from service.store.reconciliation_runs import RunRow
from service.store.review import ReviewRow
from service.store.rows import Timestamp
from service.views import EventView, LedgerEntryView, OrphanCapture, PaymentView, RefundView, viewer


class ReviewItemView(ReviewRow, frozen=True):
    """An item of the review queue; `provider_ref` is its id at the provider.

    `kind` is `payment` or `refund` (in review), `orphan_capture` (its refund did not work),
    `grant_refund` (the failed refund of a paid order that can't be granted; `amount` is left),
    `refund_reversal` (a refund that was reversed after it had succeeded), `dispute` (`failure_code`
    is its `review`) or `fraud_warning` (its `fraud_type`).
    """


class OutboxMessageView(OutboxRow, frozen=True):
    """A message to the Library; neither delivered nor given up means that it is still tried."""


class ParkedEvent(msgspec.Struct, frozen=True):
    """An event that found no payment of ours within three days.

    `status` is `parked`, or what an operator has made of it: `pending` or `dismissed`.
    """

    provider: str
    event_id: str
    type: str
    status: EventStatus
    charge_ref: str
    payment_id: UUID | None
    claimed_status: str | None
    attempts: int
    last_error: str | None


class AttemptView(AttemptRow, frozen=True):
    """An attempt at the provider, or an operator's decision."""


class EntitlementView(EntitlementRow, frozen=True):
    """A game that a payment holds; the id is the grant's id at the Library."""


class AuditEntryView(AuditEntryRow, frozen=True):
    """An entry of the operators' audit trail."""


class DifferenceView(DifferenceRow, frozen=True):
    """A difference between our records and another system's, over all runs that saw it."""


class ReconciliationRunView(RunRow, frozen=True):
    """A run; the counts are of what it has read and found so far.

    `foreign_charges` are somebody else's, on the same account at the provider.
    """


class AuditSealView(SealRow, frozen=True):
    """A sealed interval of the audit trails; `hash` covers it and the seal before."""


class EndpointView(msgspec.Struct, frozen=True):
    """A merchant's endpoint. `failing_since` is when tries began to fail without a success since.

    `disabled_reason` is operator, gone (it answered 410) or failing (for days).
    """

    id: UUID
    url: str
    event_types: list[EventType]
    description: str
    status: EndpointStatus
    disabled_reason: DisabledReason | None
    failing_since: Timestamp | None
    secret_version: int
    previous_until: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp


class DeliveryView(msgspec.Struct, frozen=True):
    """An event on its way to an endpoint; its receiver knows it by `webhook_id`."""

    id: int
    endpoint_id: UUID
    webhook_id: str
    type: SentType
    payment_id: UUID | None
    status: DeliveryStatus
    attempts: int
    next_attempt_at: Timestamp
    last_status: int | None
    last_error: str | None
    correlation_id: str
    created_at: Timestamp
    ended_at: Timestamp | None


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


class PaymentDetailView(msgspec.Struct, frozen=True):
    """A payment with all that belongs to it, each list oldest first."""

    user_id: str
    provider_ref: str | None
    payment: PaymentView
    attempts: tuple[AttemptView, ...]
    refunds: tuple[RefundView, ...]
    orphans: tuple[OrphanCapture, ...]
    disputes: tuple[AdminDispute, ...]
    fraud_warnings: tuple[FraudWarningView, ...]
    entitlements: tuple[EntitlementView, ...]
    ledger: tuple[LedgerEntryView, ...]
    events: tuple[EventView, ...]
    outbox: tuple[OutboxMessageView, ...]
    actions: tuple[AuditEntryView, ...]
    differences: tuple[DifferenceView, ...]


admin_dispute_view = viewer(AdminDispute)
fraud_warning_view = viewer(FraudWarningView)
review_view = viewer(ReviewItemView)
message_view = viewer(OutboxMessageView)
parked_view = viewer(ParkedEvent)
run_view = viewer(ReconciliationRunView)
difference_view = viewer(DifferenceView)
seal_view = viewer(AuditSealView)
endpoint_view = viewer(EndpointView)


def delivery_view(row: DeliveryRow) -> DeliveryView:
    """Return a delivery to a merchant."""
    values = msgspec.structs.asdict(row) | {"webhook_id": message_id(row.event_id)}
    return msgspec.convert(values, DeliveryView)
