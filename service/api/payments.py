"""Payments and refunds over HTTP."""

from typing import Any

from service.api.app_keys import CONTEXT
from service.api.schemas import (
    CapturePayment,
    CreatePayment,
    CreateRefund,
    PaymentPage,
    PaymentQuery,
    RefundList,
    Timeline,
)
from service.domain.payment import Operation
from service.usecases import operations, payments, refunds
from service.usecases.answer import CommandResponse
from service.views import event_view, payment_view, refund_view
from service.web.endpoint import Call, Nothing, Reply
from service.web.parse import IDEMPOTENT_REPLAYED

REPLAYED = {IDEMPOTENT_REPLAYED: "true"}


async def create_payment(call: Call[CreatePayment, Nothing]) -> Reply:
    """Pay an order."""
    answer = await payments.pay(
        call.app(CONTEXT),
        payments.Pay(
            user_id=call.caller.user_id,
            order_id=call.body.order_id,
            provider=call.body.provider,
            capture=call.body.capture,
            payment_method=call.body.payment_method,
            key=call.idempotency_key,
            fingerprint=call.fingerprint.hex(),
            correlation_id=call.correlation_id,
        ),
    )
    return _reply(answer)


async def get_payment(call: Call[Nothing, Nothing]) -> Reply:
    """Read one payment."""
    payment = await payments.show_payment(
        call.app(CONTEXT), call.ids["payment_id"], call.caller.user_id
    )
    return Reply(200, payment)


async def list_payments(call: Call[Nothing, PaymentQuery]) -> Reply:
    """List the caller's payments, newest first."""
    query = call.query
    found = await payments.list_payments(
        call.app(CONTEXT),
        call.caller.user_id,
        order_id=query.order_id,
        before=query.cursor,
        limit=query.limit + 1,  # one more tells whether there is a next page
    )
    page = found[: query.limit]
    cursor = page[-1].id if len(found) > query.limit else None
    return Reply(200, PaymentPage(tuple(map(payment_view, page)), cursor))


async def get_timeline(call: Call[Nothing, Nothing]) -> Reply:
    """Read what happened to a payment."""
    events = await payments.timeline(call.app(CONTEXT), call.ids["payment_id"], call.caller.user_id)
    return Reply(200, Timeline(tuple(map(event_view, events))))


async def capture_payment(call: Call[CapturePayment, Nothing]) -> Reply:
    """Capture an authorized payment, in part or in full."""
    return await _operate(call, "capture", call.body.amount)


async def cancel_payment(call: Call[Nothing, Nothing]) -> Reply:
    """Give up a payment that is held."""
    return await _operate(call, "cancel")


async def create_refund(call: Call[CreateRefund, Nothing]) -> Reply:
    """Refund a payment, in part or in full."""
    answer = await refunds.refund(
        call.app(CONTEXT),
        refunds.Refund(
            user_id=call.caller.user_id,
            payment_id=call.ids["payment_id"],
            amount_minor=call.body.amount,
            reason=call.body.reason,
            key=call.idempotency_key,
            fingerprint=call.fingerprint.hex(),
            correlation_id=call.correlation_id,
        ),
    )
    return _reply(answer)


async def list_refunds(call: Call[Nothing, Nothing]) -> Reply:
    """List a payment's refunds."""
    found = await refunds.list_refunds(
        call.app(CONTEXT), call.ids["payment_id"], call.caller.user_id
    )
    return Reply(200, RefundList(tuple(map(refund_view, found))))


async def _operate(
    call: Call[Any, Nothing], operation: Operation, amount_minor: int | None = None
) -> Reply:
    answer = await operations.operate_on(
        call.app(CONTEXT),
        operations.Operate(
            operation=operation,
            user_id=call.caller.user_id,
            payment_id=call.ids["payment_id"],
            key=call.idempotency_key,
            fingerprint=call.fingerprint,
            correlation_id=call.correlation_id,
            amount_minor=amount_minor,
        ),
    )
    return _reply(answer)


def _reply(answer: CommandResponse) -> Reply:
    return Reply(answer.status, answer.body, REPLAYED if answer.replayed else {})
