"""Captures and cancellations: a held payment gets an attempt. Rare, so one at a time."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from service.store import idempotency as keys
from service.store.database import Database, RefusedError
from service.store.idempotency import BeginOutcome, Begun, Claim, begin_outcome


class BeginOperation(Claim, frozen=True, kw_only=True):
    """A capture or cancellation that a request wants; `allowed` are the statuses it is for.

    `amount_minor` is what to capture; None means all of it.
    """

    attempt_id: UUID
    payment_id: UUID
    operation: str
    allowed: list[str]
    amount_minor: int | None = None


_BEGIN: Final = f"""
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json) AS i({keys.COLUMNS},
        attempt_id uuid, payment_id uuid, operation text, allowed text[], amount_minor bigint)
),
payment AS MATERIALIZED (
    SELECT p.id, p.status, p.amount_minor FROM input i
    JOIN payments p ON p.id = i.payment_id AND p.user_id = i.caller FOR UPDATE OF p
),
checked AS MATERIALIZED (
    SELECT i.*, i.attempt_id AS resource_id, CASE
        WHEN p.id IS NULL THEN 'not_found'
        WHEN p.status <> ALL (i.allowed) THEN 'not_ready'
        WHEN i.amount_minor > p.amount_minor THEN 'capture_too_large'
        WHEN EXISTS (SELECT FROM payment_attempts a
                     WHERE a.payment_id = p.id AND a.status IN ('pending', 'unknown')) THEN 'busy'
    END AS refusal
    FROM input i LEFT JOIN payment p ON true
),
{keys.CLAIMED},
attempted AS (
    INSERT INTO payment_attempts (id, payment_id, operation, status, amount_minor, next_check_at,
                                  created_at)
    SELECT c.attempt_id, c.payment_id, c.operation, 'pending', c.amount_minor, c.locked_until, c.at
    FROM checked c JOIN claimed n ON n.resource_id = c.attempt_id
    RETURNING id
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT c.payment_id, c.at, c.operation || '_started', jsonb_strip_nulls(jsonb_build_object(
               'attempt_id', c.attempt_id, 'amount_minor', c.amount_minor)), c.correlation_id
    FROM checked c JOIN attempted t ON t.id = c.attempt_id
)
SELECT {keys.BEGUN}
{keys.FROM}
"""  # noqa: S608  constants only; values are parameters


async def begin_operation(db: Database, item: BeginOperation) -> BeginOutcome:
    """Begin a capture or cancellation."""
    try:
        rows = await db.fetch(_BEGIN, (msgspec.json.encode([item]).decode(),))
    except RefusedError as error:
        if error.constraint != "one_unresolved_attempt_a_payment":
            raise
        return BeginOutcome(Begun.BUSY, item.attempt_id)
    return begin_outcome(*rows[0])


async def expire_held(
    db: Database, *, before: datetime, idle_before: datetime, at: datetime, limit: int
) -> int:
    """Give payments that were held since `before` an attempt to give them up; return how many.

    Those that wait for the buyer hold nothing but our game, and end at `idle_before`.

    The completer takes the attempts up.
    """
    rows = await db.fetch(
        """
        WITH due AS (
            SELECT p.id FROM payments p
            WHERE p.status IN ('authorized', 'requires_action')
              AND p.updated_at < CASE p.status
                  WHEN 'authorized' THEN %(before)s ELSE %(idle_before)s END
              AND NOT EXISTS (
                SELECT FROM payment_attempts a
                WHERE a.payment_id = p.id AND a.status IN ('pending', 'unknown'))
            ORDER BY p.updated_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED),
        attempted AS (
            INSERT INTO payment_attempts
                (id, payment_id, operation, status, next_check_at, created_at)
            SELECT gen_random_uuid(), due.id, 'expire', 'pending', %(at)s, %(at)s FROM due
            ON CONFLICT DO NOTHING
            RETURNING id, payment_id)
        INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
        SELECT t.payment_id, %(at)s, 'expire_started', jsonb_build_object('attempt_id', t.id), ''
        FROM attempted t
        RETURNING payment_id
        """,
        {"before": before, "idle_before": idle_before, "at": at, "limit": limit},
    )
    return len(rows)
