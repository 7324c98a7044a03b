"""What operators see, over HTTP and on the command line; amounts are minor units."""

from typing import Any
from uuid import UUID

import msgspec

from service.dispute_views import (
    AdminDispute,
    FraudWarningView,
)
from service.domain.payment import Operation
from service.domain.reconciliation import DifferenceKind
from service.merchant_webhooks.catalog import EventType
from service.merchant_webhooks.signing import message_id
from service.store.audit_entries import Subject
from service.store.inbox import EventStatus
from service.store.merchant_webhook_deliveries import DeliveryRow, DeliveryStatus, SentType
from service.store.merchant_webhook_endpoints import DisabledReason, EndpointStatus
from service.store.outbox_review import Topic
from service.store.payment_detail import AttemptState, EntitlementStatus
from service.store.reconciliation_runs import RunStatus
from service.store.review import ReviewKind
from service.views import (
    EventView,
    LedgerEntryView,
    OrphanCapture,
    PaymentView,
    RefundView,
    Timestamp,
    viewer,
)


class ReviewItemView(msgspec.Struct, frozen=True):
    """An item of the review queue; `provider_ref` is its id at the provider.

    `kind` is `payment` or `refund` (in review), `orphan_capture` (its refund did not work),
    `grant_refund` (the failed refund of a paid order that can't be granted; `amount` is left),
    `refund_reversal` (a refund that was reversed after it had succeeded), `dispute` (`failure_code`
    is its `review`) or `fraud_warning` (its `fraud_type`).
    """

    kind: ReviewKind
    id: UUID
    payment_id: UUID
    order_id: UUID
    user_id: str
    provider: str
    provider_ref: str | None
    amount: int
    currency: str
    failure_code: str | None
    created_at: Timestamp
    updated_at: Timestamp


class OutboxMessageView(msgspec.Struct, frozen=True):
    """A message to the Library; neither delivered nor given up means that it is still tried."""

    id: int
    topic: Topic
    payment_id: UUID
    attempts: int
    last_error: str | None
    next_attempt_at: Timestamp
    delivered_at: Timestamp | None
    given_up_at: Timestamp | None
    correlation_id: str
    created_at: Timestamp


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


class AttemptView(msgspec.Struct, frozen=True):
    """An attempt at the provider, or an operator's decision."""

    id: UUID
    operation: Operation
    status: AttemptState
    checks: int
    next_check_at: Timestamp
    error_code: str | None
    created_at: Timestamp
    resolved_at: Timestamp | None


class EntitlementView(msgspec.Struct, frozen=True):
    """A game that a payment holds; the id is the grant's id at the Library."""

    id: UUID
    game_id: str
    quantity: int
    status: EntitlementStatus
    updated_at: Timestamp


class AuditEntryView(msgspec.Struct, frozen=True):
    """An entry of the operators' audit trail."""

    subject: Subject
    subject_id: str
    seq: int
    at: Timestamp
    actor: str
    action: str
    reason: str
    evidence: dict[str, Any]
    correlation_id: str


class DifferenceView(msgspec.Struct, frozen=True):
    """A difference between our records and another system's, over all runs that saw it."""

    id: UUID
    kind: DifferenceKind
    source: str
    subject: str
    payment_id: UUID | None
    ours: dict[str, Any]
    theirs: dict[str, Any]
    first_seen: Timestamp
    last_seen: Timestamp
    times_seen: int
    resolved_at: Timestamp | None


class ReconciliationRunView(msgspec.Struct, frozen=True):
    """A run; the counts are of what it has read and found so far.

    `foreign_charges` are somebody else's, on the same account at the provider.
    """

    id: UUID
    status: RunStatus
    actor: str
    requested_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    window_from: Timestamp | None
    window_to: Timestamp | None
    charges: int
    payments: int
    grants: int
    differences: int
    foreign_charges: int
    error: str | None


class AuditSealView(msgspec.Struct, frozen=True):
    """A sealed interval of the audit trails; `hash` covers it and the seal before."""

    id: int
    first_position: int
    last_position: int
    entries: int
    chains: int
    root: str
    hash: str
    sealed_at: Timestamp


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
