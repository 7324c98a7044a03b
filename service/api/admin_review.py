"""The review queue over HTTP: what waits for a person, and the person's decision."""

from typing import Any, Final, Literal

import msgspec

from service import errors as e
from service.admin_views import PaymentDetailView, ReviewItemView, review_view
from service.api.common import ADMIN, CONTEXT, EvidenceBody, PageQuery, command_of, reply_of
from service.store import review as store
from service.store.rows import Page
from service.usecases import admin_payment, review
from service.views import PaymentView, RefundView
from service.web.endpoint import Call, Endpoint, Nothing, Reply


class ResolvePayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision on a payment in review. `succeeded` books exactly the payment's amount."""

    outcome: Literal["succeeded", "failed", "canceled"]
    evidence: EvidenceBody


class ResolveRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision on a refund in review."""

    outcome: Literal["succeeded", "failed"]
    evidence: EvidenceBody


async def list_review(call: Call[Nothing, PageQuery]) -> Reply:
    """List the review queue, oldest first."""
    found = await store.list_review(call.app(CONTEXT).db, **msgspec.structs.asdict(call.query))
    return Reply(200, found.map(review_view))


async def get_payment_detail(call: Call[Nothing, Nothing]) -> Reply:
    """Read a payment with its attempts, refunds and ledger entries."""
    found = await admin_payment.payment_with_all(call.app(CONTEXT), call.ids["payment_id"])
    return Reply(200, found)


async def resolve_payment(call: Call[ResolvePayment, Nothing]) -> Reply:
    """Decide on a payment in review."""
    command = _resolve(call, "payment_id")
    return reply_of(await review.resolve_payment(call.app(CONTEXT), command))


async def resolve_refund(call: Call[ResolveRefund, Nothing]) -> Reply:
    """Decide on a refund in review."""
    command = _resolve(call, "refund_id")
    return reply_of(await review.resolve_refund(call.app(CONTEXT), command))


def _resolve(call: Call[Any, Nothing], subject: str) -> review.Resolve:
    command = command_of(call, subject, call.body.evidence)
    return review.Resolve(**msgspec.structs.asdict(command), outcome=call.body.outcome)


_PAYMENT: Final = "/v1/admin/payments/{payment_id}"
ROUTES: Final = (
    Endpoint(
        "GET", "/v1/admin/review", list_review, ADMIN, {200: Page[ReviewItemView]}, tag="admin",
    ),
    Endpoint("GET", _PAYMENT, get_payment_detail, ADMIN, {200: PaymentDetailView}, tag="admin"),
    Endpoint(
        "POST", f"{_PAYMENT}/resolve", resolve_payment, ADMIN, {200: PaymentView}, tag="admin",
        errors=(e.IllegalTransitionError,), idempotent=True,
    ),
    Endpoint(
        "POST", "/v1/admin/refunds/{refund_id}/resolve", resolve_refund, ADMIN, {200: RefundView},
        tag="admin", errors=(e.IllegalTransitionError,), idempotent=True,
    ),
)  # fmt: skip
