"""From an attempt to its outcome: do it for the first time, or find out what became of it.

The same code serves the request, its repeat after a crash, and the completer. None of them holds a
transaction open while the provider is asked.
"""

import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from service import metric_catalog as m
from service.domain.payment import (
    AT_REST,
    REFUNDED_AND_FAILED,
    Charge,
    ChargeOutcome,
    PaymentDecision,
    PaymentStatus,
    decide_charge,
    decide_operation,
    decide_timeout,
)
from service.errors import (
    AlreadyOwnedError,
    IdempotencyKeyInFlightError,
    ProviderUnavailableError,
    StoreUnavailableError,
)
from service.logs import get_logger
from service.providers.guard import GuardedProvider
from service.providers.port import (
    ChargeRequest,
    HeldRequest,
    NotSentError,
    OutcomeUnknownError,
    Provider,
)
from service.store import idempotency
from service.store import payments as store
from service.store.begin_payments import BeginPayment
from service.store.database import RefusedError
from service.store.idempotency import BeginOutcome, Begun
from service.store.payments import Attempt, PaymentRow
from service.usecases.context import Context
from service.usecases.idempotency import CommandResponse, Lease, present_answer
from service.usecases.record_outcome import Outcome, record_outcome

_log = get_logger(__name__)

PROVIDER_RETRY_AFTER_S: Final = 5


class FailedOverError(Exception):
    """The provider has surely done nothing, and another one may make the payment.

    This one's payment has failed, and the request's key is free for the next.
    """


async def charge(
    ctx: Context,
    provider: GuardedProvider,
    item: BeginPayment,
    others: Sequence[str],
    started: float,
    begun: BeginOutcome,
) -> CommandResponse:
    """Charge a payment that has begun; raise FailedOverError if one of `others` may do so instead.

    `started` is when its request did, by time.perf_counter.
    """
    attempt = _attempt(item, begun)
    if begun.kind is Begun.LOST_GAME:
        outcome = await fail_unsent(ctx, attempt, AlreadyOwnedError.code)
    else:
        outcome = await _charge(ctx, provider, attempt, others)
    labels = {"status": outcome.metric_status, "provider": item.provider}
    ctx.metrics.observe(m.PAYMENT_DURATION, time.perf_counter() - started, **labels)
    return outcome.answer


def _attempt(item: BeginPayment, begun: BeginOutcome) -> Attempt:
    if begun.amount is None:
        raise StoreUnavailableError  # a payment always has its order's amount
    payment = PaymentRow(
        id=item.payment_id,
        order_id=item.order_id,
        user_id=item.caller,
        provider=item.provider,
        status=PaymentStatus.PROCESSING,
        capture_method=item.capture_method,
        payment_method=item.payment_method,
        currency=begun.amount.currency,
        amount_minor=begun.amount.minor,
        captured_minor=0,
        refund_pending_minor=0,
        refunded_minor=0,
        provider_ref=None,
        failure_code=None,
        created_at=item.at,
        updated_at=item.at,
    )
    return Attempt(item.attempt_id, "charge", payment, lease=item.locked_until)


async def _charge(
    ctx: Context, provider: GuardedProvider, attempt: Attempt, others: Sequence[str]
) -> Outcome:
    try:
        result = await provider.charge(_charge_request(attempt))
    except NotSentError as error:
        asked = attempt.amount
        if ctx.providers.any_usable(ctx.providers.taking(others, asked.minor, asked.currency)):
            return await _fail_over(ctx, attempt, str(error))
        return await fail_unsent(ctx, attempt, "provider_unavailable")
    except OutcomeUnknownError as error:
        return await _record_timeout(ctx, attempt, str(error))
    return await _record_answer(ctx, attempt, result)


async def _fail_over(ctx: Context, attempt: Attempt, reason: str) -> Outcome:
    """Fail the payment without an answer and free its key; both or a crash in between are safe.

    After a crash the key leads to a failed payment without an answer: the request's repeat then
    frees it and begins anew. Whoever comes second frees nothing and makes nothing.
    """
    decision = PaymentDecision(PaymentStatus.FAILED, 0, "provider_unavailable", "failed")
    recorded = await record_outcome(ctx, attempt, decision, keep_answer=False, supposed=True)
    if not recorded.applied:
        return recorded
    if not await idempotency.free(ctx.db, attempt.resource_id):
        raise IdempotencyKeyInFlightError
    ctx.metrics.inc(m.PROVIDER_FAILOVERS, provider=attempt.payment.provider)
    _log.warning("payment_handed_on", provider=attempt.payment.provider, reason=reason)
    raise FailedOverError(reason)


async def fail_unsent(ctx: Context, attempt: Attempt, failure_code: str) -> Outcome:
    """Fail a payment whose provider was surely never asked."""
    decision = PaymentDecision(PaymentStatus.FAILED, 0, failure_code, "failed")
    return await record_outcome(ctx, attempt, decision, supposed=True)


async def operate(ctx: Context, attempt: Attempt) -> Outcome:
    """Capture or cancel for the first time; raise ProviderUnavailableError if surely not sent."""
    try:
        result = await _operate(ctx.providers[attempt.payment.provider], attempt)
    except NotSentError as error:
        held = PaymentStatus(attempt.payment.status)
        decision = PaymentDecision(held, 0, "provider_unavailable", "failed")
        recorded = await record_outcome(ctx, attempt, decision, keep_answer=False, supposed=True)
        if not recorded.applied:
            return recorded
        await idempotency.free(ctx.db, attempt.resource_id)
        raise ProviderUnavailableError(retry_after_s=PROVIDER_RETRY_AFTER_S) from error
    except OutcomeUnknownError as error:
        return await _record_timeout(ctx, attempt, str(error))
    try:
        return await record_provider_charge(ctx, attempt, result)
    except (NotSentError, OutcomeUnknownError) as error:
        return await _record_timeout(ctx, attempt, str(error))


