"""Pay an order: one statement, one call to the provider, one statement."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from service import metric_catalog as m
from service.domain.payment import CaptureMethod, NextAction, PaymentStatus
from service.errors import (
    AlreadyOwnedError,
    AmountNotPayableError,
    IdempotencyKeyInFlightError,
    IdempotencyKeyReusedError,
    LivePaymentExistsError,
    NotFoundError,
    OrderNotPayableError,
    ProviderUnavailableError,
    ProviderUnknownError,
    ServiceError,
    StoreUnavailableError,
)
from service.ids import new_id
from service.logs import bind
from service.providers.port import NotSentError, OutcomeUnknownError
from service.store import idempotency
from service.store import payments as store
from service.store.begin_payments import BeginOutcome, BeginPayment, Begun
from service.store.payments import PaymentRow, TimelineRow
from service.usecases.answer import CommandResponse
from service.usecases.attempts import charge, fail_unsent, resume
from service.usecases.context import Context
from service.usecases.idempotency import take_over
from service.usecases.record_outcome import IN_FLIGHT_RETRY_AFTER_S, Attempt, Outcome
from service.views import PaymentView, encode, payment_view

_read_view: Final = msgspec.json.Decoder(PaymentView).decode

MAX_BEGINS: Final = 3
"""`again` means that another request claimed the key in the same moment; the next look sees it."""


class _Begin(Enum):
    """The key's first request is gone and has left nothing: this one begins anew."""

    ANEW = "anew"


class Pay(msgspec.Struct, frozen=True):
    """A request to pay an order; `fingerprint` is the request's SHA-256 in hexadecimal."""

    user_id: str
    order_id: UUID
    provider: str | None
    capture: CaptureMethod
    payment_method: str
    key: str
    fingerprint: str
    correlation_id: str


async def pay(ctx: Context, command: Pay) -> CommandResponse:
    """Pay the order, or return the answer that this key already got.

    201 with the payment as it ended, also if it failed; 202 while the outcome is not known.
    """
    started, names = time.perf_counter(), _candidates(ctx, command)
    with ctx.metrics.in_progress(m.ACTIVE_PAYMENTS):
        for _ in range(MAX_BEGINS * len(names)):
            name = ctx.providers.choose(names)
            names.remove(name)
            with ctx.providers[name].admit():
                paid = await _pay_through(ctx, command, name, names)
            if isinstance(paid, CommandResponse):
                return await with_next_action(ctx, paid)
            if isinstance(paid, _Begin):
                names = _candidates(ctx, command)
            elif paid is not None:
                duration_s = time.perf_counter() - started
                labels = {"status": paid.metric_status, "provider": name}
                ctx.metrics.observe(m.PAYMENT_DURATION, duration_s, **labels)
                return await with_next_action(ctx, paid.answer)
    raise IdempotencyKeyInFlightError(retry_after_s=IN_FLIGHT_RETRY_AFTER_S)


async def get_payment(ctx: Context, payment_id: UUID, user_id: str) -> PaymentRow:
    """Return the user's payment; raise NotFoundError, also for another user's."""
    payment = await store.get_payment(ctx.db, payment_id)
    if payment is None or payment.user_id != user_id:
        raise NotFoundError("No such payment")
    return payment


async def show_payment(ctx: Context, payment_id: UUID, user_id: str) -> PaymentView:
    """Return the user's payment; if it waits for the buyer, with what the buyer has to do.

    That is asked for each time: its secret is not ours to keep. A provider that does not answer
    leaves it out.
    """
    payment = await get_payment(ctx, payment_id, user_id)
    return payment_view(payment, await _next_action(ctx, payment))


async def with_next_action(ctx: Context, answer: CommandResponse) -> CommandResponse:
    """Add to a kept answer what the buyer has to do, if that is still to be done."""
    if not answer.replayed:
        return answer
    view = _read_view(answer.body)
    if view.status != PaymentStatus.REQUIRES_ACTION:
        return answer
    payment = await store.get_payment(ctx.db, view.id)
    if payment is None:
        return answer
    action = payment_view(payment, await _next_action(ctx, payment)).next_action
    return replace(answer, body=encode(replace(view, next_action=action)))


async def timeline(ctx: Context, payment_id: UUID, user_id: str) -> list[TimelineRow]:
    """Return what happened to the user's payment."""
    await get_payment(ctx, payment_id, user_id)
    return await store.timeline(ctx.db, payment_id)


async def _next_action(ctx: Context, payment: PaymentRow) -> NextAction | None:
    if payment.status != PaymentStatus.REQUIRES_ACTION or payment.provider_ref is None:
        return None
    with suppress(NotSentError, OutcomeUnknownError, ProviderUnavailableError):
        return (await ctx.providers[payment.provider].get_charge(payment.provider_ref)).next_action
    return None


def _candidates(ctx: Context, command: Pay) -> list[str]:
    """Return the providers that may make the payment: the one that is named, or all."""
    if command.provider is None:
        return list(ctx.providers)
    if command.provider not in ctx.providers:
        raise ProviderUnknownError(f"Configured providers: {', '.join(sorted(ctx.providers))}")
    return [command.provider]


