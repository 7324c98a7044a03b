"""Disputes and warnings of fraud in the database: one statement a change, with all that follows.

A row has a version. Whoever writes the provider's report names the version that it read before it
asked, so that of two that ask at once the one with the older answer changes nothing and asks again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.domain.dispute import DisputeReview, DisputeStatus
from service.store.database import Database
from service.store.payments import fetch_locked
from service.store.record_outcomes import EntryRow
from service.store.rows import Page, Select, rows_of


class _Dispute(msgspec.Struct, frozen=True):
    id: UUID
    payment_id: UUID
    provider: str
    provider_ref: str
    amount_minor: int
    currency: str
    reason: str
    status: DisputeStatus
    evidence_due_at: datetime | None
    withdrawn_minor: int
    reinstated_minor: int
    version: int
    disputed_at: datetime
    closed_at: datetime | None


class DisputeRow(_Dispute, frozen=True):
    """A dispute as it stands; `review` says what a person has to do about it, if anything."""

    review: DisputeReview | None
    created_at: datetime
    updated_at: datetime


_DISPUTES: Final = Select(DisputeRow, "disputes d", newest_first=True)


class Movement(msgspec.Struct, frozen=True):
    """A ledger transaction of a dispute."""

    id: UUID
    kind: str
    entries: tuple[EntryRow, ...]


class TimelineEntry(msgspec.Struct, frozen=True):
    """An entry of the payment's timeline; the store adds which dispute it is."""

    event: str
    data: dict[str, Any]


class SyncDispute(_Dispute, frozen=True):
    """What the provider says of a dispute; `version` is that of our row when it was asked, or 0.

    `closed_at` is kept as it was if the status is. `revokes`: a lost dispute takes the games back.
    """

    movements: tuple[Movement, ...]
    timeline: tuple[TimelineEntry, ...]
    revokes: bool
    correlation_id: str
    at: datetime


# What a lost dispute takes together with refunds and other lost disputes: all of the payment, and
# its games go back; or a part, and a person says which. A review that was closed stays closed
# until the status is another one.
_FOLLOW: Final = """
WITH before AS MATERIALIZED (
    SELECT d.status, d.review FROM disputes d
    WHERE d.provider = %(provider)s AND d.provider_ref = %(provider_ref)s
),
payment AS MATERIALIZED (
    SELECT p.id,
           p.refunded_minor + %(amount_minor)s + coalesce((
               SELECT sum(o.amount_minor) FROM disputes o
               WHERE o.payment_id = p.id AND o.status = 'lost'
                 AND o.provider_ref <> %(provider_ref)s), 0) >= p.captured_minor AS covers,
           p.refunded_minor < p.captured_minor AS kept,
           EXISTS (SELECT FROM outbox o WHERE o.topic = 'library.revoke'
                   AND o.dedupe_key = p.id::text) AS revoked
    FROM payments p WHERE p.id = %(payment_id)s
),
due AS (
    SELECT CASE
        WHEN b.status = %(status)s THEN b.review
        WHEN %(status)s IN ('warning', 'needs_response') THEN 'answer'
        WHEN %(status)s = 'lost' AND NOT p.revoked AND NOT (%(revokes)s AND p.covers) THEN 'lost'
        WHEN %(status)s = 'won' AND p.revoked AND p.kept THEN 'won_after_revoke'
        END AS review
    FROM payment p LEFT JOIN before b ON true
),
followed AS (
    INSERT INTO disputes AS d (id, payment_id, provider, provider_ref, amount_minor, currency,
                               reason, status, evidence_due_at, withdrawn_minor, reinstated_minor,
                               review, disputed_at, created_at, updated_at, closed_at)
    SELECT %(id)s, %(payment_id)s, %(provider)s, %(provider_ref)s, %(amount_minor)s, %(currency)s,
           %(reason)s, %(status)s, %(evidence_due_at)s::timestamptz, %(withdrawn_minor)s,
           %(reinstated_minor)s, due.review, %(disputed_at)s, %(at)s, %(at)s,
           %(closed_at)s::timestamptz
    FROM due
    ON CONFLICT (provider, provider_ref) DO UPDATE SET
        amount_minor = excluded.amount_minor, reason = excluded.reason, status = excluded.status,
        evidence_due_at = excluded.evidence_due_at, withdrawn_minor = excluded.withdrawn_minor,
        reinstated_minor = excluded.reinstated_minor, review = excluded.review,
        version = d.version + 1, updated_at = excluded.updated_at, closed_at = excluded.closed_at
    WHERE d.version = %(version)s AND d.payment_id = excluded.payment_id
    RETURNING d.id, d.payment_id, d.version, d.status
),
booked AS (
    INSERT INTO ledger_transactions (id, kind, payment_id, dispute_id, dispute_version, created_at)
    SELECT m.id, m.kind, f.payment_id, f.id, f.version, %(at)s
    FROM followed f
    CROSS JOIN json_to_recordset(%(movements)s::json) AS m(id uuid, kind text)
    RETURNING id
),
entries AS (
    INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency)
    SELECT b.id, e.account, e.minor, e.currency
    FROM booked b
    JOIN json_to_recordset(%(movements)s::json) AS m(id uuid, entries json) ON m.id = b.id
    CROSS JOIN json_to_recordset(m.entries) AS e(account text, minor bigint, currency text)
),
revoke AS (
    INSERT INTO outbox (topic, dedupe_key, payment_id, correlation_id, next_attempt_at, created_at)
    SELECT 'library.revoke', p.id::text, p.id, %(correlation_id)s, %(at)s, %(at)s
    FROM followed f JOIN payment p ON p.id = f.payment_id
    WHERE f.status = 'lost' AND %(revokes)s AND p.covers
    ON CONFLICT DO NOTHING
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT f.payment_id, %(at)s, t.event, t.data || jsonb_build_object('dispute_id', f.id),
           %(correlation_id)s
    FROM followed f
    CROSS JOIN json_to_recordset(%(timeline)s::json) AS t(event text, data jsonb)
)
SELECT count(*) FROM followed
"""


