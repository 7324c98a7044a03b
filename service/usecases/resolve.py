"""From an attempt to its outcome: charge, find out what became of a charge, and settle it.

The same code serves the request, its repeat after a crash, and the completer. None of them holds a
transaction open while the provider is asked, and whoever settles second changes nothing.
"""

from datetime import datetime, timedelta
from typing import Any, Final, get_args
from uuid import UUID

from msgspec.structs import replace

from service import metric_catalog as m
from service.domain import ledger
from service.domain.money import Money
from service.domain.payment import (
    CaptureMethod,
    Charge,
    PaymentStatus,
    Verdict,
    judge,
    metric_status,
)
from service.errors import IdempotencyKeyInFlightError
from service.ids import new_id
from service.logs import correlation_id, get_logger
from service.providers.port import ChargeRequest, NotSentError, OutcomeUnknownError
from service.slo import HIGH_VALUE_MINOR
from service.store import payments as store
from service.store.payments import DueAttempt, PaymentRow
from service.store.settle_payments import EntryRow, SettleOutcome, SettlePayment
from service.usecases.answer import Answer
from service.usecases.context import Context
from service.views import encode, payment_view

_log = get_logger(__name__)

MAX_UNKNOWN_WAIT_S: Final = 3_600.0
"""Looks at an unknown outcome are never further apart than an hour."""

_UNDECIDED: Final = frozenset({PaymentStatus.UNKNOWN, PaymentStatus.REVIEW})
_PROVIDER_UNAVAILABLE: Final = Verdict(PaymentStatus.FAILED, 0, "provider_unavailable")


async def charge(ctx: Context, payment: PaymentRow, attempt_id: UUID) -> tuple[Answer, str]:
    """Charge for the first time; return the answer and the metrics' status."""
    request = _request(payment, attempt_id)
    try:
        result = await ctx.providers[payment.provider].charge(request)
    except NotSentError:
        return await _settle(ctx, payment, attempt_id, _PROVIDER_UNAVAILABLE, None, checks=0)
    except OutcomeUnknownError as error:
        return await _settle_unknown(ctx, payment, attempt_id, str(error), checks=0)
    return await _settle_charge(ctx, payment, attempt_id, result, checks=0)


async def fail_unsent(
    ctx: Context, payment: PaymentRow, attempt_id: UUID, failure_code: str
) -> tuple[Answer, str]:
    """Fail a payment whose provider was never asked."""
    verdict = Verdict(PaymentStatus.FAILED, 0, failure_code)
    return await _settle(ctx, payment, attempt_id, verdict, None, checks=0)


async def resolve(ctx: Context, due: DueAttempt) -> Answer:
    """Ask the provider what became of an attempt, and settle it.

    If the provider has no record, the request may still be on its way: it is sent again under the
    same key, which the provider answers once and for all. Failing the payment instead would race
    with the first request.
    """
    payment, provider = due.payment, ctx.providers[due.payment.provider]
    request = _request(payment, due.attempt_id)
    try:
        result = await provider.find_charge(request) or await provider.charge(request)
    except (NotSentError, OutcomeUnknownError) as error:
        answer, _ = await _settle_unknown(
            ctx, payment, due.attempt_id, str(error), checks=due.checks + 1
        )
        return answer
    answer, _ = await _settle_charge(ctx, payment, due.attempt_id, result, checks=due.checks)
    return answer


async def resume_payment(ctx: Context, payment: PaymentRow) -> Answer:
    """Finish a payment whose first request is gone, and answer for it."""
    now = ctx.now()
    until = now + timedelta(seconds=ctx.settings.idempotency_lock_s)
    due = await store.claim_attempt(ctx.db, payment_id=payment.id, at=now, until=until)
    if due is not None:
        return await resolve(ctx, due)
    return await _present_answer(ctx, payment.id)


async def _settle_charge(
    ctx: Context, payment: PaymentRow, attempt_id: UUID, result: Charge, *, checks: int
) -> tuple[Answer, str]:
    verdict = judge(
        result, Money(payment.amount_minor, payment.currency), _capture(payment.capture_method)
    )
    return await _settle(ctx, payment, attempt_id, verdict, result.provider_ref, checks=checks)


async def _settle_unknown(
    ctx: Context, payment: PaymentRow, attempt_id: UUID, reason: str, *, checks: int
) -> tuple[Answer, str]:
    if checks >= ctx.settings.unknown_max_checks and payment.status == PaymentStatus.UNKNOWN:
        verdict = Verdict(PaymentStatus.REVIEW, 0, "outcome_unknown")
    else:
        verdict = Verdict(PaymentStatus.UNKNOWN, 0, "outcome_unknown")
    _log.warning("payment_outcome_unknown", reason=reason, checks=checks)
    return await _settle(ctx, payment, attempt_id, verdict, None, checks=checks)


