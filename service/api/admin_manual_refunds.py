"""Money that could not be given back, and parked events, over HTTP: an operator's decisions."""

from service.admin_views import parked_view
from service.api.admin_review import command_of, reply_of
from service.api.admin_schemas import (
    Dismissed,
    DismissParked,
    EvidenceBody,
    GivenBack,
    OrphanCaptures,
    ParkedEventRef,
    ParkedEvents,
    Reason,
)
from service.api.app_keys import CONTEXT
from service.store.inbox_review import Dismissal
from service.usecases import admin_inbox, inbox, manual_refunds, orphans
from service.views import orphan_view
from service.web.endpoint import Call, Nothing, Reply


async def list_orphans(call: Call[Nothing, Nothing]) -> Reply:
    """List the charges that took money for nothing, and whether it was given back."""
    found = await orphans.newest(call.app(CONTEXT))
    return Reply(200, OrphanCaptures(tuple(map(orphan_view, found))))


async def retry_orphan(call: Call[Reason, Nothing]) -> Reply:
    """Have the refund of an orphan in review tried again."""
    command = command_of(call, "orphan_id", EvidenceBody(call.body.note))
    return reply_of(await manual_refunds.retry_orphan(call.app(CONTEXT), command))


async def record_orphan(call: Call[GivenBack, Nothing]) -> Reply:
    """Book an orphan in review as given back otherwise."""
    command = command_of(call, "orphan_id", call.body.evidence)
    return reply_of(await manual_refunds.record_orphan(call.app(CONTEXT), command))


async def retry_refund(call: Call[Reason, Nothing]) -> Reply:
    """Begin a refund in place of one that failed for good or came back."""
    command = command_of(call, "refund_id", EvidenceBody(call.body.note))
    return reply_of(await manual_refunds.retry_refund(call.app(CONTEXT), command))


async def record_refund(call: Call[GivenBack, Nothing]) -> Reply:
    """Book what replaces a refund that failed for good or came back."""
    command = command_of(call, "refund_id", call.body.evidence)
    return reply_of(await manual_refunds.record_refund(call.app(CONTEXT), command))


async def dismiss_refund(call: Call[Reason, Nothing]) -> Reply:
    """Decide that nothing replaces a refund that came back."""
    command = command_of(call, "refund_id", EvidenceBody(call.body.note))
    return reply_of(await manual_refunds.dismiss_refund(call.app(CONTEXT), command))


async def list_parked(call: Call[Nothing, Nothing]) -> Reply:
    """List the events that nobody could make sense of."""
    found = await inbox.list_parked(call.app(CONTEXT))
    return Reply(200, ParkedEvents(tuple(map(parked_view, found))))


async def replay_event(call: Call[ParkedEventRef, Nothing]) -> Reply:
    """Have a parked event looked at once more."""
    return await _end_parked(call, again=True)


async def dismiss_event(call: Call[ParkedEventRef, Nothing]) -> Reply:
    """Dismiss a parked event for good."""
    return await _end_parked(call, again=False)


async def dismiss_events(call: Call[DismissParked, Nothing]) -> Reply:
    """Dismiss parked events in bulk."""
    body = call.body
    which = Dismissal(body.provider, body.type, body.parked_before, body.named)
    count = await admin_inbox.dismiss_parked(
        call.app(CONTEXT), which, actor=call.caller.user_id, reason=body.note
    )
    return Reply(200, Dismissed(count, more=count == admin_inbox.DISMISSED_AT_ONCE))


async def _end_parked(call: Call[ParkedEventRef, Nothing], *, again: bool) -> Reply:
    row = await admin_inbox.end_parked(
        call.app(CONTEXT),
        call.body.provider,
        call.body.event_id,
        again=again,
        actor=call.caller.user_id,
        reason=call.body.note,
    )
    return Reply(200, parked_view(row))
