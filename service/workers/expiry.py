"""Ends what has waited too long: orders, payments that are held, idempotency keys, old events."""

from datetime import timedelta
from typing import Final

from service.logs import get_logger
from service.store import idempotency
from service.usecases.context import Context
from service.usecases.merchant_webhooks import reap as reap_webhooks
from service.usecases.operations import expire_held
from service.usecases.orders import expire_orders

BATCH: Final = 200

_log = get_logger(__name__)


async def run_once(ctx: Context) -> int:
    """Expire what is due; return how much."""
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
