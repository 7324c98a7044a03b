"""Deliver what the outbox holds: grants and revokes at the Library; once more for operators."""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from service import metric_catalog as m
from service.domain.outbox import Topic
from service.errors import IllegalTransitionError, NotFoundError
from service.integrations.library import LibraryError, LibraryRefusedError
from service.logs import bind_payment, get_logger
from service.retry import full_jitter_s
from service.store import outbox as store
from service.store.outbox import Entitlement, Message, OutboxRow
from service.usecases import audit
from service.usecases.audit import By
from service.usecases.context import Context
from service.usecases.grants import give_up_if_hopeless

_log = get_logger(__name__)

HELD: Final = frozenset({"reserved", "granted"})
FIRST_RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 300.0
"""A paid game is tried for at least this often until the Library takes it."""


async def claim(ctx: Context) -> list[Message]:
    """Take due messages; they are hidden from other relays for the lease."""
    now = ctx.now()
    until = now + timedelta(seconds=ctx.settings.outbox_lease_s)
    return await store.claim(ctx.db, at=now, until=until, limit=ctx.settings.outbox_batch)


async def deliver(ctx: Context, message: Message) -> bool:
    """Deliver one message and return whether that worked; if not, it is due again later.

    A crash between the Library's answer and our record delivers it again, which changes nothing:
    grants carry our id.
    """
    with bind_payment(
        message.correlation_id, message.payment_id, message.user_id, message.provider
    ):
        try:
            await _send(ctx, message)
        except LibraryError as error:
            if not await give_up_if_hopeless(ctx, message, error):
                await _put_off(ctx, message, str(error))
            return False
        fulfilled = await store.delivered(ctx.db, [message.id], ctx.now())
        ctx.metrics.inc(m.OUTBOX_DELIVERIES, topic=message.topic, outcome="ok")
        if fulfilled:
            ctx.metrics.inc(m.ORDERS, fulfilled, status="fulfilled")
        _log.info("outbox_delivered", topic=message.topic, attempts=message.attempts)
        return True


async def replay(ctx: Context, message_id: int, by: By) -> OutboxRow:
    """Make the message due now; raise NotFoundError or IllegalTransitionError (it was given up).

    A delivered one is delivered again, which changes nothing at its receiver.
    """
    action = audit.entry(ctx, "outbox", message_id, "replay", by)
    row = await store.replay(ctx.db, message_id, action)
    if row is None:
        if await store.get_message(ctx.db, message_id) is None:
            raise NotFoundError("No such message")
        raise IllegalTransitionError("The grant was given up, and its payment is refunded")
    _log.warning("outbox_replayed_by_operator", message_id=message_id, actor=by.actor)
    return row


async def _send(ctx: Context, message: Message) -> None:
    for entitlement in await store.entitlements(ctx.db, message.payment_id):
        if message.topic == Topic.GRANT:
            if entitlement.status in HELD:  # a repeat must not bring back what was revoked
                await _grant(ctx, entitlement)
        elif not await ctx.library.revoke(entitlement.id):
            await _forestall(ctx, entitlement)


async def _forestall(ctx: Context, entitlement: Entitlement) -> None:
    """Let a grant that may still be on its way come too late.

    The Library keeps the id of a revoked grant for ever, so one is made there and taken back. One
    that it refuses will not be made by a late request either.
    """
    with suppress(LibraryRefusedError):
        await _grant(ctx, entitlement)
        await ctx.library.revoke(entitlement.id)


async def _grant(ctx: Context, entitlement: Entitlement) -> None:
    await ctx.library.grant(
        entitlement.id,
        user_id=entitlement.user_id,
        game_id=entitlement.game_id,
        quantity=entitlement.quantity,
        order_id=entitlement.order_id,
    )


async def _put_off(ctx: Context, message: Message, reason: str) -> None:
    wait_s = full_jitter_s(message.attempts, first_s=FIRST_RETRY_S, most_s=MAX_RETRY_S)
    until = ctx.now() + timedelta(seconds=wait_s)
    await store.put_off(ctx.db, message.id, until=until, error=reason)
    ctx.metrics.inc(m.OUTBOX_DELIVERIES, topic=message.topic, outcome="error")
    _log.warning("outbox_put_off", topic=message.topic, reason=reason, wait_s=wait_s)
