"""Parked events for operators: have one looked at once more, or dismiss it with a reason."""

from typing import Final

import msgspec

from service.errors import IllegalTransitionError, NotFoundError
from service.logs import correlation_id, get_logger
from service.store import inbox_review as store
from service.store.audit_entries import AuditEntry
from service.store.inbox import ParkedEventRow
from service.store.inbox_review import Dismissal, EndParked
from service.usecases.context import Context

_log = get_logger(__name__)

DISMISSED_AT_ONCE: Final = 500
"""Events of one call: each is an entry of the audit trail and a lock until the call ends."""


async def end_parked(
    ctx: Context, provider: str, event_id: str, *, again: bool, actor: str, reason: str
) -> ParkedEventRow:
    """Make a parked event due now (`again`), or dismiss it for good.

    One that is looked at again is parked again if it still makes no sense. A dismissed one stays
    known, so that a replay of it does nothing. Raises NotFoundError or IllegalTransitionError.
    """
    now = ctx.now()
    action = AuditEntry(
        subject="webhook_event",
        subject_id=f"{provider}/{event_id}",
        at=now,
        actor=actor,
        action="replay" if again else "dismiss",
        reason=reason,
        evidence={},
        correlation_id=correlation_id(),
    )
    outcome, row = await store.end_parked(ctx.db, EndParked(provider, event_id, again, now), action)
    if outcome == "not_parked":
        raise IllegalTransitionError("The event is not parked, or no longer")
    if row is None:
        raise NotFoundError("No such event")
    _log.warning(
        "webhook_decided_by_operator", actor=actor, event_type=row.type, outcome=action.action
    )
    return row


async def dismiss_parked(ctx: Context, which: Dismissal, *, actor: str, reason: str) -> int:
    """Dismiss at most DISMISSED_AT_ONCE parked events; return how many.

    Each is as if it were dismissed alone: on record, and still known should it be sent again.
    """
    action = AuditEntry(
        subject="webhook_event",
        subject_id="",
        at=ctx.now(),
        actor=actor,
        action="dismiss",
        reason=reason,
        evidence={"in_bulk": msgspec.to_builtins(which)},
        correlation_id=correlation_id(),
    )
    count = await store.dismiss(ctx.db, which, action, limit=DISMISSED_AT_ONCE)
    _log.warning("webhooks_dismissed_by_operator", actor=actor, count=count)
    return count
