"""Record the outcome of an attempt: write it, answer its request, count and log it.

Whoever records second changes nothing and gives the answer that the first one stored.
"""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from service import metric_catalog as m
from service.domain import ledger
from service.domain.money import Money
from service.domain.payment import NextAction, PaymentDecision, PaymentStatus, metric_status
from service.events import PAYMENT_REACHED
from service.ids import new_id
from service.logs import correlation_id, get_logger
from service.retry import full_jitter_s
from service.slo import HIGH_VALUE_MINOR
from service.store.payments import Attempt, PaymentRow
from service.store.record_outcomes import EntryRow, RecordedOutcome, RecordOutcome
from service.usecases import orphans
from service.usecases.context import Context
from service.usecases.idempotency import CommandResponse, present_answer, stored_answer
from service.views import encode, payment_view

_log = get_logger(__name__)

MAX_UNKNOWN_WAIT_S: Final = 3_600.0
"""Looks at an unknown outcome are never further apart than an hour."""

_TOOK_MONEY: Final = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.AUTHORIZED})
CREATED, OK, ACCEPTED = 201, 200, 202


class Outcome(msgspec.Struct, frozen=True):
    """The answer to the request, and the metrics' `status` of the payment.

    `applied` if this outcome was the one that counted.
    """

    answer: CommandResponse
    metric_status: str
    applied: bool = True


async def record_outcome(
    ctx: Context,
    attempt: Attempt,
    decision: PaymentDecision,
    provider_ref: str | None = None,
    *,
    next_action: NextAction | None = None,
    keep_answer: bool = True,
    supposed: bool = False,
) -> Outcome:
    """Record the outcome of the attempt; without `keep_answer` its request may be sent again.

    What is only `supposed`, without an answer of the provider, counts while the attempt is ours:
    who took it over may know better. Raises IdempotencyKeyInFlightError then.
    """
    payment = replace(
        attempt.payment,
        status=decision.status,
        captured_minor=decision.captured_minor,
        provider_ref=provider_ref or attempt.payment.provider_ref,
        failure_code=decision.failure_code,
        updated_at=ctx.now(),
    )
    status_code = _http_status(attempt, decision)
    answer = CommandResponse(status_code, encode(payment_view(payment, next_action)))
    # What is kept knows nothing of what the buyer does next: it holds the provider's secret.
    kept = CommandResponse(status_code, encode(payment_view(payment))) if next_action else answer
    item = outcome_item(ctx, attempt, decision, payment, kept if keep_answer else None)
    item = replace(item, lease=attempt.lease if supposed else None)
    outcome = await ctx.record_outcomes.submit(item)
    if not outcome.applied:
        if provider_ref is not None and decision.status in _TOOK_MONEY:
            await orphans.check_if_closed(ctx, payment.id, provider_ref)
        answer = await present_answer(ctx.db, attempt.resource_id)
        return Outcome(answer, metric_status(decision), applied=False)
    if decision.status != attempt.payment.status:
        announce(ctx, payment, outcome, declined=decision.declined)
    if keep_answer and not outcome.answer_kept:
        answer = await stored_answer(ctx.db, attempt.resource_id) or answer
    return Outcome(answer, metric_status(decision))


def _http_status(attempt: Attempt, decision: PaymentDecision) -> int:
    if decision.attempt == "unknown" or decision.status is PaymentStatus.REVIEW:
        return ACCEPTED
    return CREATED if attempt.operation == "charge" else OK


def outcome_item(
    ctx: Context,
    attempt: Attempt,
    decision: PaymentDecision,
    payment: PaymentRow,
    answer: CommandResponse | None,
) -> RecordOutcome:
    """Return what the store writes; `payment` is the payment as the decision leaves it."""
    return RecordOutcome(
        payment_id=payment.id,
        attempt_id=attempt.id,
        resource_id=attempt.resource_id,
        status=decision.status,
        attempt_status=decision.attempt,
        captured_minor=decision.captured_minor,
        provider_ref=payment.provider_ref,
        failure_code=decision.failure_code,
        next_check_at=_next_check(ctx, attempt, decision, payment.updated_at),
        entries=_entries(payment.provider, decision, payment.currency),
        ledger_id=new_id(),
        event=_event(attempt, decision),
        data=_event_data(attempt, decision, payment),
        correlation_id=correlation_id(),
        at=payment.updated_at,
        response_status=answer.status if answer else None,
        response_body=answer.body.decode() if answer else None,
    )


def _event(attempt: Attempt, decision: PaymentDecision) -> str:
    if decision.status != attempt.payment.status or attempt.operation == "charge":
        return f"payment_{decision.status}"
    return f"{attempt.operation}_{decision.attempt}"


def _event_data(attempt: Attempt, decision: PaymentDecision, payment: PaymentRow) -> dict[str, Any]:
    return {
        "attempt_id": str(attempt.id),
        "provider_ref": payment.provider_ref,
        "captured_minor": decision.captured_minor,
        "failure_code": decision.failure_code,
    }


def _next_check(
    ctx: Context, attempt: Attempt, decision: PaymentDecision, at: datetime
) -> datetime | None:
    if decision.attempt != "unknown":
        return None
    first_s = ctx.settings.unknown_retry_s
    wait_s = full_jitter_s(attempt.checks + 1, first_s=first_s, most_s=MAX_UNKNOWN_WAIT_S)
    return at + timedelta(seconds=wait_s)


def _entries(provider: str, decision: PaymentDecision, currency: str) -> tuple[EntryRow, ...]:
    if not decision.captured_minor:
        return ()
    captured = Money(decision.captured_minor, currency)
    return EntryRow.of(ledger.capture(provider, captured))


def announce(
    ctx: Context, payment: PaymentRow, outcome: RecordedOutcome, *, declined: bool = False
) -> None:
    """Count and log a payment that has just reached its status."""
    status = "declined" if declined else payment.status
    ctx.metrics.inc(m.PAYMENTS, status=status, provider=payment.provider)
    if payment.captured_minor:
        ctx.metrics.observe(m.PAYMENT_AMOUNT, payment.captured_minor, currency=payment.currency)
        ctx.metrics.inc(m.ORDERS, status="paid")
    if outcome.order_age_s is not None:
        ctx.metrics.observe(m.ORDER_DURATION, outcome.order_age_s)
    high_value_minor = HIGH_VALUE_MINOR[payment.currency]
    if status == PaymentStatus.FAILED and payment.amount_minor >= high_value_minor:
        ctx.metrics.inc(m.PAYMENT_FAILURES_HIGH_VALUE, provider=payment.provider)
    _log.info(
        PAYMENT_REACHED[payment.status],
        payment_id=str(payment.id),
        user_id=payment.user_id,
        provider=payment.provider,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        failure_code=payment.failure_code,
        declined=declined,
    )
