"""Refunds in the database. They are rare next to payments, so each is a statement of its own."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.domain.refund import RefundOrigin, RefundStatus
from service.store import idempotency as keys
from service.store.database import Database, Row, Transaction
from service.store.idempotency import BeginOutcome, Claim, begin_outcome
from service.store.payments import fetch_locked, lock_payment
from service.store.record_outcomes import RecordedOutcome
from service.store.rows import Select, row_of


class RefundRow(msgspec.Struct, frozen=True):
    """A refund as it stands.

    `origin` is `provider` for one that was made in the provider's dashboard; `reversed` says that
    it had succeeded and came back.
    """

    id: UUID
    payment_id: UUID
    status: RefundStatus
    amount_minor: int
    currency: str
    reason: str
    failure_code: str | None
    created_at: datetime
    updated_at: datetime
    provider_ref: str | None = None
    origin: RefundOrigin = "api"
    reversed: bool = False


REFUNDS: Final = Select(
    RefundRow,
    "refunds r",
    reversed="EXISTS (SELECT FROM reversals v"
    " WHERE v.payment_id = r.payment_id AND v.refund_id = r.id)",
)


class BeginRefund(Claim, frozen=True, kw_only=True):
    """A refund that a request wants to make; `amount_minor` None means all that is left."""

    refund_id: UUID
    payment_id: UUID
    amount_minor: int | None
    reason: str


class DueRefund(msgspec.Struct, frozen=True):
    """A refund whose outcome nobody has recorded in time, and what the provider needs."""

    checks: int
    correlation_id: str
    provider: str
    user_id: str
    charge_ref: str
    refund: RefundRow
    lease: datetime | None = None
    """Until when it is the holder's to resolve, as it stands in its row; None: not the holder's."""


class RecordRefundOutcome(msgspec.Struct, frozen=True):
    """What a refund came to; `next_check_at` is set while nobody knows."""

    refund_id: UUID
    payment_id: UUID
    status: str
    provider_ref: str | None
    failure_code: str | None
    next_check_at: datetime | None
    ledger_id: UUID
    entries: str
    """A JSON array of {account, minor, currency}; empty unless it succeeded."""
    correlation_id: str
    at: datetime
    response_status: int | None
    response_body: str | None
    of_status: list[str] = msgspec.field(default_factory=lambda: ["pending", "unknown"])
    """Statuses that it may record an outcome for; an operator resolves those in review."""
    lease: datetime | None = None
    """If given, it is recorded only while no other process has taken it over."""


_BEGIN: Final = f"""
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json) AS i({keys.COLUMNS},
        refund_id uuid, payment_id uuid, amount_minor bigint, reason text)
),
payment AS MATERIALIZED (
    SELECT p.id, p.status, p.currency,
           p.captured_minor - p.refunded_minor - p.refund_pending_minor AS left_minor,
           EXISTS (SELECT FROM disputes d WHERE d.payment_id = p.id
                   AND d.status IN ('needs_response', 'under_review', 'lost')) AS disputed
    FROM input i JOIN payments p ON p.id = i.payment_id AND p.user_id = i.caller
),
checked AS MATERIALIZED (
    SELECT i.*, i.refund_id AS resource_id, p.currency,
           coalesce(i.amount_minor, p.left_minor) AS minor, CASE
        WHEN p.id IS NULL THEN 'not_found'
        WHEN p.status <> 'succeeded' THEN 'not_succeeded'
        WHEN p.disputed THEN 'disputed'
        WHEN coalesce(i.amount_minor, p.left_minor) NOT BETWEEN 1 AND p.left_minor
            THEN 'refund_too_large'
    END AS refusal
    FROM input i LEFT JOIN payment p ON true
),
{keys.CLAIMED},
made AS (
    INSERT INTO refunds (id, payment_id, status, amount_minor, currency, reason, next_check_at,
                         created_at, updated_at)
    SELECT c.refund_id, c.payment_id, 'pending', c.minor, c.currency, c.reason, c.locked_until,
           c.at, c.at
    FROM checked c JOIN claimed n ON n.resource_id = c.refund_id
    RETURNING id, payment_id, amount_minor, currency, reason
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT m.payment_id, c.at, 'refund_created', jsonb_build_object('refund_id', m.id,
               'amount_minor', m.amount_minor, 'currency', m.currency, 'reason', m.reason),
           c.correlation_id
    FROM made m JOIN checked c ON c.refund_id = m.id
)
SELECT {keys.BEGUN}, m.amount_minor, m.currency
{keys.FROM}
LEFT JOIN made m ON m.id = c.refund_id
"""  # noqa: S608  constants only; values are parameters

ENTRIES: Final = """entries AS (
    INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency)
    SELECT b.id, e.account, e.minor, e.currency FROM booked b
    CROSS JOIN json_to_recordset(%(entries)s::json)
        AS e(account text, minor bigint, currency text)
)"""

_RECORD_OUTCOME: Final = f"""
WITH ended AS (
    UPDATE refunds r SET
        status = %(status)s, provider_ref = coalesce(%(provider_ref)s, r.provider_ref),
        failure_code = %(failure_code)s, updated_at = %(at)s,
        checks = r.checks + (r.status = 'unknown')::integer,
        next_check_at = coalesce(%(next_check_at)s, r.next_check_at)
    WHERE r.id = %(refund_id)s AND r.status = ANY (%(of_status)s::text[])
      AND (%(lease)s::timestamptz IS NULL OR r.next_check_at = %(lease)s::timestamptz)
    RETURNING r.*
),
-- The trigger counts this refund after this statement; the order is refunded when it was the last.
emptied AS (
    SELECT p.id, p.order_id FROM ended s JOIN payments p ON p.id = s.payment_id
    WHERE s.status = 'succeeded' AND p.refunded_minor + s.amount_minor = p.captured_minor
),
closed AS (
    UPDATE orders o SET status = 'refunded', updated_at = %(at)s FROM emptied e
    WHERE o.id = e.order_id AND o.status IN ('paid', 'fulfilled')
    RETURNING o.id
),
revoke AS (
    INSERT INTO outbox (topic, dedupe_key, payment_id, correlation_id, next_attempt_at, created_at)
    SELECT 'library.revoke', e.id::text, e.id, %(correlation_id)s, %(at)s, %(at)s FROM emptied e
    ON CONFLICT (topic, dedupe_key) DO NOTHING  -- an earlier refund came back, or a lost dispute
),
-- It was made in place of one that came back: nobody has to decide on that any more.
replaced AS (
    UPDATE reversals v SET status = 'closed', updated_at = %(at)s FROM ended s
    WHERE v.replacement_id = s.id AND v.status = 'open' AND s.status = 'succeeded'
),
booked AS (
    INSERT INTO ledger_transactions (id, kind, payment_id, refund_id, created_at)
    SELECT %(ledger_id)s, 'refund', s.payment_id, s.id, %(at)s FROM ended s
    WHERE s.status = 'succeeded'
    RETURNING id
),
{ENTRIES},
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT s.payment_id, %(at)s, 'refund_' || s.status, jsonb_build_object('refund_id', s.id,
               'amount_minor', s.amount_minor, 'failure_code', s.failure_code,
               'provider_ref', s.provider_ref), %(correlation_id)s
    FROM ended s
),
answered AS (
    UPDATE idempotency_keys k SET recovery_point = 'finished', locked_until = NULL,
        response_status = %(response_status)s, response_body = %(response_body)s
    FROM ended s WHERE k.resource_id = s.id AND %(response_status)s::smallint IS NOT NULL
        AND k.recovery_point <> 'finished'  -- by resource, not by the index of unanswered keys
    RETURNING 1
)
SELECT (SELECT count(*) FROM ended), (SELECT count(*) FROM closed),
    (SELECT count(*) FROM answered)