async def _pay_through(
    ctx: Context, command: Pay, provider: str, others: Sequence[str]
) -> Outcome | CommandResponse | _Begin | None:
    """Pay with one provider; None if it surely did nothing and one of `others` may try."""
    item = _begin_item(ctx, command, provider)
    bind(payment_id=str(item.payment_id), provider=provider)
    outcome = await _begin(ctx, item)
    match outcome.kind:
        case Begun.CREATED:
            attempt = _attempt(item, outcome)
            amount = attempt.amount
            return await charge(
                ctx, attempt, ctx.providers.taking(others, amount.minor, amount.currency)
            )
        case Begun.AMOUNT_REFUSED if others:
            return None
        case Begun.LOST_GAME:
            return await fail_unsent(ctx, _attempt(item, outcome), AlreadyOwnedError.code)
        case Begun.REPLAY:
            return _stored(outcome)
        case Begun.RESUME:
            return await _resume(ctx, command, outcome)
        case _:
            raise await _refusal(ctx, item, outcome)


def _begin_item(ctx: Context, command: Pay, provider: str) -> BeginPayment:
    now = ctx.now()
    return BeginPayment(
        payment_id=new_id(now),
        attempt_id=new_id(now),
        caller=command.user_id,
        key=command.key,
        fingerprint=command.fingerprint,
        order_id=command.order_id,
        provider=provider,
        capture_method=command.capture,
        payment_method=command.payment_method,
        correlation_id=command.correlation_id,
        at=now,
        locked_until=now + timedelta(seconds=ctx.settings.idempotency_lock_s),
        limits={
            currency: (each.least, each.most)
            for currency, each in ctx.providers[provider].limits.items()
        },
    )


async def _begin(ctx: Context, item: BeginPayment) -> BeginOutcome:
    for _ in range(MAX_BEGINS):
        outcome = await ctx.begin_payments.submit(item)
        if outcome.kind is not Begun.AGAIN:
            return outcome
    raise IdempotencyKeyInFlightError(retry_after_s=IN_FLIGHT_RETRY_AFTER_S)


def _attempt(item: BeginPayment, outcome: BeginOutcome) -> Attempt:
    if outcome.amount is None:
        raise StoreUnavailableError  # a payment always has its order's amount
    payment = PaymentRow(
        id=item.payment_id,
        order_id=item.order_id,
        user_id=item.caller,
        provider=item.provider,
        status=PaymentStatus.PROCESSING,
        capture_method=item.capture_method,
        payment_method=item.payment_method,
        currency=outcome.amount.currency,
        amount_minor=outcome.amount.minor,
        captured_minor=0,
        refund_pending_minor=0,
        refunded_minor=0,
        provider_ref=None,
        failure_code=None,
        created_at=item.at,
        updated_at=item.at,
    )
    return Attempt(item.attempt_id, "charge", payment, lease=item.locked_until)


def _stored(outcome: BeginOutcome) -> CommandResponse:
    if outcome.response_status is None or outcome.response_body is None:
        raise StoreUnavailableError  # the database keeps both or none
    return CommandResponse(outcome.response_status, outcome.response_body.encode(), replayed=True)


async def _resume(ctx: Context, command: Pay, outcome: BeginOutcome) -> CommandResponse | _Begin:
    """Own the key of a request that is gone, and finish what it began."""
    await take_over(ctx, command.user_id, command.key)
    if outcome.resource_id is None:
        raise StoreUnavailableError  # a key always stands for something
    payment = await store.get_payment(ctx.db, outcome.resource_id)
    if payment is None:  # it died before it made one
        await idempotency.drop_claim(ctx.db, [outcome.resource_id])
        return _Begin.ANEW
    if await idempotency.free_unanswered(ctx.db, payment.id):  # it died between two providers
        return _Begin.ANEW
    return await resume(ctx, payment.id, payment.id)


async def _refusal(ctx: Context, item: BeginPayment, outcome: BeginOutcome) -> ServiceError:
    if outcome.kind is Begun.LOST_ORDER:
        await idempotency.drop_claim(ctx.db, [item.payment_id])
    return _REFUSALS[outcome.kind]()


_REFUSALS: Final[dict[Begun, Callable[[], ServiceError]]] = {
    Begun.IN_FLIGHT: lambda: IdempotencyKeyInFlightError(retry_after_s=IN_FLIGHT_RETRY_AFTER_S),
    Begun.KEY_REUSED: IdempotencyKeyReusedError,
    Begun.ORDER_NOT_FOUND: lambda: NotFoundError("No such order"),
    Begun.ORDER_NOT_PAYABLE: OrderNotPayableError,
    Begun.LIVE_PAYMENT: LivePaymentExistsError,
    Begun.LOST_ORDER: LivePaymentExistsError,
    Begun.OWNED: AlreadyOwnedError,
    Begun.AMOUNT_REFUSED: AmountNotPayableError,
}
