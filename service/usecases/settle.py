"""Settle an attempt: write what it came to, answer its request, count and log it.

Whoever settles second changes nothing and gives the answer that the first one stored.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from service import metric_catalog as m
from service.domain import ledger
from service.domain.money import Money
from service.domain.payment import NextAction, Operation, PaymentStatus, Verdict, metric_status
from service.errors import IdempotencyKeyInFlightError
from service.events import PAYMENT_REACHED
from service.ids import new_id
from service.logs import correlation_id, get_logger
from service.retry import full_jitter_s
from service.slo import HIGH_VALUE_MINOR
from service.store import idempotency
from service.store.payments import PaymentRow
from service.store.settle_payments import EntryRow, SettleOutcome, SettlePayment
from service.usecases import orphans
from service.usecases.answer import Answer
from service.usecases.context import Context
from service.views import encode, payment_view

_log = get_logger(__name__)

MAX_UNKNOWN_WAIT_S: Final = 3_600.0
"""Looks at an unknown outcome are never further apart than an hour."""

IN_FLIGHT_RETRY_AFTER_S: Final = 2
_TOOK_MONEY: Final = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.AUTHORIZED})
CREATED, OK, ACCEPTED = 201, 200, 202


class Attempt(msgspec.Struct, frozen=True):
    """Something that is tried on a payment; `checks` counts the looks at its unknown outcome.

    `part_minor` is what is to be captured, in minor units; None means all of it.
    `lease` is until when it is this process's to resolve; another one may have it after that.
    """

    id: UUID
    operation: Operation
    payment: PaymentRow
    checks: int = 0
    part_minor: int | None = None
    lease: datetime | None = None

    @property
    def resource_id(self) -> UUID:
        """Return what the idempotency key of its request stands for."""
        return self.payment.id if self.operation == "charge" else self.id

    @property
    def amount(self) -> Money:
        """Return the payment's amount."""
        return Money(self.payment.amount_minor, self.payment.currency)

    @property
    def to_capture(self) -> Money:
        """Return what is to be captured of it."""
        minor = self.part_minor or self.payment.amount_minor
        return Money(minor, self.payment.currency)


class Settled(msgspec.Struct, frozen=True):
    """The answer to the request, and the metrics' `status` of the payment.

    `applied` if this settlement was the one that counted.
    """

    answer: Answer
    metric_status: str
    applied: bool = True


async def settle(
    ctx: Context,
    attempt: Attempt,
    verdict: Verdict,
    provider_ref: str | None = None,
    *,
    next_action: NextAction | None = None,
    keep_answer: bool = True,
    supposed: bool = False,
) -> Settled:
    """Settle the attempt; without `keep_answer` its request may be sent again.

    What is only `supposed`, for the provider has not said it, counts while the attempt is ours:
    who took it over may know better. Raises IdempotencyKeyInFlightError then.
    """
    payment = replace(
        attempt.payment,
        status=verdict.status,
        captured_minor=verdict.captured_minor,
        provider_ref=provider_ref or attempt.payment.provider_ref,
        failure_code=verdict.failure_code,
        updated_at=ctx.now(),
    )
    status_code = _http_status(attempt, verdict)
    answer = Answer(status_code, encode(payment_view(payment, next_action)))
    # What is kept knows nothing of what the buyer does next: it holds the provider's secret.
    kept = Answer(status_code, encode(payment_view(payment))) if next_action else answer
    item = settlement(ctx, attempt, verdict, payment, kept if keep_answer else None)
    item = replace(item, lease=attempt.lease if supposed else None)
    outcome = await ctx.settle_payments.submit(item)
    if not outcome.applied:
        if provider_ref is not None and verdict.status in _TOOK_MONEY:
            await orphans.look_if_closed(ctx, payment.id, provider_ref)
        answer = await present_answer(ctx, attempt.resource_id)
        return Settled(answer, metric_status(verdict), applied=False)
    if verdict.status != attempt.payment.status:
        announce(ctx, payment, outcome, declined=verdict.declined)
    if keep_answer and not outcome.answer_kept:
        answer = await stored_answer(ctx, attempt.resource_id) or answer
    return Settled(answer, metric_status(verdict))


async def present_answer(ctx: Context, resource_id: UUID) -> Answer:
    """Return what is stored for the request; raise IdempotencyKeyInFlightError if nothing is."""
    stored = await stored_answer(ctx, resource_id)
    if stored is None:
        raise IdempotencyKeyInFlightError(retry_after_s=IN_FLIGHT_RETRY_AFTER_S)
    return stored


async def stored_answer(ctx: Context, resource_id: UUID) -> Answer | None:
    """Return what is stored for the request, without what the buyer does next."""
    stored = await idempotency.stored_answer(ctx.db, resource_id)
    return Answer(stored[0], stored[1].encode(), replayed=True) if stored else None


def _http_status(attempt: Attempt, verdict: Verdict) -> int:
    if verdict.attempt == "unknown" or verdict.status is PaymentStatus.REVIEW:
        return ACCEPTED
    return CREATED if attempt.operation == "charge" else OK


def settlement(
    ctx: Context, attempt: Attempt, verdict: Verdict, payment: PaymentRow, answer: Answer | None
) -> SettlePayment:
    """Return what the store writes; `payment` is the payment as the verdict leaves it."""
    return SettlePayment(
        payment_id=payment.id,
        attempt_id=attempt.id,
        resource_id=attempt.resource_id,
        status=verdict.status,
        attempt_status=verdict.attempt,
        captured_minor=verdict.captured_minor,
        provider_ref=payment.provider_ref,
        failure_code=verdict.failure_code,
        next_check_at=_next_check(ctx, attempt, verdict, payment.updated_at),
        entries=_entries(payment.provider, verdict, payment.currency),
        ledger_id=new_id(),
        event=_event(attempt, verdict),
        data=_event_data(attempt, verdict, payment),
        correlation_id=correlation_id(),
        at=payment.updated_at,
        response_status=answer.status if answer else None,
        response_body=answer.body.decode() if answer else None,
    )


def _event(attempt: Attempt, verdict: Verdict) -> str:
    if verdict.status != attempt.payment.status or attempt.operation == "charge":
        return f"payment_{verdict.status}"
    return f"{attempt.operation}_{verdict.attempt}"


def _event_data(attempt: Attempt, verdict: Verdict, payment: PaymentRow) -> dict[str, Any]:
    return {
        "attempt_id": str(attempt.id),
        "provider_ref": payment.provider_ref,
        "captured_minor": verdict.captured_minor,
        "failure_code": verdict.failure_code,
    }


def _next_check(ctx: Context, attempt: Attempt, verdict: Verdict, at: datetime) -> datetime | None:
    if verdict.attempt != "unknown":
        return None
    first_s = ctx.settings.unknown_retry_s
    wait_s = full_jitter_s(attempt.checks + 1, first_s=first_s, most_s=MAX_UNKNOWN_WAIT_S)
    return at + timedelta(seconds=wait_s)


def _entries(provider: str, verdict: Verdict, currency: str) -> tuple[EntryRow, ...]:
    if not verdict.captured_minor:
        return ()
    captured = Money(verdict.captured_minor, currency)
    return tuple(
        EntryRow(entry.account, entry.amount.minor, entry.amount.currency)
        for entry in ledger.capture(provider, captured)
    )


def announce(
    ctx: Context, payment: PaymentRow, outcome: SettleOutcome, *, declined: bool = False
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
