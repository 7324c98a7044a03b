"""The second of a payment's two statements: the provider's answer and all that follows from it.

An attempt gets one outcome: who comes second (the request, the completer, a webhook) finds it
resolved and changes nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

import msgspec

from service.domain.ledger import Entry
from service.store.database import Database, Row, Transaction

NAME: Final = "record_outcomes"

SQL: Final = """
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1::json) AS i(
        payment_id uuid, attempt_id uuid, resource_id uuid, status text, attempt_status text,
        captured_minor bigint,
        provider_ref text, failure_code text, next_check_at timestamptz, entries json,
        ledger_id uuid, event text, data jsonb, correlation_id text, at timestamptz,
        response_status smallint, response_body text, lease timestamptz)
),
-- In order of id, so that two batches never wait for each other.
open_attempts AS MATERIALIZED (
    SELECT a.id, a.next_check_at FROM payment_attempts a
    WHERE a.id = ANY (ARRAY(SELECT attempt_id FROM input)) AND a.status IN ('pending', 'unknown')
    ORDER BY a.id FOR UPDATE
),
ended AS MATERIALIZED (
    SELECT i.* FROM input i JOIN open_attempts o ON o.id = i.attempt_id
    WHERE i.lease IS NULL OR o.next_check_at = i.lease
),
attempts AS (
    UPDATE payment_attempts a SET
        status = s.attempt_status,
        error_code = s.failure_code,
        checks = a.checks + (a.status = 'unknown')::integer,
        next_check_at = coalesce(s.next_check_at, a.next_check_at),
        resolved_at = CASE WHEN s.attempt_status IN ('succeeded', 'failed') THEN s.at END
    FROM ended s WHERE a.id = s.attempt_id
),
changed AS (
    UPDATE payments p SET
        status = s.status,
        captured_minor = s.captured_minor,
        provider_ref = coalesce(s.provider_ref, p.provider_ref),
        failure_code = s.failure_code,
        -- since when it stands so: a refused operation puts off no expiry
        updated_at = CASE WHEN p.status = s.status THEN p.updated_at ELSE s.at END
    FROM ended s WHERE p.id = s.payment_id
    RETURNING p.id, p.order_id, p.status
),
paid AS (
    UPDATE orders o SET status = 'paid', updated_at = s.at
    FROM changed c JOIN ended s ON s.payment_id = c.id
    WHERE o.id = c.order_id AND c.status = 'succeeded' AND o.status = 'pending'
    RETURNING c.id AS payment_id, extract(epoch FROM s.at - o.created_at)::float8 AS age_s
),
booked AS (
    INSERT INTO ledger_transactions (id, kind, payment_id, created_at)
    SELECT s.ledger_id, 'capture', s.payment_id, s.at FROM ended s WHERE s.captured_minor > 0
    RETURNING id
),
entries AS (
    INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency)
    SELECT b.id, e.account, e.minor, e.currency
    FROM booked b JOIN ended s ON s.ledger_id = b.id
    CROSS JOIN json_to_recordset(s.entries) AS e(account text, minor bigint, currency text)
),
released AS (
    UPDATE entitlements e SET status = 'released', updated_at = s.at
    FROM ended s WHERE e.payment_id = s.payment_id AND e.status = 'reserved'
        AND s.status IN ('failed', 'canceled', 'expired')
),
sent AS (
    INSERT INTO outbox (topic, dedupe_key, payment_id, correlation_id, next_attempt_at, created_at)
    SELECT 'library.grant', s.payment_id::text, s.payment_id, s.correlation_id, s.at, s.at
    FROM ended s WHERE s.captured_minor > 0
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT s.payment_id, s.at, s.event, s.data, s.correlation_id FROM ended s
),
answered AS (
    UPDATE idempotency_keys k SET
        recovery_point = 'finished', locked_until = NULL,
        response_status = s.response_status, response_body = s.response_body
    FROM ended s WHERE k.resource_id = s.resource_id AND s.response_status IS NOT NULL
        -- Not = 'started': the index of unanswered keys would be read whole for each payment.
        AND k.recovery_point <> 'finished'
    RETURNING k.resource_id
)
SELECT i.attempt_id, s.attempt_id IS NOT NULL, paid.age_s, k.resource_id IS NOT NULL
FROM input i
LEFT JOIN ended s ON s.attempt_id = i.attempt_id
LEFT JOIN paid ON paid.payment_id = i.payment_id
LEFT JOIN answered k ON k.resource_id = i.resource_id
"""


class EntryRow(msgspec.Struct, frozen=True):
    """One side of a ledger transaction."""

    account: str
    minor: int
    currency: str

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> tuple[Self, ...]:
        """Return the rows of a transaction's entries."""
        return tuple(cls(e.account, e.amount.minor, e.amount.currency) for e in entries)


class RecordOutcome(msgspec.Struct, frozen=True):
    """What an attempt came to. `next_check_at` is set while its outcome is unknown.

    `resource_id` is what the request's idempotency key stands for: the payment of a charge, the
    attempt of a capture or a cancellation. `response_status` and `response_body` answer every
    repeat of the request; both are None while it has no answer to keep. With a `lease` the attempt
    gets it only while that is its own, so while no other process has taken it over.
    """

    payment_id: UUID
    attempt_id: UUID
    resource_id: UUID
    status: str
    attempt_status: str
    captured_minor: int
    provider_ref: str | None
    failure_code: str | None
    next_check_at: datetime | None
    entries: tuple[EntryRow, ...]
    ledger_id: UUID
    event: str
    data: dict[str, Any]
    correlation_id: str
    at: datetime
    response_status: int | None
    response_body: str | None
    lease: datetime | None = None


class RecordedOutcome(msgspec.Struct, frozen=True):
    """Whether this outcome was the one that counted, and the age of the order it paid.

    `order_refunded`: it was a refund, and the last that the order's payment had to give.
    `answer_kept`: the request's answer was kept now, and not one before, or none for want of a key.
    """

    applied: bool
    order_age_s: float | None
    order_refunded: bool = False
    answer_kept: bool = False


def conflict_keys(item: RecordOutcome) -> tuple[Any, ...]:
    """Two outcomes of one payment don't share a batch."""
    return (item.payment_id,)


async def record_outcomes(db: Database, items: Sequence[RecordOutcome]) -> list[RecordedOutcome]:
    """Record the outcome of each attempt that is still open; safe to repeat."""
    rows = {row[0]: row for row in await db.run_set(NAME, items)}
    return [_outcome(rows[item.attempt_id]) for item in items]


async def record_outcome_within(transaction: Transaction, item: RecordOutcome) -> RecordedOutcome:
    """Record one outcome as a part of a transaction: the same statement, the same effects."""
    payload = msgspec.json.encode([item]).decode()
    rows = await transaction.fetch(f"EXECUTE {NAME}(%s)", (payload,))
    return _outcome(rows[0])


def _outcome(row: Row) -> RecordedOutcome:
    _, applied, order_age_s, kept = row
    return RecordedOutcome(applied, order_age_s, answer_kept=kept)
