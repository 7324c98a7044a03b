"""Pay an order: one statement, one call to the provider, one statement."""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from service import metric_catalog as m
from service.domain.payment import CaptureMethod, NextAction, PaymentStatus
from service.errors import (
    AmountNotPayableError,
    NotFoundError,
    ProviderUnavailableError,
    ProviderUnknownError,
)
from service.ids import new_id
from service.logs import bind
from service.providers.guard import GuardedProvider
from service.providers.port import NotSentError, OutcomeUnknownError
from service.store import payments as store
from service.store.begin_payments import BeginPayment
from service.store.payments import PaymentRow, TimelineRow
from service.usecases.attempts import FailedOverError, charge, resume
from service.usecases.context import Context
from service.usecases.idempotency import CommandResponse, Request, run
from service.views import PaymentView, encode, payment_view

_read_view: Final = msgspec.json.Decoder(PaymentView).decode


class Pay(msgspec.Struct, frozen=True):
    """A request to pay an order."""

    request: Request
    order_id: UUID
    provider: str | None
    capture: CaptureMethod
    payment_method: str


async def pay(ctx: Context, command: Pay) -> CommandResponse:
    """Pay the order, or return the answer that this key already got.

    201 with the payment as it ended, also if it failed; 202 while the outcome is not known.
    """
    started, names = time.perf_counter(), _candidates(ctx, command)
    with ctx.metrics.in_progress(m.ACTIVE_PAYMENTS):
        while True:
            name = ctx.providers.choose(names)
            names.remove(name)
            try:
                return await _pay_through(ctx, command, name, names, started)
            except (AmountNotPayableError, FailedOverError):
                if not names:
                    raise


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
    ctx: Context, command: Pay, name: str, others: Sequence[str], started: float
) -> CommandResponse:
    """Pay with one provider; AmountNotPayableError and FailedOverError leave it to `others`."""
    provider = ctx.providers[name]
    with provider.admit():
        item = _begin_item(ctx, command, provider)
        bind(payment_id=str(item.payment_id), provider=name)
        begin = partial(ctx.begin_payments.submit, item)
        created = partial(charge, ctx, provider, item, others, started)
        answer = await run(ctx, begin, "order", created=created, resumed=partial(resume, ctx))
    return await with_next_action(ctx, answer)


def _begin_item(ctx: Context, command: Pay, provider: GuardedProvider) -> BeginPayment:
    now = ctx.now()
    return BeginPayment(
        **msgspec.structs.asdict(command.request),
        at=now,
        locked_until=now + timedelta(seconds=ctx.settings.idempotency_lock_s),
        payment_id=new_id(now),
        attempt_id=new_id(now),
        order_id=command.order_id,
        provider=provider.name,
        capture_method=command.capture,
        payment_method=command.payment_method,
        limits={currency: (each.least, each.most) for currency, each in provider.limits.items()},
    )
