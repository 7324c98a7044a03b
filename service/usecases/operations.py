"""Capture or cancel a payment that is held."""

from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from service.domain.payment import Operation, PaymentStatus
from service.errors import (
    CaptureExceedsAuthorizedError,
    IdempotencyKeyInFlightError,
    IdempotencyKeyReusedError,
    IllegalTransitionError,
    NotFoundError,
    ServiceError,
)
from service.ids import new_id
from service.logs import bind, get_logger
from service.store import operations as store
from service.store.operations import BeginOperation, BeginOperationOutcome, BegunOperation
from service.store.payments import PaymentRow
from service.usecases.answer import CommandResponse
from service.usecases.attempts import operate, resume
from service.usecases.context import Context
from service.usecases.idempotency import take_over
from service.usecases.payments import get_payment, with_next_action
from service.usecases.record_outcome import IN_FLIGHT_RETRY_AFTER_S, Attempt

_log = get_logger(__name__)

MAX_BEGINS: Final = 3
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
    with ctx.providers[payment.provider].admit():
        return await with_next_action(ctx, await _operate_on(ctx, command, payment))


async def _operate_on(ctx: Context, command: Operate, payment: PaymentRow) -> CommandResponse:
    item = _begin_item(ctx, command)
    outcome = await _begin(ctx, item)
    match outcome.kind:
        case BegunOperation.CREATED:
            attempt = Attempt(
                item.attempt_id,
                command.operation,
                payment,
                part_minor=command.amount_minor,
                lease=item.locked_until,
            )
            return (await operate(ctx, attempt)).answer
        case BegunOperation.REPLAY if outcome.response_status and outcome.response_body:
            return CommandResponse(
                outcome.response_status, outcome.response_body.encode(), replayed=True
            )
        case BegunOperation.RESUME if outcome.resource_id:
            return await _resume(ctx, command, outcome.resource_id)
        case _:
            raise _refusal(outcome.kind)


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
        fingerprint=command.fingerprint,
        correlation_id=command.correlation_id,
        at=now,
        locked_until=now + timedelta(seconds=ctx.settings.idempotency_lock_s),
        amount_minor=command.amount_minor,
    )


async def _begin(ctx: Context, item: BeginOperation) -> BeginOperationOutcome:
    for _ in range(MAX_BEGINS):
        outcome = await store.begin_operation(ctx.db, item)
        if outcome.kind is not BegunOperation.AGAIN:
            return outcome
    raise IdempotencyKeyInFlightError(retry_after_s=IN_FLIGHT_RETRY_AFTER_S)


async def _resume(ctx: Context, command: Operate, resource_id: UUID) -> CommandResponse:
    await take_over(ctx, command.user_id, command.key)
    return await resume(ctx, command.payment_id, resource_id)


def _refusal(kind: BegunOperation) -> ServiceError:
    match kind:
        case BegunOperation.KEY_REUSED:
            return IdempotencyKeyReusedError()
        case BegunOperation.NOT_FOUND:
            return NotFoundError("No such payment")
        case BegunOperation.NOT_HELD:
            return IllegalTransitionError("The payment is not held, or no longer")
        case BegunOperation.TOO_MUCH:
            return CaptureExceedsAuthorizedError()
        case BegunOperation.BUSY:
            return IllegalTransitionError("Another capture or cancellation is under way")
        case _:
            return IdempotencyKeyInFlightError(retry_after_s=IN_FLIGHT_RETRY_AFTER_S)
