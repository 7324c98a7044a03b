"""Refunds in the database. They are rare next to payments, so each is a statement of its own."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec

from service.domain.refund import RefundOrigin, RefundStatus
from service.store.database import Database, Row, Transaction
from service.store.record_outcomes import RecordedOutcome
from service.store.rows import columns, row_of, rows_of


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


COLUMNS: Final = columns(
    RefundRow,
    "r",
    reversed="EXISTS (SELECT FROM reversals v"
    " WHERE v.payment_id = r.payment_id AND v.refund_id = r.id)",
)


class BegunRefund(StrEnum):
    """How a refund request began."""

    CREATED = "created"
    REPLAY = "replay"
    RESUME = "resume"
    IN_FLIGHT = "in_flight"
    KEY_REUSED = "key_reused"
    PAYMENT_NOT_FOUND = "payment_not_found"
    NOT_SUCCEEDED = "not_succeeded"
    DISPUTED = "disputed"
    TOO_MUCH = "too_much"
    AGAIN = "again"


class BeginRefund(msgspec.Struct, frozen=True):
    """A refund that a request wants to make; `amount_minor` None means all that is left."""

    refund_id: UUID
    payment_id: UUID
    caller: str
    key: str
    fingerprint: bytes
    amount_minor: int | None
    reason: str
    correlation_id: str
    at: datetime
    locked_until: datetime


class BeginRefundOutcome(msgspec.Struct, frozen=True):
    """What came of it; the stored answer if it is a replay."""

    kind: BegunRefund
    resource_id: UUID | None
    response_status: int | None
    response_body: str | None


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


_BEGIN: Final = """
WITH payment AS MATERIALIZED (
    SELECT p.* FROM payments p
    WHERE p.id = %(payment_id)s AND p.user_id = %(caller)s FOR UPDATE
),
known AS MATERIALIZED (
    SELECT * FROM idempotency_keys WHERE caller = %(caller)s AND key = %(key)s
),
asked AS (
    SELECT p.*, p.captured_minor - p.refunded_minor - p.refund_pending_minor AS left_minor,
           EXISTS (SELECT FROM disputes d WHERE d.payment_id = p.id
                   AND d.status IN ('needs_response', 'under_review', 'lost')) AS disputed,
           coalesce(%(amount_minor)s::bigint,
                    p.captured_minor - p.refunded_minor - p.refund_pending_minor) AS minor
    FROM payment p
),
claimed AS (
    INSERT INTO idempotency_keys (caller, key, fingerprint, resource_id, locked_until, created_at)
    SELECT %(caller)s, %(key)s, %(fingerprint)s, %(refund_id)s, %(locked_until)s, %(at)s
    FROM asked a WHERE a.status = 'succeeded' AND a.minor BETWEEN 1 AND a.left_minor
        AND NOT a.disputed
    ON CONFLICT DO NOTHING
    RETURNING resource_id
),
made AS (
    INSERT INTO refunds (id, payment_id, status, amount_minor, currency, reason, next_check_at,
                         created_at, updated_at)
    SELECT c.resource_id, a.id, 'pending', a.minor, a.currency, %(reason)s, %(locked_until)s,
           %(at)s, %(at)s
    FROM claimed c, asked a
    RETURNING id, payment_id, amount_minor, currency
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT m.payment_id, %(at)s, 'refund_created', jsonb_build_object('refund_id', m.id,
               'amount_minor', m.amount_minor, 'currency', m.currency, 'reason',
               %(reason)s::text), %(correlation_id)s
    FROM made m
)
SELECT CASE
           WHEN k.resource_id = %(refund_id)s THEN 'created'
           WHEN k.fingerprint <> %(fingerprint)s THEN 'key_reused'
           WHEN k.response_status IS NOT NULL THEN 'replay'
           WHEN k.locked_until > %(at)s THEN 'in_flight'
           WHEN k.key IS NOT NULL THEN 'resume'
           WHEN a.id IS NULL THEN 'payment_not_found'
           WHEN a.status <> 'succeeded' THEN 'not_succeeded'
           WHEN a.disputed THEN 'disputed'
           WHEN a.minor NOT BETWEEN 1 AND a.left_minor THEN 'too_much'
           WHEN m.id IS NULL THEN 'again'
           ELSE 'created'
       END,
       k.resource_id, k.response_status, k.response_body
FROM (SELECT 1) one
LEFT JOIN known k ON true LEFT JOIN asked a ON true LEFT JOIN made m ON true
"""

_RECORD_OUTCOME: Final = """
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
entries AS (
    INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency)
    SELECT b.id, e.account, e.minor, e.currency FROM booked b
    CROSS JOIN json_to_recordset(%(entries)s::json)
        AS e(account text, minor bigint, currency text)
),
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
"""


async def begin_refund(db: Database, item: BeginRefund) -> BeginRefundOutcome:
    """Begin a refund; the payment's row lock makes concurrent ones queue up."""

    async def begin(transaction: Transaction) -> list[Row]:
        # In a statement before, so that the next one sees what was written during the wait: also
        # the key of the same request, which would else be told that too little is left.
        await transaction.fetch(
            "SELECT 1 FROM payments WHERE id = %s AND user_id = %s FOR UPDATE",
            (item.payment_id, item.caller),
        )
        return await transaction.fetch(_BEGIN, msgspec.structs.asdict(item))

    rows = await db.transact(begin)
    kind, resource_id, status, body = rows[0]
    return BeginRefundOutcome(BegunRefund(kind), resource_id, status, body)


async def record_refund_outcome(db: Database, item: RecordRefundOutcome) -> RecordedOutcome:
    """Record an open refund's outcome; not `applied` if another was faster or has its lease."""
    return await db.transact(lambda transaction: record_refund_outcome_within(transaction, item))


async def record_refund_outcome_within(
    transaction: Transaction, item: RecordRefundOutcome
) -> RecordedOutcome:
    """Record the outcome of a refund as a part of a transaction."""
    # Two refunds of one payment that end at once must see each other to know which is the
    # last, so the payment is locked in a statement before.
    await transaction.fetch(
        "SELECT 1 FROM payments p WHERE p.id ="
        " (SELECT r.payment_id FROM refunds r WHERE r.id = %s) FOR UPDATE",
        (item.refund_id,),
    )
    recorded, closed, answered = (
        await transaction.fetch(_RECORD_OUTCOME, msgspec.structs.asdict(item))
    )[0]
    return RecordedOutcome(
        bool(recorded), None, order_refunded=bool(closed), answer_kept=bool(answered)
    )


async def get_refund(db: Database, refund_id: UUID) -> RefundRow | None:
    """Return the refund."""
    rows = await db.read(f"SELECT {COLUMNS} FROM refunds r WHERE r.id = %s", (refund_id,))  # noqa: S608  constants only
    return row_of(RefundRow, rows[0]) if rows else None


async def list_refunds(db: Database, payment_id: UUID) -> list[RefundRow]:
    """Return the payment's refunds, oldest first."""
    rows = await db.read(
        f"SELECT {COLUMNS} FROM refunds r WHERE r.payment_id = %s ORDER BY r.id",  # noqa: S608  constants only
        (payment_id,),
    )
    return rows_of(RefundRow, rows)


async def claim_due_refunds(
    db: Database,
    *,
    at: datetime,
    until: datetime,
    limit: int,
    refund_id: UUID | None = None,
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
            p.provider, p.user_id, p.provider_ref, {COLUMNS}
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