"""  # noqa: S608  constants only; values are parameters


async def begin_refund(db: Database, item: BeginRefund) -> BeginOutcome:
    """Begin a refund; the payment's row lock makes concurrent ones queue up.

    So the statement sees what was written during the wait: also the key of the same request, which
    would be refused otherwise, for too little is left.
    """
    values = (msgspec.json.encode([item]).decode(),)
    return begin_outcome(*(await fetch_locked(db, item.payment_id, _BEGIN, values))[0])


async def record_refund_outcome(db: Database, item: RecordRefundOutcome) -> RecordedOutcome:
    """Record an open refund's outcome; not `applied` if another was faster or has its lease."""

    async def record(transaction: Transaction) -> RecordedOutcome:
        await lock_payment(transaction, item.payment_id)
        return await record_refund_outcome_within(transaction, item)

    return await db.transact(record)


async def record_refund_outcome_within(
    transaction: Transaction, item: RecordRefundOutcome
) -> RecordedOutcome:
    """Record the outcome of a refund as a part of a transaction that holds its payment's lock.

    Two refunds of one payment that end at once must see each other to know which is the last.
    """
    rows = await transaction.fetch(_RECORD_OUTCOME, msgspec.structs.asdict(item))
    recorded, closed, answered = rows[0]
    return RecordedOutcome(
        bool(recorded), None, order_refunded=bool(closed), answer_kept=bool(answered)
    )


async def get_refund(db: Database, refund_id: UUID) -> RefundRow | None:
    """Return the refund."""
    return await REFUNDS.one(db, id=refund_id)


async def list_refunds(db: Database, payment_id: UUID) -> list[RefundRow]:
    """Return the payment's refunds, oldest first."""
    return await REFUNDS.all(db, payment_id=payment_id)


async def claim_due_refunds(
    db: Database, *, at: datetime, until: datetime, limit: int, refund_id: UUID | None = None
) -> list[DueRefund]:
    """Take refunds that are overdue (or the one named) and hide them until `until`."""
    rows = await db.fetch(
        f"""
        WITH due AS (
            SELECT r.id FROM refunds r
            WHERE r.status IN ('pending', 'unknown') AND r.next_check_at <= %(at)s
              AND (%(only)s::uuid IS NULL OR r.id = %(only)s::uuid)
            ORDER BY r.next_check_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED),
        taken AS (
            UPDATE refunds r SET next_check_at = %(until)s FROM due WHERE r.id = due.id
            RETURNING r.*)
        SELECT r.checks, (SELECT e.correlation_id FROM payment_events e
                WHERE e.payment_id = p.id ORDER BY e.seq DESC LIMIT 1),
            p.provider, p.user_id, p.provider_ref, {REFUNDS.columns}
        FROM taken r JOIN payments p ON p.id = r.payment_id
        """,  # noqa: S608  constants only; values are parameters
        {"at": at, "until": until, "limit": limit, "only": refund_id},
    )
    return [_due(row, until) for row in rows]


def _due(row: Row, lease: datetime) -> DueRefund:
    checks, correlation_id, provider, user_id, charge_ref, *refund = row
    rest: list[Any] = list(refund)
    return DueRefund(
        checks, correlation_id, provider, user_id, charge_ref, row_of(RefundRow, rest), lease
    )
