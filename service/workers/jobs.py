"""What the workers do in one round, where that is a call or two; the loop repeats it."""

from datetime import timedelta
from functools import partial
from typing import Final

from service.logs import bind_payment, get_logger
from service.store import idempotency
from service.store.payments import PaymentRow
from service.usecases import action_poller, audit, reconcile
from service.usecases.audit import Rounds
from service.usecases.context import Context
from service.usecases.deliver import claim, deliver
from service.usecases.merchant_webhooks import reap as reap_webhooks
from service.usecases.operations import expire_held
from service.usecases.orders import expire_orders
from service.workers.loop import each

ACTION_POLL_S: Final = 30.0
"""A buyer who sees "please wait" looks again about as often."""

SEAL_POLL_S: Final = 5.0
"""How late a seal may be beyond its interval, and how old the gauge of its lag."""

CHECK_POLL_S: Final = 60.0
"""One part of 10,000 entries a minute: about 0.2 s of the database, a million in two hours."""

BATCH: Final = 200
"""Orders, keys and events that one round of the expiry ends."""

_log = get_logger(__name__)


async def relay_outbox(ctx: Context) -> int:
    """Deliver the messages that are due; return how many there were."""
    return await each(await claim(ctx), partial(deliver, ctx))


async def run_reconciliation(ctx: Context) -> int:
    """Do a run if one is due, and show what is open; return how many runs there were."""
    try:
        return await reconcile.run_due(ctx)
    finally:
        await reconcile.measure(ctx)


async def poll_actions(ctx: Context) -> int:
    """Ask about payments whose buyers are at their bank, in case the webhook is lost.

    Returns 0, since waiting is no work that is left.
    """
    await each(await action_poller.waiting(ctx), partial(_poll, ctx))
    return 0


async def _poll(ctx: Context, payment: PaymentRow) -> None:
    with bind_payment(f"payment-{payment.id.hex}", payment.id, payment.user_id, payment.provider):
        await action_poller.poll(ctx, payment)


async def seal_audit_trail(ctx: Context) -> int:
    """Seal what is due, and show what is not sealed; return how much, if more is waiting."""
    try:
        return await audit.seal(ctx)
    finally:
        await audit.measure(ctx)


async def check_audit_trail(ctx: Context, rounds: Rounds) -> int:
    """Check the next part of the trails; return 0, so that it rests."""
    await audit.check_next(ctx, rounds)
    return 0


async def expire(ctx: Context) -> int:
    """End orders, held payments, idempotency keys and old events that are due; return how many."""
    ended = await expire_orders(ctx, BATCH) + await expire_held(ctx)
    return ended + await _end_keys(ctx) + await reap_webhooks(ctx)


async def _end_keys(ctx: Context) -> int:
    """Forget keys that are old, and free those whose request died having come to nothing."""
    now = ctx.now()
    before = now - timedelta(seconds=ctx.settings.idempotency_ttl_s)
    freed = await idempotency.free_abandoned(ctx.db, at=now, limit=BATCH)
    if freed:
        _log.warning("idempotency_keys_freed", count=freed)
    return freed + await idempotency.reap(ctx.db, before=before, limit=BATCH)