async def sync(db: Database, item: SyncDispute) -> bool:
    """Bring a dispute to what the provider says; False if another was faster than `version`."""
    values = msgspec.structs.asdict(item)
    values["movements"] = _json(item.movements)
    values["timeline"] = _json(item.timeline)
    return bool((await fetch_locked(db, item.payment_id, _FOLLOW, values))[0][0])


async def get(db: Database, dispute_id: UUID) -> DisputeRow | None:
    """Return the dispute."""
    return await _DISPUTES.one(db, id=dispute_id)


async def of_reference(db: Database, provider: str, provider_ref: str) -> DisputeRow | None:
    """Return the dispute that a provider calls so."""
    return await _DISPUTES.one(db, provider=provider, provider_ref=provider_ref)


async def of_payment(db: Database, payment_id: UUID) -> list[DisputeRow]:
    """Return the payment's disputes, oldest first."""
    return await _DISPUTES.all(db, payment_id=payment_id)


async def list_disputes(
    db: Database, *, status: DisputeStatus | None, cursor: UUID | None, limit: int
) -> Page[DisputeRow]:
    """Return disputes, newest first."""
    return await _DISPUTES.page(db, cursor, limit, status=status)


async def open_at(
    db: Database, provider: str, *, after: UUID, before: datetime, limit: int
) -> list[DisputeRow]:
    """Return open disputes of a provider that have not changed since `before`, in order of id."""
    rows = await db.read(
        f"""
        SELECT {_DISPUTES.columns} FROM disputes d
        WHERE d.status IN ('warning', 'needs_response', 'under_review')
          AND d.id > %(after)s AND d.provider = %(provider)s AND d.updated_at < %(before)s
        ORDER BY d.id LIMIT %(limit)s
        """,  # noqa: S608  constants only; values are parameters
        {"after": after, "provider": provider, "before": before, "limit": limit},
    )
    return rows_of(DisputeRow, rows)


async def payment_of_charge(db: Database, provider: str, charge_ref: str) -> UUID | None:
    """Return the payment that a charge pays."""
    rows = await db.read(
        "SELECT id FROM payments WHERE provider = %s AND provider_ref = %s", (provider, charge_ref)
    )
    return rows[0][0] if rows else None


class Standing(msgspec.Struct, frozen=True):
    """Open disputes: how many by status, how much by currency, and the first deadline."""

    open: dict[str, int]
    minor: dict[str, int]
    next_due_at: datetime | None


async def standing(db: Database) -> Standing:
    """Return what is open; a deadline counts while a person has to answer the bank."""
    rows = await db.read(
        "SELECT status, currency, count(*), sum(amount_minor)::bigint, min(evidence_due_at)"
        " FROM disputes WHERE status IN ('warning', 'needs_response', 'under_review')"
        " GROUP BY status, currency"
    )
    counts: dict[str, int] = {}
    minor: dict[str, int] = {}
    due: list[datetime] = []
    for status, currency, count, amount, first in rows:
        counts[status] = counts.get(status, 0) + int(count)
        minor[currency] = minor.get(currency, 0) + int(amount)
        if first is not None and status in ("warning", "needs_response"):
            due.append(first)
    return Standing(counts, minor, min(due, default=None))


def _json(items: Sequence[msgspec.Struct]) -> str:
    return msgspec.json.encode(items).decode()
