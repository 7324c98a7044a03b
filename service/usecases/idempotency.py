"""An idempotency key whose first request is gone: whoever owns it next finishes what was begun."""

from datetime import datetime, timedelta
from typing import NamedTuple

from service.errors import IdempotencyKeyInFlightError
from service.store import idempotency
from service.usecases.context import Context
from service.usecases.record_outcome import IN_FLIGHT_RETRY_AFTER_S


class Lease(NamedTuple):
    """For how long a key is ours."""

    at: datetime
    until: datetime


async def take_over(ctx: Context, caller: str, key: str) -> Lease:
    """Own the key; raise IdempotencyKeyInFlightError if another was faster."""
    now = ctx.now()
    lease = Lease(now, now + timedelta(seconds=ctx.settings.idempotency_lock_s))
    if not await idempotency.take_over_key(ctx.db, caller, key, at=lease.at, until=lease.until):
        raise IdempotencyKeyInFlightError(retry_after_s=IN_FLIGHT_RETRY_AFTER_S)
    return lease
