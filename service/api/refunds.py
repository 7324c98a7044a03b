"""Refunds over HTTP."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from service import errors as e
from service.api.common import CONTEXT, READ, WRITE, Amount, reply_of
from service.store.rows import Page, whole
from service.usecases import refunds
from service.usecases.idempotency import Request
from service.views import RefundView, refund_view
from service.web.endpoint import Call, Endpoint, Nothing, Reply
from service.web.parse import TEXT


class CreateRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refund; without an amount, of all that is left."""

    reason: Annotated[str, Meta(min_length=1, max_length=200, pattern=TEXT)] = (
        "requested_by_customer"
    )
    amount: Amount | None = None


async def create_refund(call: Call[CreateRefund, Nothing]) -> Reply:
    """Refund a payment, in part or in full."""
    answer = await refunds.refund(
        call.app(CONTEXT),
        refunds.Refund(
            Request(*call.claim), call.ids["payment_id"], call.body.amount, call.body.reason
        ),
    )
    return reply_of(answer)


async def list_refunds(call: Call[Nothing, Nothing]) -> Reply:
    """List a payment's refunds, oldest first."""
    found = await refunds.list_refunds(
        call.app(CONTEXT), call.ids["payment_id"], call.caller.user_id
    )
    return Reply(200, whole(found).map(refund_view))


REFUNDS: Final = "/v1/payments/{payment_id}/refunds"
ROUTES: Final = (
    Endpoint(
        "POST", REFUNDS, create_refund, WRITE, {201: RefundView, 202: RefundView}, tag="refunds",
        idempotent=True,
        errors=(
            e.IllegalTransitionError, e.RefundExceedsCapturedError, e.PaymentDisputedError,
            e.ProviderUnavailableError,
        ),
    ),
    Endpoint("GET", REFUNDS, list_refunds, READ, {200: Page[RefundView]}, tag="refunds"),
)  # fmt: skip
