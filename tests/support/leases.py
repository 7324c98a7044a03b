"""End what a dead process still holds, without waiting for its time to pass."""

from typing import Final

from service.store.database import Database

HELD: Final = (
    "UPDATE idempotency_keys SET locked_until = clock_timestamp() WHERE locked_until IS NOT NULL",
    "UPDATE payment_attempts SET next_check_at = clock_timestamp()"
    " WHERE status IN ('pending', 'unknown')",
    "UPDATE refunds SET next_check_at = clock_timestamp() WHERE status IN ('pending', 'unknown')",
    "UPDATE outbox SET next_attempt_at = clock_timestamp() WHERE delivered_at IS NULL",
)


async def end_leases(database_url: str) -> None:
    """Let every lock and lease have run out now."""
    db = await Database.open(database_url, size=1, timeout_s=5, prepared={})
    try:
        for statement in HELD:
            await db.fetch(statement)
    finally:
        await db.close()
