"""Everything that is known of one payment, for operators."""

from uuid import UUID

import msgspec

from service.errors import NotFoundError
from service.store import (
    disputes,
    fraud_warnings,
    orphans,
    outbox_review,
    payment_detail,
    payments,
    reconciliation,
    refunds,
)
from service.store.audit_entries import AuditEntryRow, Subject, list_actions
from service.store.disputes import DisputeRow
from service.store.fraud_warnings import FraudWarningRow
from service.store.orphans import OrphanRow
from service.store.outbox_review import OutboxRow
from service.store.payment_detail import AttemptRow, EntitlementRow
from service.store.payments import LedgerRow, PaymentRow, TimelineRow
from service.store.reconciliation import DifferenceRow
from service.store.refunds import RefundRow
from service.usecases.context import Context


class PaymentDetail(msgspec.Struct, frozen=True):
    """A payment with all that belongs to it, each list oldest first."""

    payment: PaymentRow
    attempts: list[AttemptRow]
    refunds: list[RefundRow]
    orphans: list[OrphanRow]
    disputes: list[DisputeRow]
    fraud_warnings: list[FraudWarningRow]
    entitlements: list[EntitlementRow]
    ledger: list[LedgerRow]
    events: list[TimelineRow]
    outbox: list[OutboxRow]
    actions: list[AuditEntryRow]
    differences: list[DifferenceRow]


async def payment_with_all(ctx: Context, payment_id: UUID) -> PaymentDetail:
    """Return the payment, whoever's it is; raise NotFoundError."""
    payment = await payments.get_payment(ctx.db, payment_id)
    if payment is None:
        raise NotFoundError("No such payment")
    found = await refunds.list_refunds(ctx.db, payment_id)
    strays = await orphans.of_payment(ctx.db, payment_id)
    disputed = await disputes.of_payment(ctx.db, payment_id)
    fraud_warning_of = await fraud_warnings.of_payment(ctx.db, payment_id)
    messages = await outbox_review.messages_of_payment(ctx.db, payment_id)
    subjects: list[tuple[Subject, str]] = [
        ("payment", str(payment_id)),
        *(("refund", str(refund.id)) for refund in found),
        *(("outbox", str(message.id)) for message in messages),
        *(("orphan_capture", str(orphan.id)) for orphan in strays),
        *(("dispute", str(dispute.id)) for dispute in disputed),
        *(("fraud_warning", str(warning.id)) for warning in fraud_warning_of),
    ]
    return PaymentDetail(
        payment=payment,
        attempts=await payment_detail.list_attempts(ctx.db, payment_id),
        refunds=found,
        orphans=strays,
        disputes=disputed,
        fraud_warnings=fraud_warning_of,
        entitlements=await payment_detail.list_entitlements(ctx.db, payment_id),
        ledger=await payments.ledger_entries(ctx.db, payment_id),
        events=await payments.timeline(ctx.db, payment_id),
        outbox=messages,
        actions=await list_actions(ctx.db, subjects),
        differences=await reconciliation.differences_of_payment(ctx.db, payment_id),
    )
