"""Capture or cancel a payment that is held."""

from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from service.domain.payment import Operation, PaymentStatus
from service.ids import new_id
from service.logs import bind, get_logger
from service.store import operations as store
from service.store.idempotency import BeginOutcome
from service.store.operations import BeginOperation
from service.store.payments import Attempt
from service.usecases.attempts import operate, resume
from service.usecases.context import Context
from service.usecases.idempotency import CommandResponse, Request, run
from service.usecases.payments import get_payment, with_next_action

_log = get_logger(__name__)

EXPIRE_BATCH: Final = 100

ALLOWED: Final[dict[Operation, list[str]]] = {
    "capture": [PaymentStatus.AUTHORIZED],
    "cancel": [PaymentStatus.AUTHORIZED, PaymentStatus.REQUIRES_ACTION],
}


class Operate(msgspec.Struct, frozen=True):
    """A request to capture or cancel; `amount_minor` is what to capture, None means all of it."""

    request: Request
    operation: Operation
    payment_id: UUID
    amount_minor: int | None = None


async def operate_on(ctx: Context, command: Operate) -> CommandResponse:
    """Capture or cancel, or return the answer that this key already got.

    200 with the payment, also if the provider refused; 202 while the outcome is not known.
    """
    payment = await get_payment(ctx, command.payment_id, command.request.caller)
    bind(payment_id=str(payment.id), provider=payment.provider)

    async def created(_begun: BeginOutcome) -> CommandResponse:
        attempt = Attempt(
            item.attempt_id,
            command.operation,
            payment,
            part_minor=command.amount_minor,
            lease=item.locked_until,
        )
        return (await operate(ctx, attempt)).answer

    with ctx.providers[payment.provider].admit():
        item = BeginOperation(
            **command.request.claim(ctx),
            attempt_id=new_id(ctx.now()),
            payment_id=payment.id,
            operation=command.operation,
            allowed=ALLOWED[command.operation],
            amount_minor=command.amount_minor,
        )
        begin = partial(store.begin_operation, ctx.db, item)
        finish = partial(resume, ctx, payment_id=payment.id)
        answer = await run(ctx, begin, "payment", "held", created=created, resumed=finish)
        return await with_next_action(ctx, answer)


async def expire_held(ctx: Context) -> int:
    """Begin to give up payments that were held too long; the completer does the rest."""
    now = ctx.now()
    before = now - timedelta(seconds=ctx.settings.authorization_ttl_s)
    idle_before = now - timedelta(seconds=ctx.settings.order_ttl_s)
    begun = await store.expire_held(
        ctx.db, before=before, idle_before=idle_before, at=now, limit=EXPIRE_BATCH
    )
    if begun:
        _log.info("held_payments_expire", count=begun)
    return begun
