"""The refunds of a charge as its provider has them, made ours: whoever made them, whatever became.

The provider's list is what is true. A refund of ours may have come back after it had succeeded, or
may have been made although we recorded that it was not sent; one that we don't know was made in
the provider's dashboard. Events and reconciliation both end here, and a repeat changes nothing.
"""

from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from msgspec.structs import replace

from service import metric_catalog as m
from service.domain.money import Money
from service.domain.refund import RefundStatus
from service.events import REFUND_REACHED
from service.logs import correlation_id, get_logger
from service.providers.port import OutcomeUnknownError, ProviderRefund
from service.store import refunds as refund_store
from service.store import reversals as store
from service.store.payments import PaymentRow
from service.store.refunds import RefundRow
from service.store.reversals import AdoptRefund
from service.usecases import reversals
from service.usecases.context import Context
from service.usecases.refunds import count_order, due_of, new_row, outcome_item

_log = get_logger(__name__)

REASON: Final = "made_at_provider"


async def sync(ctx: Context, payment: PaymentRow) -> bool:
    """Bring our refunds of a captured payment to the provider's; return whether any changed.

    Raises NotSentError, OutcomeUnknownError, and RefusedError for one that doesn't fit yet because
    a refund of ours holds the amount.
    """
    if payment.provider_ref is None:
        return False
    theirs = await ctx.providers[payment.provider].list_refunds(payment.provider_ref)
    ours = await refund_store.list_refunds(ctx.db, payment.id)
    by_id = {refund.id: refund for refund in ours}
    by_ref = {refund.provider_ref: refund for refund in ours if refund.provider_ref}
    changed = False
    # What came back first: it makes room for what was refunded in its place.
    for found in sorted(theirs, key=lambda found: found.status != "failed"):
        own = by_id.get(found.refund_id) if found.refund_id else None
        refund = own or by_ref.get(found.provider_ref)
        changed |= await _sync(ctx, payment, refund, found)
    return changed


async def _sync(
    ctx: Context, payment: PaymentRow, refund: RefundRow | None, found: ProviderRefund
) -> bool:
    if refund is None:
        return found.status == "succeeded" and await _adopt(ctx, payment, found)
    match refund.status, found.status:
        case RefundStatus.SUCCEEDED, "failed" if refund.provider_ref == found.provider_ref:
            return await reversals.reverse_refund(ctx, payment, refund, found)
        case RefundStatus.FAILED, "succeeded" if not refund.reversed:
            return await _surfaced(ctx, payment, refund, found)
        case _:
            return False  # as it should be, or the completer's, or an operator's


async def _adopt(ctx: Context, payment: PaymentRow, found: ProviderRefund) -> bool:
    amount = _amount(payment, found)
    now = ctx.now()
    refund_id = _id_of(payment.provider, found.provider_ref)
    row = replace(
        new_row(payment, refund_id, amount.minor, REASON, now),
        status=RefundStatus.SUCCEEDED,
        provider_ref=found.provider_ref,
        origin="provider",
    )
    item = AdoptRefund(
        refund_id=row.id,
        payment_id=payment.id,
        amount_minor=amount.minor,
        currency=amount.currency,
        reason=REASON,
        correlation_id=correlation_id(),
        at=now,
    )
    outcome = outcome_item(due_of(payment, row), row, found.provider_ref)
    recorded = await store.adopt_refund(ctx.db, item, outcome)
    if recorded is None:
        return False
    count_order(ctx, recorded)
    ctx.metrics.inc(m.REFUNDS_ADOPTED, provider=payment.provider)
    _log.warning(
        "refund_adopted",
        refund_id=str(row.id),
        amount_minor=row.amount_minor,
        currency=row.currency,
        provider_ref=found.provider_ref,
    )
    return True


async def _surfaced(
    ctx: Context, payment: PaymentRow, refund: RefundRow, found: ProviderRefund
) -> bool:
    """Book a refund that we recorded as failed and that the provider has made."""
    if _amount(payment, found).minor != refund.amount_minor:
        raise OutcomeUnknownError("the provider's refund is of another amount", answered=True)
    row = replace(refund, status=RefundStatus.SUCCEEDED, failure_code=None, updated_at=ctx.now())
    item = replace(
        outcome_item(due_of(payment, row), row, found.provider_ref), of_status=[RefundStatus.FAILED]
    )
    recorded = await refund_store.record_refund_outcome(ctx.db, item)
    if recorded.applied:
        count_order(ctx, recorded)
        _log.info(REFUND_REACHED[row.status], refund_id=str(row.id), amount_minor=row.amount_minor)
    return recorded.applied


def _amount(payment: PaymentRow, found: ProviderRefund) -> Money:
    if found.amount is None or found.amount.currency != payment.currency:
        raise OutcomeUnknownError("the refund is in another currency than its payment")
    return found.amount


def _id_of(provider: str, provider_ref: str) -> UUID:
    """Return the id of a refund that was made elsewhere: the same, whoever adopts it."""
    return uuid5(NAMESPACE_URL, f"refund:{provider}:{provider_ref}")
