"""Parked events for operators: have one looked at once more, or dismiss it with a reason."""

from service.errors import IllegalTransitionError, NotFoundError
from service.logs import correlation_id, get_logger
from service.store import inbox_review as store
from service.store.admin_actions import AdminAction
from service.store.inbox import EventRow
from service.store.inbox_review import EndParked
from service.usecases.context import Context

_log = get_logger(__name__)


async def end_parked(
    ctx: Context, provider: str, event_id: str, *, again: bool, actor: str, reason: str
) -> EventRow:
    """Make a parked event due now (`again`), or dismiss it for good.

    One that is looked at again is parked again if it still makes no sense. A dismissed one stays
    known, so that a replay of it does nothing. Raises NotFoundError or IllegalTransitionError.
    """
    now = ctx.now()
    action = AdminAction(
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
