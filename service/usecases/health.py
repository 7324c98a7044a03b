"""Look after the running shop: is the money right, and is anything stuck."""

from datetime import timedelta

from service.slo import GRANT_FRESHNESS_S
from service.store import disputes as dispute_store
from service.store import invariants as store
from service.store.disputes import Standing
from service.store.invariants import Backlog
from service.usecases.context import Context


async def violations(ctx: Context) -> dict[str, int]:
    """Return the number of rows that break each money invariant."""
    return await store.violations(ctx.db)


async def backlog(ctx: Context) -> Backlog:
    """Return the work that is not finished."""
    now = ctx.now()
    return await store.backlog(
        ctx.db, at=now, grant_deadline=now - timedelta(seconds=GRANT_FRESHNESS_S)
    )


async def disputes(ctx: Context) -> Standing:
    """Return the disputes that are not decided."""
    return await dispute_store.standing(ctx.db)
