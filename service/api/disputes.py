"""Disputes over HTTP: the buyer's look at them, and what operators see and decide."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from service import errors as e
from service.admin_views import AdminDispute, FraudWarningView, admin_dispute_view
from service.api.common import (
    ADMIN,
    CONTEXT,
    READ,
    EvidenceBody,
    PageQuery,
    Reason,
    command_of,
    reply_of,
)
from service.domain.dispute import DisputeStatus
from service.store import disputes as store
from service.store.rows import Page, whole
from service.usecases import dispute_review, disputes
from service.views import DisputeView, dispute_view
from service.web.endpoint import Call, Endpoint, Nothing, Reply


class DisputeQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which disputes."""

    status: DisputeStatus | None = None


class CloseDispute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Closes a dispute's review; `revoke` revokes the games of a lost one."""

    evidence: EvidenceBody
    revoke: Annotated[bool, Meta(description="Take the games back; only of one that is lost")] = (
        False
    )


async def list_payment_disputes(call: Call[Nothing, Nothing]) -> Reply:
    """List a payment's disputes, oldest first."""
    found = await disputes.list_disputes(
        call.app(CONTEXT), call.ids["payment_id"], call.caller.user_id
    )
    return Reply(200, whole(found).map(dispute_view))


async def list_disputes(call: Call[Nothing, DisputeQuery]) -> Reply:
    """List disputes, newest first."""
    found = await store.list_disputes(call.app(CONTEXT).db, **msgspec.structs.asdict(call.query))
    return Reply(200, found.map(admin_dispute_view))


async def close_dispute_review(call: Call[CloseDispute, Nothing]) -> Reply:
    """Close the review of a dispute, and revoke the games of a lost one."""
    command = command_of(call, "dispute_id", call.body.evidence)
    closing = dispute_review.Close(**msgspec.structs.asdict(command), revoke=call.body.revoke)
    return reply_of(await dispute_review.close_dispute(call.app(CONTEXT), closing))


async def close_fraud_warning(call: Call[Reason, Nothing]) -> Reply:
    """Close a warning of fraud."""
    command = command_of(call, "warning_id", EvidenceBody(call.body.note))
    return reply_of(await dispute_review.close_warning(call.app(CONTEXT), command))


ROUTES: Final = (
    Endpoint(
        "GET", "/v1/payments/{payment_id}/disputes", list_payment_disputes, READ,
        {200: Page[DisputeView]}, tag="payments",
    ),
    Endpoint(
        "GET", "/v1/admin/disputes", list_disputes, ADMIN, {200: Page[AdminDispute]}, tag="admin",
    ),
    Endpoint(
        "POST", "/v1/admin/disputes/{dispute_id}/close", close_dispute_review, ADMIN,
        {200: AdminDispute}, tag="admin", errors=(e.IllegalTransitionError,), idempotent=True,
    ),
    Endpoint(
        "POST", "/v1/admin/fraud-warnings/{warning_id}/close", close_fraud_warning, ADMIN,
        {200: FraudWarningView}, tag="admin", errors=(e.IllegalTransitionError,), idempotent=True,
    ),
)  # fmt: skip
