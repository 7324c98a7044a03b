"""Orphan captures: money that came for a closed payment, until it is refunded."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.store.database import Database
from service.store.rows import Page, Select, rows_of

OrphanStatus = Literal["pending", "refunded", "review"]


class _Orphan(msgspec.Struct, frozen=True):
    id: UUID
    provider: str
    provider_ref: str
    payment_id: UUID
    amount_minor: int
    currency: str
    correlation_id: str


class NewOrphan(_Orphan, frozen=True):
    """A charge that took money and pays nothing."""

    at: datetime


class OrphanRow(_Orphan, frozen=True):
    """An orphan capture; its id is the idempotency key of its refund's first try.

    `retry_keys` are those of the tries that operators have asked for, the last one being tried.
    """

    status: OrphanStatus
    attempts: int
    last_error: str | None
    refund_ref: str | None
    created_at: datetime
    retry_keys: list[UUID]
    user_id: str


_ORPHANS: Final = Select(
    OrphanRow,
    "orphan_captures o",
    newest_first=True,
    user_id="(SELECT p.user_id FROM payments p WHERE p.id = o.payment_id)",
)


_RECORD: Final = """
WITH payment AS MATERIALIZED (
    SELECT p.id FROM payments p WHERE p.id = %(payment_id)s FOR UPDATE
),
made AS (
    INSERT INTO orphan_captures (id, provider, provider_ref, payment_id, amount_minor, currency,
                                 next_attempt_at, correlation_id, created_at, updated_at)
    SELECT %(id)s, %(provider)s, %(provider_ref)s, p.id, %(amount_minor)s, %(currency)s,
           %(at)s, %(correlation_id)s, %(at)s, %(at)s
    FROM payment p
    ON CONFLICT (provider, provider_ref) DO NOTHING
    RETURNING id, payment_id
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT m.payment_id, %(at)s, 'orphan_capture_recorded', jsonb_build_object(
               'orphan_id', m.id, 'provider_ref', %(provider_ref)s::text,
               'amount_minor', %(amount_minor)s::bigint, 'currency', %(currency)s::text),
           %(correlation_id)s
    FROM made m
)
SELECT count(*) FROM made
"""

_RECORD_OUTCOME: Final = """
WITH payment AS MATERIALIZED (
    SELECT p.id FROM payments p WHERE p.id = %(payment_id)s FOR UPDATE
),
ended AS (
    UPDATE orphan_captures o SET status = %(status)s, refund_ref = %(refund_ref)s,
        last_error = %(error)s, updated_at = %(at)s
    FROM payment p WHERE o.id = %(id)s AND o.payment_id = p.id AND o.status = 'pending'
      AND (%(status)s = 'refunded'
           OR o.attempts = %(attempts)s AND o.retry_keys = %(retry_keys)s::uuid[])
    RETURNING o.id, o.payment_id
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT s.payment_id, %(at)s, 'orphan_capture_' || %(status)s, jsonb_build_object(
               'orphan_id', s.id, 'refund_ref', %(refund_ref)s::text,
               'error', %(error)s::text), %(correlation_id)s
    FROM ended s
)
SELECT count(*) FROM ended
"""


_CAME_BACK: Final = """
WITH payment AS MATERIALIZED (
    SELECT p.id FROM payments p WHERE p.id = %(payment_id)s FOR UPDATE
),
returned AS (
    UPDATE orphan_captures o SET status = 'review', refund_ref = NULL, last_error = %(error)s,
        updated_at = %(at)s
    FROM payment p WHERE o.id = %(id)s AND o.payment_id = p.id AND o.status = 'refunded'
      AND o.refund_ref = %(refund_ref)s
    RETURNING o.id, o.payment_id
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT r.payment_id, %(at)s, 'orphan_refund_reversed', jsonb_build_object(
               'orphan_id', r.id, 'refund_ref', %(refund_ref)s::text,
               'error', %(error)s::text), %(correlation_id)s
    FROM returned r
)
SELECT count(*) FROM returned
"""


async def record(db: Database, item: NewOrphan) -> bool:
    """Record an orphan once; False if it is known. Raises RefusedError if the charge pays."""
    rows = await db.fetch(_RECORD, msgspec.structs.asdict(item))
    return bool(rows[0][0])


async def claim_due(db: Database, *, at: datetime, until: datetime, limit: int) -> list[OrphanRow]:
    """Take orphans that are to be refunded and hide them from other workers until `until`."""
    rows = await db.fetch(
        f"""
        WITH due AS (
            SELECT id FROM orphan_captures
            WHERE status = 'pending' AND next_attempt_at <= %(at)s
            ORDER BY next_attempt_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        UPDATE orphan_captures o SET attempts = o.attempts + 1, next_attempt_at = %(until)s
        FROM due WHERE o.id = due.id
        RETURNING {_ORPHANS.columns}
        """,  # noqa: S608  constants only; values are parameters
        {"at": at, "until": until, "limit": limit},
    )
    return rows_of(OrphanRow, rows)


async def put_off(db: Database, orphan_id: UUID, *, until: datetime, error: str) -> None:
    """Record a refund that did not work yet, and when to try again."""
    await db.fetch(
        "UPDATE orphan_captures SET next_attempt_at = %s, last_error = %s"
        " WHERE id = %s AND status = 'pending'",
        (until, error, orphan_id),
    )


async def record_outcome(
    db: Database,
    orphan: OrphanRow,
    status: str,
    *,
    refund_ref: str | None,
    error: str | None,
    at: datetime,
) -> bool:
    """End an orphan as `refunded` or leave it to people (`review`); False if it had ended.

    A refund counts whoever reports it. A failure does not, once a later try is under way: it may be
    at the provider while people decide.
    """
    outcome = {"status": status, "refund_ref": refund_ref, "error": error, "at": at}
    rows = await db.fetch(_RECORD_OUTCOME, msgspec.structs.asdict(orphan) | outcome)
    return bool(rows[0][0])


async def get(db: Database, orphan_id: UUID) -> OrphanRow | None:
    """Return the orphan."""
    return await _ORPHANS.one(db, id=orphan_id)


async def came_back(
    db: Database, orphan: OrphanRow, *, error: str, correlation_id: str, at: datetime
) -> bool:
    """Leave an orphan to people whose refund came back; False if that is known."""
    facts = {"error": error, "correlation_id": correlation_id, "at": at}
    rows = await db.fetch(_CAME_BACK, msgspec.structs.asdict(orphan) | facts)
    return bool(rows[0][0])


async def of_payment(db: Database, payment_id: UUID) -> list[OrphanRow]:
    """Return the orphans of a payment, oldest first."""
    return await _ORPHANS.all(db, payment_id=payment_id)


async def of_charge(db: Database, provider: str, charge_ref: str) -> OrphanRow | None:
    """Return the orphan that a charge is."""
    return await _ORPHANS.one(db, provider=provider, provider_ref=charge_ref)


async def unrefunded(db: Database) -> dict[str, int]:
    """Return how many orphans are not refunded, by status."""
    rows = await db.read(
        "SELECT status, count(*) FROM orphan_captures WHERE status IN ('pending', 'review')"
        " GROUP BY status"
    )
    return {status: int(count) for status, count in rows}


async def list_orphans(db: Database, *, cursor: UUID | None, limit: int) -> Page[OrphanRow]:
    """Return orphans, newest first."""
    return await _ORPHANS.page(db, cursor, limit)
