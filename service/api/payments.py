"""Payments over HTTP."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from service import errors as e
from service.api.common import CONTEXT, READ, WRITE, Amount, PageQuery, reply_of
from service.domain.payment import CaptureMethod
from service.store import payments as store
from service.store.rows import Page, whole
from service.usecases import operations, payments
from service.usecases.idempotency import Request
from service.views import EventView, PaymentView, event_view, payment_view
from service.web.endpoint import Call, Endpoint, Nothing, Reply
from service.web.parse import OptionalBody

PaymentMethod = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_]{1,128}(?!\n)$",
        description="The provider's token of a payment method; never a card number",
        examples=["pm_ok"],
    ),
]


class CreatePayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payment of an order's total."""

    order_id: UUID
    provider: Annotated[str, Meta(pattern=r"^[a-z]{1,32}(?!\n)$")] | None = None
    capture: CaptureMethod = "automatic"
    payment_method: PaymentMethod = "pm_ok"


class CapturePayment(OptionalBody, frozen=True, forbid_unknown_fields=True):
    """A capture; without an amount, of all that is authorized. The rest is let go."""

    amount: Amount | None = None


class PaymentQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which of the caller's payments."""

    order_id: UUID | None = None


async def create_payment(call: Call[CreatePayment, Nothing]) -> Reply:
    """Pay an order."""
    answer = await payments.pay(
        call.app(CONTEXT),
        payments.Pay(
            Request(*call.claim),
            order_id=call.body.order_id,
            provider=call.body.provider,
            capture=call.body.capture,
            payment_method=call.body.payment_method,
        ),
    )
    return reply_of(answer)


async def list_payments(call: Call[Nothing, PaymentQuery]) -> Reply:
    """List your payments, newest first."""
    found = await store.list_payments(
        call.app(CONTEXT).db, call.caller.user_id, **msgspec.structs.asdict(call.query)
    )
    return Reply(200, found.map(payment_view))


async def get_payment(call: Call[Nothing, Nothing]) -> Reply:
    """Read a payment."""
    payment = await payments.show_payment(
        call.app(CONTEXT), call.ids["payment_id"], call.caller.user_id
    )
    return Reply(200, payment)


async def get_timeline(call: Call[Nothing, Nothing]) -> Reply:
    """Read a payment's timeline, oldest first."""
    events = await payments.timeline(call.app(CONTEXT), call.ids["payment_id"], call.caller.user_id)
    return Reply(200, whole(events).map(event_view))


async def capture_payment(call: Call[CapturePayment, Nothing]) -> Reply:
    """Capture an authorized payment, in part or in full."""
    return await _operate(call, "capture", call.body.amount)


async def cancel_payment(call: Call[Nothing, Nothing]) -> Reply:
    """Cancel an authorized payment."""
    return await _operate(call, "cancel")


async def _operate(
    call: Call[Any, Nothing],
    operation: Literal["capture", "cancel"],
    amount_minor: int | None = None,
) -> Reply:
    answer = await operations.operate_on(
        call.app(CONTEXT),
        operations.Operate(Request(*call.claim), operation, call.ids["payment_id"], amount_minor),
    )
    return reply_of(answer)


ONE: Final = "/v1/payments/{payment_id}"
_ANSWERS: Final = {200: PaymentView, 202: PaymentView}
_HELD: Final = (e.IllegalTransitionError, e.ProviderUnavailableError)
ROUTES: Final = (
    Endpoint(
        "POST", "/v1/payments", create_payment, WRITE, {201: PaymentView, 202: PaymentView},
        tag="payments", idempotent=True,
        errors=(
            e.NotFoundError, e.OrderNotPayableError, e.LivePaymentExistsError,
            e.AlreadyOwnedError, e.AmountNotPayableError, e.ProviderUnknownError,
        ),
    ),
    Endpoint("GET", "/v1/payments", list_payments, READ, {200: Page[PaymentView]}, tag="payments"),
    Endpoint("GET", ONE, get_payment, READ, {200: PaymentView}, tag="payments"),
    Endpoint(
        "GET", f"{ONE}/timeline", get_timeline, READ, {200: Page[EventView]}, tag="payments",
    ),
    Endpoint(
        "POST", f"{ONE}/capture", capture_payment, WRITE, _ANSWERS, tag="payments",
        idempotent=True, errors=(e.CaptureExceedsAuthorizedError, *_HELD),
    ),
    Endpoint(
        "POST", f"{ONE}/cancel", cancel_payment, WRITE, _ANSWERS, tag="payments",
        idempotent=True, errors=_HELD,
    ),
)  # fmt: skip
