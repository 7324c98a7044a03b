"""Parked events for operators: have one looked at once more, or dismiss it with a reason."""

from typing import Final

import msgspec

from service.errors import IllegalTransitionError, NotFoundError
from service.logs import get_logger
from service.store import inbox as store
from service.store.inbox import Dismissal, EndParked, ParkedEventRow
from service.usecases import audit
from service.usecases.audit import By
from service.usecases.context import Context

_log = get_logger(__name__)

DISMISSED_AT_ONCE: Final = 500
"""Events of one call: each is an entry of the audit trail and a lock until the call ends."""


async def end_parked(
    ctx: Context, provider: str, event_id: str, by: By, *, again: bool
) -> ParkedEventRow:
    """Make a parked event due now (`again`), or dismiss it for good.

    One that is looked at again is parked again if it still makes no sense. A dismissed one stays
    known, so that a replay of it does nothing. Raises NotFoundError or IllegalTransitionError.
    """
    decision, event = "replay" if again else "dismiss", f"{provider}/{event_id}"
    action = audit.entry(ctx, "webhook_event", event, decision, by)
    item = EndParked(provider, event_id, again, action.at)
    row = await store.end_parked(ctx.db, item, action)
    if row is None:
        if await store.get_event(ctx.db, provider, event_id) is None:
            raise NotFoundError("No such event")
        raise IllegalTransitionError("The event is not parked, or no longer")
    _log.warning(
        "webhook_decided_by_operator", actor=by.actor, event_type=row.type, outcome=action.action
    )
    return row


async def dismiss_parked(ctx: Context, which: Dismissal, by: By) -> int:
    """Dismiss at most DISMISSED_AT_ONCE parked events; return how many.

    Each is as if it were dismissed alone: on record, and still known should it be sent again.
    """
    evidence = {"in_bulk": msgspec.to_builtins(which)}
    action = audit.entry(ctx, "webhook_event", "", "dismiss", by, **evidence)
    count = await store.dismiss(ctx.db, which, action, limit=DISMISSED_AT_ONCE)
    _log.warning("webhooks_dismissed_by_operator", actor=by.actor, count=count)
    return count
