"""Giving a grant up: its games are let go, and its payment is refunded, in one statement."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from service.store.database import Database


class GiveUp(msgspec.Struct, frozen=True):
    """A grant message to end; `reason` is `refused` or `overdue`, `error` the last failure."""

    message_id: int
    refund_id: UUID
    reason: str
    error: str
    correlation_id: str
    at: datetime


class GivenUp(msgspec.Struct, frozen=True):
    """What came of it; `refund_minor` is 0 when nothing was left to refund."""

    refund_minor: int
    currency: str


# A message whose games are granted was delivered before and is only being repeated: whatever
# becomes of the repeat, the buyer has the games and keeps them.
_GIVE_UP: Final = """
WITH message AS MATERIALIZED (
    SELECT o.id, o.payment_id FROM outbox o
    WHERE o.id = %(message_id)s AND o.topic = 'library.grant'
      AND o.delivered_at IS NULL AND o.given_up_at IS NULL
    FOR UPDATE
),
payment AS MATERIALIZED (
    SELECT p.id, p.currency, m.id AS message_id,
           -- nothing is left of what the provider has taken back
           CASE p.status WHEN 'succeeded'
               THEN p.captured_minor - p.refunded_minor - p.refund_pending_minor ELSE 0
               END AS left_minor
    FROM message m JOIN payments p ON p.id = m.payment_id
    WHERE NOT EXISTS (
        SELECT FROM entitlements e WHERE e.payment_id = p.id AND e.status = 'granted')
    FOR UPDATE OF p
),
ended AS (
    UPDATE outbox o SET given_up_at = %(at)s, last_error = %(error)s
    FROM payment p WHERE o.id = p.message_id
),
released AS (
    UPDATE entitlements e SET status = 'released', updated_at = %(at)s
    FROM payment p WHERE e.payment_id = p.id AND e.status = 'reserved'
),
made AS (
    INSERT INTO refunds (id, payment_id, status, amount_minor, currency, reason, next_check_at,
                         created_at, updated_at)
    SELECT %(refund_id)s, p.id, 'pending', p.left_minor, p.currency, 'grant_failed', %(at)s,
           %(at)s, %(at)s
    FROM payment p WHERE p.left_minor > 0
    RETURNING id, payment_id, amount_minor, currency, reason
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT p.id, %(at)s, 'grant_given_up', jsonb_build_object('message_id', p.message_id,
               'reason', %(reason)s::text, 'error', %(error)s::text), %(correlation_id)s
    FROM payment p
    UNION ALL
    SELECT m.payment_id, %(at)s, 'refund_created', jsonb_build_object('refund_id', m.id,
               'amount_minor', m.amount_minor, 'currency', m.currency, 'reason', m.reason),
           %(correlation_id)s
    FROM made m
)
SELECT coalesce(m.amount_minor, 0), p.currency FROM payment p LEFT JOIN made m ON true
"""


async def give_up(db: Database, item: GiveUp) -> GivenUp | None:
    """Give the grant up; None if it was delivered or given up before.

    The completer takes the refund up at once. Its success closes the order and sends a revoke, for
    a grant that failed here may have been made there all the same.
    """
    rows = await db.fetch(_GIVE_UP, msgspec.structs.asdict(item))
    return GivenUp(*rows[0]) if rows else None
