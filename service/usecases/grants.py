"""A paid game that can't be granted: its payment is refunded, by itself."""

from datetime import timedelta

from service import metric_catalog as m
from service.domain.outbox import Topic
from service.ids import new_id
from service.integrations.library import LibraryError, LibraryRefusedError
from service.logs import get_logger
from service.store import grants as store
from service.store.grants import GiveUp
from service.store.outbox import Message
from service.usecases.context import Context

_log = get_logger(__name__)


async def give_up_if_hopeless(ctx: Context, message: Message, error: LibraryError) -> bool:
    """Give up a grant that the Library refuses, or has not taken for too long; return whether."""
    reason = _reason(ctx, message, error)
    if message.topic != Topic.GRANT or reason is None:
        return False
    item = GiveUp(
        message_id=message.id,
        refund_id=new_id(ctx.now()),
        reason=reason,
        error=str(error),
        correlation_id=message.correlation_id,
        at=ctx.now(),
    )
    given_up = await store.give_up(ctx.db, item)
    if given_up is None:
        return False
    ctx.metrics.inc(m.GRANTS_GIVEN_UP, reason=reason)
    _log.error(
        "grant_given_up",
        reason=reason,
        error=str(error),
        refund_minor=given_up.refund_minor,
        currency=given_up.currency,
    )
    return True


def _reason(ctx: Context, message: Message, error: LibraryError) -> str | None:
    if isinstance(error, LibraryRefusedError):
        return "refused"
    deadline = message.created_at + timedelta(seconds=ctx.settings.grant_give_up_s)
    return "overdue" if ctx.now() >= deadline else None
