"""Disputes over HTTP: the buyer's look at them, and what operators see and decide."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from service.api.admin_review import command_of, reply_of
from service.api.admin_schemas import EvidenceBody, Reason
from service.api.app_keys import CONTEXT
from service.api.schemas import Cursor, Limit
from service.dispute_views import AdminDispute, DisputeView, admin_dispute_view, dispute_view
from service.domain.dispute import DisputeStatus
from service.usecases import dispute_review, disputes
from service.web.endpoint import Call, Nothing, Reply


class DisputeList(msgspec.Struct, frozen=True):
    """A payment's disputes, oldest first."""

    disputes: tuple[DisputeView, ...]


class DisputeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which disputes."""

    status: DisputeStatus | None = None
    cursor: Cursor | None = None
    limit: Limit = 20


class DisputePage(msgspec.Struct, frozen=True):
    """Disputes, newest first; `next_cursor` is null on the last page."""

    disputes: tuple[AdminDispute, ...]
    next_cursor: UUID | None


class CloseDispute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Closes a dispute's review; `revoke` revokes the games of a lost one."""

    evidence: EvidenceBody
    revoke: Annotated[bool, Meta(description="Only for one that is lost")] = False


async def list_of_payment(call: Call[Nothing, Nothing]) -> Reply:
    """List a payment's disputes."""
    found = await disputes.list_disputes(
        call.app(CONTEXT), call.ids["payment_id"], call.caller.user_id
    )
    return Reply(200, DisputeList(tuple(map(dispute_view, found))))


async def list_all(call: Call[Nothing, DisputeQuery]) -> Reply:
    """List disputes, newest first."""
    query = call.query
    found = await disputes.page(
        call.app(CONTEXT), status=query.status, before=query.cursor, limit=query.limit + 1
    )
    page = found[: query.limit]
    cursor = page[-1].id if len(found) > query.limit else None
    return Reply(200, DisputePage(tuple(map(admin_dispute_view, page)), cursor))


async def close(call: Call[CloseDispute, Nothing]) -> Reply:
    """End the review of a dispute."""
    command = command_of(call, "dispute_id", call.body.evidence)
    closing = dispute_review.Close(**msgspec.structs.asdict(command), revoke=call.body.revoke)
    return reply_of(await dispute_review.close_dispute(call.app(CONTEXT), closing))


async def close_warning(call: Call[Reason, Nothing]) -> Reply:
    """End a warning of fraud."""
    command = command_of(call, "warning_id", EvidenceBody(call.body.note))
    return reply_of(await dispute_review.close_warning(call.app(CONTEXT), command))
