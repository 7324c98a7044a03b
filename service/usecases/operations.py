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
from service.usecases.answer import CommandResponse
from service.usecases.attempts import operate, resume
from service.usecases.context import Context
from service.usecases.idempotency import run
from service.usecases.payments import get_payment, with_next_action

_log = get_logger(__name__)

EXPIRE_BATCH: Final = 100

ALLOWED: Final[dict[Operation, list[str]]] = {
    "capture": [PaymentStatus.AUTHORIZED],
    "cancel": [PaymentStatus.AUTHORIZED, PaymentStatus.REQUIRES_ACTION],
}


class Operate(msgspec.Struct, frozen=True):
    """A request to capture or cancel; `fingerprint` is the request's SHA-256.

    `amount_minor` is what to capture; None means all of it.
    """

    operation: Operation
    user_id: str
    payment_id: UUID
    key: str
    fingerprint: bytes
    correlation_id: str
    amount_minor: int | None = None


async def operate_on(ctx: Context, command: Operate) -> CommandResponse:
    """Capture or cancel, or return the answer that this key already got.

    200 with the payment, also if the provider refused; 202 while the outcome is not known.
    """
    payment = await get_payment(ctx, command.payment_id, command.user_id)
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
        item = _begin_item(ctx, command)
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


def _begin_item(ctx: Context, command: Operate) -> BeginOperation:
    now = ctx.now()
    return BeginOperation(
        attempt_id=new_id(now),
        payment_id=command.payment_id,
        operation=command.operation,
        allowed=ALLOWED[command.operation],
        caller=command.user_id,
        key=command.key,
        fingerprint=command.fingerprint.hex(),
        correlation_id=command.correlation_id,
        at=now,
        locked_until=now + timedelta(seconds=ctx.settings.idempotency_lock_s),
        amount_minor=command.amount_minor,
    )
