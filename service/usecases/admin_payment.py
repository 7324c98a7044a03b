"""Everything that is known of one payment, for operators."""

from uuid import UUID

from service.admin_views import (
    AttemptView,
    AuditEntryView,
    EntitlementView,
    PaymentDetailView,
    admin_dispute_view,
    difference_view,
    fraud_warning_view,
    message_view,
)
from service.errors import NotFoundError
from service.store import (
    disputes,
    fraud_warnings,
    orphans,
    outbox,
    payments,
    reconciliation,
    refunds,
)
from service.store.audit_entries import Subject, list_actions
from service.usecases.context import Context
from service.views import event_view, ledger_view, orphan_view, payment_view, refund_view, viewer

_attempt_view = viewer(AttemptView)
_entitlement_view = viewer(EntitlementView)
_entry_view = viewer(AuditEntryView)


async def payment_with_all(ctx: Context, payment_id: UUID) -> PaymentDetailView:
    """Return the payment, whoever's it is, with all that belongs to it; raise NotFoundError."""
    db = ctx.db
    payment = await payments.get_payment(db, payment_id)
    if payment is None:
        raise NotFoundError("No such payment")
    found = await refunds.list_refunds(db, payment_id)
    strays = await orphans.of_payment(db, payment_id)
    disputed = await disputes.of_payment(db, payment_id)
    warnings = await fraud_warnings.of_payment(db, payment_id)
    messages = await outbox.messages_of_payment(db, payment_id)
    subjects: list[tuple[Subject, str]] = [
        ("payment", str(payment_id)),
        *(("refund", str(refund.id)) for refund in found),
        *(("outbox", str(message.id)) for message in messages),
        *(("orphan_capture", str(orphan.id)) for orphan in strays),
        *(("dispute", str(dispute.id)) for dispute in disputed),
        *(("fraud_warning", str(warning.id)) for warning in warnings),
    ]
    attempts = await payments.list_attempts(db, payment_id)
    entitlements = await payments.list_entitlements(db, payment_id)
    differences = await reconciliation.differences_of_payment(db, payment_id)
    return PaymentDetailView(
        user_id=payment.user_id,
        provider_ref=payment.provider_ref,
        payment=payment_view(payment),
        attempts=tuple(map(_attempt_view, attempts)),
        refunds=tuple(map(refund_view, found)),
        orphans=tuple(map(orphan_view, strays)),
        disputes=tuple(map(admin_dispute_view, disputed)),
        fraud_warnings=tuple(map(fraud_warning_view, warnings)),
        entitlements=tuple(map(_entitlement_view, entitlements)),
        ledger=tuple(map(ledger_view, await payments.ledger_entries(db, payment_id))),
        events=tuple(map(event_view, await payments.timeline(db, payment_id))),
        outbox=tuple(map(message_view, messages)),
        actions=tuple(map(_entry_view, await list_actions(db, subjects))),
        differences=tuple(map(difference_view, differences)),
    )
