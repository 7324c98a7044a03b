"""Ends what has waited too long: orders, payments that are held, idempotency keys."""

from datetime import timedelta
from typing import Final

from service.store import idempotency
from service.usecases.context import Context
from service.usecases.operations import expire_held
from service.usecases.orders import expire_orders

BATCH: Final = 200


async def run_once(ctx: Context) -> int:
    """Expire what is due; return how much."""
    return await expire_orders(ctx, BATCH) + await expire_held(ctx) + await _reap_keys(ctx)


async def _reap_keys(ctx: Context) -> int:
    before = ctx.now() - timedelta(seconds=ctx.settings.idempotency_ttl_s)
    return await idempotency.reap(ctx.db, before=before, limit=BATCH)
