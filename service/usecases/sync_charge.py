"""Bring a payment to its charge at the provider, where no event of a change has come.

Reconciliation ends here with what a lost event would have brought: refunds and captures that were
made in the provider's dashboard, and what the provider has taken back.
"""

from service.domain.payment import PaymentStatus
from service.store.payments import PaymentRow
from service.usecases import inbox, provider_refunds, reversals
from service.usecases.charge_owner import is_owner
from service.usecases.context import Context


async def sync_charge(ctx: Context, payment: PaymentRow, cause: str) -> bool:
    """Bring our books of a payment's charge to the provider's; return whether any changed.

    `cause` says in the timeline what found the change. Raises NotSentError,
    OutcomeUnknownError, RefusedError and NotYetError for what can't be done now.
    """
    if payment.provider_ref is None:
        return False
    match PaymentStatus(payment.status):
        case PaymentStatus.SUCCEEDED | PaymentStatus.REVERSED:
            changed = await provider_refunds.sync(ctx, payment)
            charge = await ctx.providers[payment.provider].get_charge(payment.provider_ref)
            return await reversals.reverse_capture(ctx, payment, charge) or changed
        case PaymentStatus.AUTHORIZED | PaymentStatus.REQUIRES_ACTION:
            charge = await ctx.providers[payment.provider].get_charge(payment.provider_ref)
            if not is_owner(payment, charge):
                return False
            attempt = await inbox.reopen(ctx, cause, payment, charge)
            if attempt is None:
                return False
            await inbox.record_provider_update(ctx, attempt, charge)
            return True
        case _:
            return False
