"""Money that could not be refunded, over HTTP: an operator's decisions."""

from typing import Final

import msgspec

from service import errors as e
from service.api.common import ADMIN, CONTEXT, EvidenceBody, PageQuery, Reason, command_of, reply_of
from service.store import orphans as store
from service.store.rows import Page
from service.usecases import manual_refunds
from service.views import OrphanCapture, RefundView, orphan_view
from service.web.endpoint import Call, Endpoint, Nothing, Reply


class ManualRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How money was refunded otherwise; `evidence.provider_ref` names the refund or transfer."""

    evidence: EvidenceBody


async def list_orphan_captures(call: Call[Nothing, PageQuery]) -> Reply:
    """List orphan captures, newest first."""
    found = await store.list_orphans(call.app(CONTEXT).db, **msgspec.structs.asdict(call.query))
    return Reply(200, found.map(orphan_view))


async def retry_orphan_capture(call: Call[Reason, Nothing]) -> Reply:
    """Retry the refund of an orphan capture in review."""
    command = command_of(call, "orphan_id", EvidenceBody(call.body.note))
    return reply_of(await manual_refunds.retry_orphan(call.app(CONTEXT), command))


async def record_orphan_capture(call: Call[ManualRefund, Nothing]) -> Reply:
    """Record an orphan capture in review as refunded otherwise."""
    command = command_of(call, "orphan_id", call.body.evidence)
    return reply_of(await manual_refunds.record_orphan(call.app(CONTEXT), command))


async def retry_refund(call: Call[Reason, Nothing]) -> Reply:
    """Refund again after a refund failed or was reversed."""
    command = command_of(call, "refund_id", EvidenceBody(call.body.note))
    return reply_of(await manual_refunds.retry_refund(call.app(CONTEXT), command))


async def record_refund(call: Call[ManualRefund, Nothing]) -> Reply:
    """Record what replaces a refund that failed or was reversed."""
    command = command_of(call, "refund_id", call.body.evidence)
    return reply_of(await manual_refunds.record_refund(call.app(CONTEXT), command))


async def dismiss_refund(call: Call[Reason, Nothing]) -> Reply:
    """Close a reversed refund without a replacement."""
    command = command_of(call, "refund_id", EvidenceBody(call.body.note))
    return reply_of(await manual_refunds.dismiss_refund(call.app(CONTEXT), command))


_ORPHANS: Final = "/v1/admin/orphan-captures"
_REFUND: Final = "/v1/admin/refunds/{refund_id}"
ROUTES: Final = (
    Endpoint(
        "GET", _ORPHANS, list_orphan_captures, ADMIN, {200: Page[OrphanCapture]}, tag="admin",
    ),
    Endpoint(
        "POST", f"{_ORPHANS}/{{orphan_id}}/retry", retry_orphan_capture, ADMIN,
        {202: OrphanCapture}, tag="admin", errors=(e.IllegalTransitionError,), idempotent=True,
    ),
    Endpoint(
        "POST", f"{_ORPHANS}/{{orphan_id}}/record", record_orphan_capture, ADMIN,
        {200: OrphanCapture}, tag="admin", errors=(e.IllegalTransitionError,), idempotent=True,
    ),
    Endpoint(
        "POST", f"{_REFUND}/retry", retry_refund, ADMIN, {202: RefundView}, tag="admin",
        errors=(e.IllegalTransitionError,), idempotent=True,
    ),
    Endpoint(
        "POST", f"{_REFUND}/record", record_refund, ADMIN, {200: RefundView}, tag="admin",
        errors=(e.IllegalTransitionError,), idempotent=True,
    ),
    Endpoint(
        "POST", f"{_REFUND}/dismiss", dismiss_refund, ADMIN, {200: RefundView}, tag="admin",
        errors=(e.IllegalTransitionError,), idempotent=True,
    ),
)  # fmt: skip