async def _settle(
    ctx: Context,
    payment: PaymentRow,
    attempt_id: UUID,
    verdict: Verdict,
    provider_ref: str | None,
    *,
    checks: int,
) -> tuple[Answer, str]:
    settled = replace(
        payment,
        status=verdict.status,
        captured_minor=verdict.captured_minor,
        provider_ref=provider_ref or payment.provider_ref,
        failure_code=verdict.failure_code,
        updated_at=ctx.now(),
    )
    answer = Answer(202 if verdict.status in _UNDECIDED else 201, encode(payment_view(settled)))
    item = _settlement(settled, attempt_id, answer, _next_check(ctx, settled, checks))
    outcome = await ctx.settle_payments.submit(item)
    if not outcome.applied:
        stored = await _present_answer(ctx, payment.id)
        return stored, metric_status(verdict.status, verdict.failure_code)
    return answer, _announce(ctx, settled, outcome)


def _settlement(
    payment: PaymentRow, attempt_id: UUID, answer: Answer, next_check_at: datetime | None
) -> SettlePayment:
    status = PaymentStatus(payment.status)
    return SettlePayment(
        payment_id=payment.id,
        attempt_id=attempt_id,
        status=status,
        attempt_status=_attempt_status(status),
        captured_minor=payment.captured_minor,
        provider_ref=payment.provider_ref,
        failure_code=payment.failure_code,
        next_check_at=next_check_at,
        entries=_entries(payment),
        ledger_id=new_id(),
        event=f"payment_{status}",
        data=_event_data(payment, attempt_id),
        correlation_id=correlation_id(),
        at=payment.updated_at,
        response_status=answer.status,
        response_body=answer.body.decode(),
    )


def _announce(ctx: Context, payment: PaymentRow, outcome: SettleOutcome) -> str:
    """Count and log what became of the payment; return the metrics' status."""
    status = metric_status(PaymentStatus(payment.status), payment.failure_code)
    ctx.metrics.inc(m.PAYMENTS, status=status, provider=payment.provider)
    if payment.captured_minor:
        ctx.metrics.observe(m.PAYMENT_AMOUNT, payment.captured_minor, currency=payment.currency)
        ctx.metrics.inc(m.ORDERS, status="paid")
    if outcome.order_age_s is not None:
        ctx.metrics.observe(m.ORDER_DURATION, outcome.order_age_s)
    if payment.status == PaymentStatus.FAILED and payment.amount_minor >= HIGH_VALUE_MINOR:
        ctx.metrics.inc(m.PAYMENT_FAILURES_HIGH_VALUE, provider=payment.provider)
    _log.info(
        f"payment_{payment.status}",
        payment_id=str(payment.id),
        user_id=payment.user_id,
        provider=payment.provider,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        failure_code=payment.failure_code,
    )
    return status


async def _present_answer(ctx: Context, payment_id: UUID) -> Answer:
    """Answer with what is stored for the request; somebody else settled its payment."""
    stored = await store.stored_answer(ctx.db, payment_id)
    if stored is not None:
        return Answer(stored[0], stored[1].encode(), replayed=True)
    raise IdempotencyKeyInFlightError(retry_after_s=2)


def _request(payment: PaymentRow, attempt_id: UUID) -> ChargeRequest:
    return ChargeRequest(
        attempt_id=attempt_id,
        payment_id=payment.id,
        amount=Money(payment.amount_minor, payment.currency),
        capture=payment.capture_method == "automatic",
        payment_method=payment.payment_method,
    )


def _next_check(ctx: Context, payment: PaymentRow, checks: int) -> datetime | None:
    if payment.status != PaymentStatus.UNKNOWN:
        return None
    wait_s = min(ctx.settings.unknown_retry_s * 2**checks, MAX_UNKNOWN_WAIT_S)
    return payment.updated_at + timedelta(seconds=wait_s)


def _attempt_status(status: PaymentStatus) -> str:
    if status is PaymentStatus.UNKNOWN:
        return "unknown"
    return "failed" if status is PaymentStatus.FAILED else "succeeded"


def _entries(payment: PaymentRow) -> tuple[EntryRow, ...]:
    if not payment.captured_minor:
        return ()
    captured = Money(payment.captured_minor, payment.currency)
    return tuple(
        EntryRow(entry.account, entry.amount.minor, entry.amount.currency)
        for entry in ledger.capture(payment.provider, captured)
    )


def _event_data(payment: PaymentRow, attempt_id: UUID) -> dict[str, Any]:
    return {
        "attempt_id": str(attempt_id),
        "provider_ref": payment.provider_ref,
        "captured_minor": payment.captured_minor,
        "failure_code": payment.failure_code,
    }


def _capture(method: str) -> CaptureMethod:
    for known in get_args(CaptureMethod):
        if method == known:
            return known  # type: ignore[no-any-return]
    raise ValueError(f"unknown capture method {method!r}")
