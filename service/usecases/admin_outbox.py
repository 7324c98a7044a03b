"""The outbox for operators: look at what is stuck, and send a message once more."""

from service.errors import IllegalTransitionError, NotFoundError
from service.logs import get_logger
from service.store import outbox_review as store
from service.store.outbox_review import OutboxRow
from service.usecases import audit
from service.usecases.audit import By
from service.usecases.context import Context

_log = get_logger(__name__)


async def replay(ctx: Context, message_id: int, by: By) -> OutboxRow:
    """Make the message due now; raise NotFoundError or IllegalTransitionError (it was given up).

    A delivered one is delivered again, which changes nothing at its receiver.
    """
    action = audit.entry(ctx, "outbox", message_id, "replay", by)
    outcome, row = await store.replay(ctx.db, message_id, at=action.at, action=action)
    if outcome == "given_up":
        raise IllegalTransitionError("The grant was given up, and its payment is refunded")
    if row is None:
        raise NotFoundError("No such message")
    _log.warning("outbox_replayed_by_operator", message_id=message_id, actor=by.actor)
    return row
