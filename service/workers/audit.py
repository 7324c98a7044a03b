"""Seals the audit trails, and goes round checking them."""

from typing import Final

from service.usecases import audit
from service.usecases.audit import Rounds
from service.usecases.context import Context

SEAL_POLL_S: Final = 5.0
"""How late a seal may be beyond its interval, and how old the gauge of its lag."""

CHECK_POLL_S: Final = 60.0
"""One part of 10,000 entries a minute: about 0.2 s of the database, a million in two hours."""


async def seal_once(ctx: Context) -> int:
    """Seal what is due, and show what is not sealed; return how much, if more is waiting."""
    try:
        return await audit.seal(ctx)
    finally:
        await audit.measure(ctx)


async def check_once(ctx: Context, rounds: Rounds) -> int:
    """Check the next part of the trails; return 0, so that it rests."""
    await audit.check_next(ctx, rounds)
    return 0
