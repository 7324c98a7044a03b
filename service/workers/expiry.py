"""Expires orders that nobody paid in time, and payments that nobody captured."""

from typing import Final

from service.usecases.context import Context
from service.usecases.operations import expire_held
from service.usecases.orders import expire_orders

BATCH: Final = 200


async def run_once(ctx: Context) -> int:
    """Expire what is due; return how many."""
    return await expire_orders(ctx, BATCH) + await expire_held(ctx)
