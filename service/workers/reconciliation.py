"""Compares the books when it is time, or when an operator asks; one replica at a time."""

from service.usecases import reconcile
from service.usecases.context import Context


async def run_once(ctx: Context) -> int:
    """Do a run if one is due, and show what is open; return how many runs there were."""
    try:
        return await reconcile.run_due(ctx)
    finally:
        await reconcile.measure(ctx)
