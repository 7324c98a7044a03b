"""Money that a provider took and that pays nothing: recorded, given back, and told of.

A payment that is closed is never opened again: its order may be canceled, or paid by another one.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from service import metric_catalog as m
from service.domain.money import Money
from service.domain.payment import CLOSED, Charge, ChargeOutcome
from service.events import ORPHAN_REACHED
from service.ids import new_id
from service.logs import correlation_id, get_logger
from service.providers.port import (
    HeldRequest,
    NotSentError,
    OutcomeUnknownError,
    Provider,
    RefundRequest,
    RefundResult,
)
from service.retry import full_jitter_s
from service.store import orphans as store
from service.store import payments
from service.store.orphans import NewOrphan, OrphanRow
from service.store.payments import PaymentRow
from service.usecases.charge_owner import MISMATCH, tell_mismatch
from service.usecases.context import Context

_log = get_logger(__name__)

FIRST_RETRY_S: Final = 5.0
MAX_RETRY_S: Final = 3_600.0
MAX_ATTEMPTS: Final = 30
"""With waits up to 5 s, doubling to an hour, that is ten hours; then a person gives it back."""

RECORDED: Final = "orphan_recorded"
RELEASED: Final = "hold_released"
RETURNED: Final = "orphan_refund_reversed"
UNCHANGED: Final = "no_news"


async def check_charge(ctx: Context, payment: PaymentRow, charge_ref: str) -> str:
    """Ask what became of a charge that doesn't pay its payment, and undo what it has done.

    Only of a charge that the provider has on record for this payment; others are not ours to undo.
    Raises NotSentError, OutcomeUnknownError, or RefusedError if the charge pays another payment.
    """
    charge = await ctx.providers[payment.provider].get_charge(charge_ref)
    if charge.payment_id != payment.id:
        tell_mismatch(payment, charge_ref, charge)
        return MISMATCH
    match charge.outcome:
        case ChargeOutcome.SUCCEEDED:
            return await _record(ctx, payment, charge_ref, charge)
        case ChargeOutcome.AUTHORIZED:
            return await _release(ctx, payment, charge_ref)
        case _:
            return UNCHANGED


async def check_if_closed(ctx: Context, payment_id: UUID, charge_ref: str) -> None:
    """Look at a charge whose outcome came second, if the first one closed its payment.

    No webhook need come for that. Silence leaves it to the webhook and to reconciliation.
    """
    payment = await payments.get_payment(ctx.db, payment_id)
    if payment is not None and payment.status in CLOSED:
        with suppress(NotSentError, OutcomeUnknownError):
            await check_charge(ctx, payment, charge_ref)


async def refund_orphan(ctx: Context, orphan: OrphanRow) -> None:
    """Refund an orphan. It is one refund to the provider, however often it is asked for."""
    try:
        result = await _refund(ctx.providers[orphan.provider], orphan)
    except (NotSentError, OutcomeUnknownError) as error:
        await _put_off(ctx, orphan, str(error))
        return
    await _record_outcome(ctx, orphan, result)


async def poll_refund(ctx: Context, orphan: OrphanRow) -> str:
    """Look whether the refund of an orphan stands; one that came back is for people to decide.

    While it is under way its own worker asks until it knows. Raises NotSentError or
    OutcomeUnknownError.
    """
    if orphan.status != "refunded":
        return UNCHANGED
    provider = ctx.providers[orphan.provider]
    for found in await provider.list_refunds(orphan.provider_ref):
        if (found.provider_ref, found.status) == (orphan.refund_ref, "failed"):
            return await _came_back(ctx, orphan, found.failure_code or "reversed")
    return UNCHANGED


async def _came_back(ctx: Context, orphan: OrphanRow, error: str) -> str:
    if not await store.came_back(
        ctx.db, orphan, error=error, correlation_id=correlation_id(), at=ctx.now()
    ):
        return UNCHANGED
    ctx.metrics.inc(m.REVERSALS, kind="orphan_refund", provider=orphan.provider)
    _log.error("orphan_capture_review", **_facts(orphan.id), failure_code=error)
    return RETURNED


async def _refund(provider: Provider, orphan: OrphanRow) -> RefundResult:
    """Find the refund, or make it under the newest key.

    One of an earlier try is found too, should it have been made after all. That the charge is given
    back once the provider sees to as well: all of it is refunded, and there is no more.
    """
    amount = Money(orphan.amount_minor, orphan.currency)
    requests = [
        RefundRequest(key, orphan.provider_ref, amount) for key in (orphan.id, *orphan.retry_keys)
    ]
    for request in requests:
        found = await provider.find_refund(request)
        if found is not None and (found.succeeded or request is requests[-1]):
            return found
    for made in await provider.list_refunds(orphan.provider_ref):  # in its dashboard, perhaps
        if made.status == "succeeded" and made.amount == amount:
            return RefundResult(True, made.provider_ref, made.amount)  # noqa: FBT003  succeeded
    return await provider.refund(requests[-1])


async def _record(ctx: Context, payment: PaymentRow, charge_ref: str, charge: Charge) -> str:
    if charge.amount is None or not charge.captured:
        raise OutcomeUnknownError("the charge's amount cannot be read")
    item = NewOrphan(
        id=new_id(ctx.now()),
        provider=payment.provider,
        provider_ref=charge_ref,
        payment_id=payment.id,
        amount_minor=charge.captured,
        currency=charge.amount.currency,
        correlation_id=correlation_id(),
        at=ctx.now(),
    )
    if await store.record(ctx.db, item):
        ctx.metrics.inc(m.ORPHAN_CAPTURES, provider=payment.provider)
        _log.error(
            "orphan_capture_recorded",
            orphan_id=str(item.id),
            payment_status=payment.status,
            provider_ref=charge_ref,
            amount_minor=item.amount_minor,
            currency=item.currency,
        )
    return RECORDED


async def _release(ctx: Context, payment: PaymentRow, charge_ref: str) -> str:
    """Let go of money that is held for nothing; the key follows from the charge, so it is one."""
    key = uuid5(NAMESPACE_URL, f"release:{payment.provider}:{charge_ref}")
    amount = Money(payment.amount_minor, payment.currency)
    result = await ctx.providers[payment.provider].cancel(HeldRequest(key, charge_ref, amount))
    _log.warning("orphan_hold_released", provider_ref=charge_ref, outcome=result.outcome)
    return RELEASED


async def _record_outcome(ctx: Context, orphan: OrphanRow, result: RefundResult) -> None:
    asked = Money(orphan.amount_minor, orphan.currency)
    if result.succeeded and result.provider_ref and result.amount == asked:
        status, ref, error = "refunded", result.provider_ref, None
    else:
        status, ref, error = "review", None, result.failure_code or "amount_mismatch"
    if await store.record_outcome(
        ctx.db, orphan, status, refund_ref=ref, error=error, at=ctx.now()
    ):
        emit = _log.warning if status == "refunded" else _log.error
        emit(ORPHAN_REACHED[status], **_facts(orphan.id), failure_code=error)


async def _put_off(ctx: Context, orphan: OrphanRow, reason: str) -> None:
    now, reason = ctx.now(), reason[:500]
    if orphan.attempts >= MAX_ATTEMPTS:
        if await store.record_outcome(
            ctx.db, orphan, "review", refund_ref=None, error=reason, at=now
        ):
            _log.error("orphan_capture_review", **_facts(orphan.id), failure_code=reason)
        return
    wait_s = full_jitter_s(orphan.attempts, first_s=FIRST_RETRY_S, most_s=MAX_RETRY_S)
    await store.put_off(ctx.db, orphan.id, until=now + timedelta(seconds=wait_s), error=reason)
    _log.warning("orphan_capture_put_off", **_facts(orphan.id), reason=reason, wait_s=wait_s)


def _facts(orphan_id: UUID) -> dict[str, str]:
    return {"orphan_id": str(orphan_id)}
