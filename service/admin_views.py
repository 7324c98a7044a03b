"""What operators see, over HTTP and on the command line; amounts are minor units."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from service.dispute_views import (
    AdminDispute,
    FraudWarningView,
    admin_dispute_view,
    fraud_warning_view,
)
from service.store.audit_entries import AuditEntryRow
from service.store.audit_seals import SealRow
from service.store.inbox import ParkedEventRow as InboxRow
from service.store.merchant_webhook_deliveries import DeliveryRow
from service.store.merchant_webhook_endpoints import EndpointRow
from service.store.outbox_review import OutboxRow
from service.store.payment_detail import AttemptRow, EntitlementRow
from service.store.reconciliation import DifferenceRow
from service.store.reconciliation_runs import RunRow
from service.store.review import ReviewRow
from service.usecases.admin_payment import PaymentDetail
from service.usecases.merchant_webhooks import message_id
from service.views import (
    EventView,
    LedgerEntryView,
    OrphanCapture,
    PaymentView,
    RefundView,
    event_view,
    ledger_view,
    orphan_view,
    payment_view,
    refund_view,
)


class ReviewItemView(msgspec.Struct, frozen=True):
    """An item of the review queue; `provider_ref` is its id at the provider.

    `kind` is `payment` or `refund` (in review), `orphan_capture` (its refund did not work),
    `grant_refund` (the failed refund of a paid order that can't be granted; `amount` is left),
    `refund_reversal` (a refund that was reversed after it had succeeded), `dispute` (`failure_code`
    is its `review`) or `fraud_warning` (its `fraud_type`).
    """

    kind: str
    id: UUID
    payment_id: UUID
    order_id: UUID
    user_id: str
    provider: str
    provider_ref: str | None
    amount: int
    currency: str
    failure_code: str | None
    created_at: datetime
    updated_at: datetime


class OutboxMessageView(msgspec.Struct, frozen=True):
    """A message to the Library; neither delivered nor given up means that it is still tried."""

    id: int
    topic: str
    payment_id: UUID
    attempts: int
    last_error: str | None
    next_attempt_at: datetime
    delivered_at: datetime | None
    given_up_at: datetime | None
    correlation_id: str
    created_at: datetime


class ParkedEvent(msgspec.Struct, frozen=True):
    """An event that found no payment of ours within three days.

    `status` is `parked`, or what an operator has made of it: `pending` or `dismissed`.
    """

    provider: str
    event_id: str
    type: str
    status: str
    charge_ref: str
    payment_id: UUID | None
    claimed_status: str | None
    attempts: int
    last_error: str | None


class AttemptView(msgspec.Struct, frozen=True):
    """An attempt at the provider, or an operator's decision."""

    id: UUID
    operation: str
    status: str
    checks: int
    next_check_at: datetime
    error_code: str | None
    created_at: datetime
    resolved_at: datetime | None


class EntitlementView(msgspec.Struct, frozen=True):
    """A game that a payment holds; the id is the grant's id at the Library."""

    id: UUID
    game_id: str
    quantity: int
    status: str
    updated_at: datetime


class AuditEntryView(msgspec.Struct, frozen=True):
    """An entry of the operators' audit trail."""

    subject: str
    subject_id: str
    seq: int
    at: datetime
    actor: str
    action: str
    reason: str
    evidence: dict[str, Any]
    correlation_id: str


class DifferenceView(msgspec.Struct, frozen=True):
    """A difference between our records and another system's, over all runs that saw it."""

    id: UUID
    kind: str
    source: str
    subject: str
    payment_id: UUID | None
    ours: dict[str, Any]
    theirs: dict[str, Any]
    first_seen: datetime
    last_seen: datetime
    times_seen: int
    resolved_at: datetime | None


class ReconciliationRunView(msgspec.Struct, frozen=True):
    """A run; the counts are of what it has read and found so far.

    `foreign_charges` are somebody else's, on the same account at the provider.
    """

    id: UUID
    status: str
    actor: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    window_from: datetime | None
    window_to: datetime | None
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
    sealed_at: datetime


class EndpointView(msgspec.Struct, frozen=True):
    """A merchant's endpoint. `failing_since` is when tries began to fail without a success since.

    `disabled_reason` is operator, gone (it answered 410) or failing (for days).
    """

    id: UUID
    url: str
    event_types: tuple[str, ...]
    description: str
    status: str
    disabled_reason: str | None
    failing_since: datetime | None
    secret_version: int
    previous_until: datetime | None
    created_at: datetime
    updated_at: datetime


class DeliveryView(msgspec.Struct, frozen=True):
    """An event on its way to an endpoint; its receiver knows it by `webhook_id`."""

    id: int
    endpoint_id: UUID
    webhook_id: str
    type: str
    payment_id: UUID | None
    status: str
    attempts: int
    next_attempt_at: datetime
    last_status: int | None
    last_error: str | None
    correlation_id: str
    created_at: datetime
    ended_at: datetime | None


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


def review_view(row: ReviewRow) -> ReviewItemView:
    """Return a line of the review queue."""
    return ReviewItemView(
        kind=row.kind,
        id=row.id,
        payment_id=row.payment_id,
        order_id=row.order_id,
        user_id=row.user_id,
        provider=row.provider,
        provider_ref=row.provider_ref,
        amount=row.amount_minor,
        currency=row.currency,
        failure_code=row.failure_code,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def message_view(row: OutboxRow) -> OutboxMessageView:
    """Return a message of the outbox."""
    return msgspec.convert(row, OutboxMessageView, from_attributes=True)


def parked_view(row: InboxRow) -> ParkedEvent:
    """Return a parked event."""
    return msgspec.convert(row, ParkedEvent, from_attributes=True)


def run_view(row: RunRow) -> ReconciliationRunView:
    """Return a reconciliation run."""
    return msgspec.convert(row, ReconciliationRunView, from_attributes=True)


def difference_view(row: DifferenceRow) -> DifferenceView:
    """Return a difference."""
    return msgspec.convert(row, DifferenceView, from_attributes=True)


def seal_view(row: SealRow) -> AuditSealView:
    """Return a seal."""
    return msgspec.convert(row, AuditSealView, from_attributes=True)


def endpoint_view(row: EndpointRow) -> EndpointView:
    """Return a merchant's endpoint, without anything of its secret."""
    return msgspec.convert(row, EndpointView, from_attributes=True)


def delivery_view(row: DeliveryRow) -> DeliveryView:
    """Return a delivery to a merchant."""
    values = msgspec.structs.asdict(row) | {"webhook_id": message_id(row.event_id)}
    return msgspec.convert(values, DeliveryView)


def detail_view(detail: PaymentDetail) -> PaymentDetailView:
    """Return a payment with all that belongs to it."""
    return PaymentDetailView(
        user_id=detail.payment.user_id,
        provider_ref=detail.payment.provider_ref,
        payment=payment_view(detail.payment),
        attempts=tuple(map(_attempt_view, detail.attempts)),
        refunds=tuple(map(refund_view, detail.refunds)),
        orphans=tuple(map(orphan_view, detail.orphans)),
        disputes=tuple(map(admin_dispute_view, detail.disputes)),
        fraud_warnings=tuple(map(fraud_warning_view, detail.fraud_warnings)),
        entitlements=tuple(map(_entitlement_view, detail.entitlements)),
        ledger=tuple(map(ledger_view, detail.ledger)),
        events=tuple(map(event_view, detail.events)),
        outbox=tuple(map(message_view, detail.outbox)),
        actions=tuple(map(_action_view, detail.actions)),
        differences=tuple(map(difference_view, detail.differences)),
    )


def _attempt_view(row: AttemptRow) -> AttemptView:
    return msgspec.convert(row, AttemptView, from_attributes=True)


def _entitlement_view(row: EntitlementRow) -> EntitlementView:
    return msgspec.convert(row, EntitlementView, from_attributes=True)


def _action_view(row: AuditEntryRow) -> AuditEntryView:
    return msgspec.convert(row, AuditEntryView, from_attributes=True)
