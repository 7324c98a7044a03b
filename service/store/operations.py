"""Captures and cancellations: a held payment gets an attempt. Rare, so one at a time."""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from service.store.database import Database, RefusedError


class BegunOperation(StrEnum):
    """How a request to capture or cancel began."""

    CREATED = "created"
    REPLAY = "replay"
    RESUME = "resume"
    IN_FLIGHT = "in_flight"
    KEY_REUSED = "key_reused"
    NOT_FOUND = "not_found"
    NOT_HELD = "not_held"
    TOO_MUCH = "too_much"
    BUSY = "busy"
    AGAIN = "again"


class BeginOperation(msgspec.Struct, frozen=True):
    """A capture or cancellation that a request wants; `allowed` are the statuses it is for.

    `amount_minor` is what to capture; None means all of it.
    """

    attempt_id: UUID
    payment_id: UUID
    operation: str
    allowed: list[str]
    caller: str
    key: str
    fingerprint: bytes
    correlation_id: str
    at: datetime
    locked_until: datetime
    amount_minor: int | None = None


class BeginOperationOutcome(msgspec.Struct, frozen=True):
    """What came of it; the stored answer if it is a replay."""

    kind: BegunOperation
    resource_id: UUID | None
    response_status: int | None
    response_body: str | None


_BEGIN: Final = """
WITH payment AS MATERIALIZED (
    SELECT p.id, p.status, p.amount_minor FROM payments p
    WHERE p.id = %(payment_id)s AND p.user_id = %(caller)s FOR UPDATE
),
known AS MATERIALIZED (
    SELECT * FROM idempotency_keys WHERE caller = %(caller)s AND key = %(key)s
),
asked AS MATERIALIZED (
    SELECT p.*, p.status = ANY (%(allowed)s::text[]) AS held,
        coalesce(%(amount_minor)s::bigint, p.amount_minor) <= p.amount_minor AS covered, EXISTS (
        SELECT FROM payment_attempts a
        WHERE a.payment_id = p.id AND a.status IN ('pending', 'unknown')) AS busy
    FROM payment p
),
claimed AS (
    INSERT INTO idempotency_keys (caller, key, fingerprint, resource_id, locked_until, created_at)
    SELECT %(caller)s, %(key)s, %(fingerprint)s, %(attempt_id)s, %(locked_until)s, %(at)s
    FROM asked a WHERE a.held AND a.covered AND NOT a.busy
    ON CONFLICT DO NOTHING
    RETURNING resource_id
),
attempted AS (
    INSERT INTO payment_attempts (id, payment_id, operation, status, amount_minor, next_check_at,
                                  created_at)
    SELECT c.resource_id, a.id, %(operation)s, 'pending', %(amount_minor)s, %(locked_until)s,
           %(at)s
    FROM claimed c, asked a
    RETURNING id, payment_id
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT t.payment_id, %(at)s, %(operation)s || '_started',
           jsonb_strip_nulls(jsonb_build_object(
               'attempt_id', t.id, 'amount_minor', %(amount_minor)s::bigint)), %(correlation_id)s
    FROM attempted t
)
SELECT CASE
           WHEN k.resource_id = %(attempt_id)s THEN 'created'
           WHEN k.fingerprint <> %(fingerprint)s THEN 'key_reused'
           WHEN k.response_status IS NOT NULL THEN 'replay'
           WHEN k.locked_until > %(at)s THEN 'in_flight'
           WHEN k.key IS NOT NULL THEN 'resume'
           WHEN a.id IS NULL THEN 'not_found'
           WHEN NOT a.held THEN 'not_held'
           WHEN NOT a.covered THEN 'too_much'
           WHEN a.busy THEN 'busy'
           WHEN t.id IS NULL THEN 'again'
           ELSE 'created'
       END,
       k.resource_id, k.response_status, k.response_body
FROM (SELECT 1) one
LEFT JOIN known k ON true LEFT JOIN asked a ON true LEFT JOIN attempted t ON true
"""


async def begin_operation(db: Database, item: BeginOperation) -> BeginOperationOutcome:
    """Begin a capture or cancellation."""
    try:
        rows = await db.fetch(_BEGIN, msgspec.structs.asdict(item))
    except RefusedError as error:
        if error.constraint != "one_unresolved_attempt_a_payment":
            raise
        return BeginOperationOutcome(BegunOperation.BUSY, None, None, None)
    kind, resource_id, status, body = rows[0]
    return BeginOperationOutcome(BegunOperation(kind), resource_id, status, body)


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