async def reconcile_attempt(ctx: Context, attempt: Attempt) -> None:
    """Ask the provider what became of an attempt, and record it.

    If the provider has no record, the request may still be on its way: it is sent again under the
    same key, which the provider answers once and for all. Failing the payment instead would race
    with the first request.
    """
    if attempt.operation == "charge" and attempt.lacks_game:
        await fail_unsent(ctx, attempt, AlreadyOwnedError.code)
        return
    try:
        result = await _find_or_repeat(ctx.providers[attempt.payment.provider], attempt)
        await record_provider_charge(ctx, attempt, result)
    except (NotSentError, OutcomeUnknownError, RefusedError) as error:
        await _record_timeout(ctx, replace(attempt, checks=attempt.checks + 1), str(error))


async def resume(
    ctx: Context, resource_id: UUID, lease: Lease, *, payment_id: UUID | None = None
) -> CommandResponse:
    """Finish what a request that is gone began, and answer for it.

    `payment_id` is needed for what is done on a payment, and is not that itself.
    """
    attempts = await store.claim_due_attempts(
        ctx.db, at=lease.at, until=lease.until, limit=1, payment_id=payment_id or resource_id
    )
    for attempt in attempts:
        await reconcile_attempt(ctx, attempt)
    return await present_answer(ctx.db, resource_id)


async def _find_or_repeat(provider: Provider, attempt: Attempt) -> Charge:
    if attempt.operation != "charge":
        return await _find_or_operate(provider, attempt)
    if attempt.payment.provider_ref is not None:
        # The charge was made under an earlier attempt's key: to repeat it would make another one.
        return await provider.get_charge(attempt.payment.provider_ref)
    request = _charge_request(attempt)
    return await provider.find_charge(request) or await provider.charge(request)


async def _find_or_operate(provider: Provider, attempt: Attempt) -> Charge:
    """Look where the charge is, and repeat the operation only if it is still held.

    A provider may keep an error as the answer to a key although the operation was done.
    """
    found = await provider.get_charge(attempt.payment.provider_ref or "")
    if found.outcome in AT_REST:
        return found
    return await _operate(provider, attempt)


async def _operate(provider: Provider, attempt: Attempt) -> Charge:
    """Capture or cancel; if that is refused because the charge has ended, return how it ended."""
    charge_ref = attempt.payment.provider_ref or ""
    request = HeldRequest(attempt.id, charge_ref, attempt.to_capture)
    call = provider.capture if attempt.operation == "capture" else provider.cancel
    result = await call(request)
    if result.outcome is not ChargeOutcome.REJECTED:
        return result
    found = await provider.get_charge(charge_ref)
    return found if found.outcome in {*AT_REST, ChargeOutcome.DECLINED} else result


async def record_provider_charge(ctx: Context, attempt: Attempt, charge: Charge) -> Outcome:
    """Record an attempt's outcome by the provider's record of its charge, which may have a history.

    A charge that was captured and refunded in the dashboard, and failed in the end, took nothing
    and gave the refund away. The record no longer holds how much of it was captured: a person
    decides. Raises NotSentError or OutcomeUnknownError.
    """
    if charge.outcome is ChargeOutcome.DECLINED and await _was_refunded(ctx, attempt, charge):
        decision = PaymentDecision(PaymentStatus.REVIEW, 0, REFUNDED_AND_FAILED)
        return await record_outcome(ctx, attempt, decision, charge.provider_ref)
    return await _record_answer(ctx, attempt, charge)


async def _was_refunded(ctx: Context, attempt: Attempt, charge: Charge) -> bool:
    charge_ref = charge.provider_ref or attempt.payment.provider_ref
    if charge_ref is None:
        return False
    refunds = await ctx.providers[attempt.payment.provider].list_refunds(charge_ref)
    return any(refund.status != "failed" for refund in refunds)


async def _record_answer(ctx: Context, attempt: Attempt, result: Charge) -> Outcome:
    """Record what the provider says of its charge."""
    if attempt.operation == "charge":
        decision = decide_charge(result, attempt.amount, attempt.payment.capture_method)
    else:
        held = PaymentStatus(attempt.payment.status)
        decision = decide_operation(attempt.operation, result, held, attempt.amount)
    return await record_outcome(
        ctx, attempt, decision, result.provider_ref, next_action=result.next_action
    )


async def _record_timeout(ctx: Context, attempt: Attempt, reason: str) -> Outcome:
    last = attempt.checks >= ctx.settings.unknown_max_checks
    present = PaymentStatus(attempt.payment.status)
    _log.warning("payment_outcome_unknown", reason=reason, checks=attempt.checks)
    decision = decide_timeout(attempt.operation, present, last_check=last)
    return await record_outcome(ctx, attempt, decision, supposed=True)


def _charge_request(attempt: Attempt) -> ChargeRequest:
    payment = attempt.payment
    return ChargeRequest(
        attempt_id=attempt.id,
        payment_id=payment.id,
        amount=attempt.amount,
        capture=payment.capture_method == "automatic",
        payment_method=payment.payment_method,
    )
