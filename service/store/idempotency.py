"""Idempotency keys: who owns one, what it answered, and when it may be forgotten."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from service.store.database import Database


async def drop_claim(db: Database, resource_ids: Sequence[UUID]) -> None:
    """Free the keys of requests that came to nothing, so that they may be sent again."""
    await db.fetch(
        """
        DELETE FROM idempotency_keys k
        WHERE k.resource_id = ANY (%s::uuid[]) AND k.recovery_point = 'started'
          AND NOT EXISTS (SELECT FROM payments p WHERE p.id = k.resource_id)
          AND NOT EXISTS (SELECT FROM refunds r WHERE r.id = k.resource_id)
          AND NOT EXISTS (SELECT FROM payment_attempts a
                          WHERE a.id = k.resource_id AND a.status IN ('pending', 'unknown'))
        """,
        (list(resource_ids),),
    )


async def free_unanswered(db: Database, payment_id: UUID) -> bool:
    """Free the key of a payment that failed without an answer; False if another was faster.

    Only a payment that is failed over to another provider fails like that.
    """
    rows = await db.fetch(
        """
        DELETE FROM idempotency_keys k USING payments p
        WHERE k.resource_id = %s AND k.recovery_point = 'started' AND k.response_status IS NULL
          AND p.id = k.resource_id AND p.status = 'failed'
        RETURNING 1
        """,
        (payment_id,),
    )
    return bool(rows)


async def take_over_key(
    db: Database, caller: str, key: str, *, at: datetime, until: datetime
) -> bool:
    """Own a key whose first owner is gone; False if another was faster."""
    rows = await db.fetch(
        """
        UPDATE idempotency_keys SET locked_until = %(until)s
        WHERE caller = %(caller)s AND key = %(key)s AND recovery_point = 'started'
          AND (locked_until IS NULL OR locked_until <= %(at)s)
        RETURNING 1
        """,
        {"caller": caller, "key": key, "at": at, "until": until},
    )
    return bool(rows)


async def stored_answer(db: Database, resource_id: UUID) -> tuple[int, str] | None:
    """Return status and body that the request which made this payment or refund got."""
    rows = await db.read(
        "SELECT response_status, response_body FROM idempotency_keys"
        " WHERE resource_id = %s AND response_status IS NOT NULL",
        (resource_id,),
    )
    return (rows[0][0], rows[0][1]) if rows else None


async def free_abandoned(db: Database, *, at: datetime, limit: int) -> int:
    """Free the keys of requests that died after they had come to nothing; return how many.

    Nothing is live behind such a key: no payment or one that failed without an answer, no refund,
    no attempt under way. All other keys are answered by whoever records the outcome behind them. A
    request that is not dead but late finds its key gone, and goes no further.
    """
    rows = await db.fetch(
        """
        DELETE FROM idempotency_keys k USING (
            SELECT s.caller, s.key FROM idempotency_keys s
            WHERE s.recovery_point = 'started' AND s.locked_until <= %(at)s
              AND NOT EXISTS (SELECT FROM refunds r WHERE r.id = s.resource_id)
              AND NOT EXISTS (SELECT FROM payments p
                              WHERE p.id = s.resource_id AND p.status <> 'failed')
              AND NOT EXISTS (SELECT FROM payment_attempts a
                              WHERE a.id = s.resource_id AND a.status IN ('pending', 'unknown'))
            ORDER BY s.locked_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED) dead
        WHERE k.caller = dead.caller AND k.key = dead.key
        RETURNING 1
        """,
        {"at": at, "limit": limit},
    )
    return len(rows)


async def reap(db: Database, *, before: datetime, limit: int) -> int:
    """Forget keys that were answered before `before`; return how many.

    What a key has made stays unique without it: an order has one live payment, for ever.
    """
    rows = await db.fetch(
        """
        DELETE FROM idempotency_keys k USING (
            SELECT caller, key FROM idempotency_keys
            WHERE recovery_point = 'finished' AND created_at < %s
            ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED) old
        WHERE k.caller = old.caller AND k.key = old.key
        RETURNING 1
        """,
        (before, limit),
    )
    return len(rows)
