"""What waits for a person, and decisions on payments and refunds in review."""

from typing import Final, Literal
from uuid import UUID

import msgspec

from service.store.admin_commands import ORPHAN, CommandItem, run_command
from service.store.database import Database, RefusedError, Transaction
from service.store.idempotency import BeginOutcome
from service.store.record_outcomes import RecordedOutcome, RecordOutcome, record_outcome_within
from service.store.refunds import RecordRefundOutcome, record_refund_outcome_within
from service.store.rows import Page, Timestamp, page_of, rows_of

ReviewKind = Literal[
    "payment",
    "refund",
    "orphan_capture",
    "grant_refund",
    "refund_reversal",
    "dispute",
    "fraud_warning",
]


class ReviewRow(msgspec.Struct, frozen=True):
    """An item of the review queue, of any kind; amounts are minor units."""

    kind: ReviewKind
    id: UUID
    payment_id: UUID
    order_id: UUID
    user_id: str
    provider: str
    provider_ref: str | None
    amount: int
    currency: str
    failure_code: str | None
    created_at: Timestamp
    updated_at: Timestamp


_QUEUE: Final = """
(SELECT 'payment', p.id, p.id, p.order_id, p.user_id, p.provider, p.provider_ref,
        p.amount_minor, p.currency, p.failure_code, p.created_at, p.updated_at
 FROM payments p
 WHERE p.status = 'review' AND (%(cursor)s::uuid IS NULL OR p.id > %(cursor)s::uuid)
 ORDER BY p.id LIMIT %(limit)s)
UNION ALL
(SELECT 'refund', r.id, p.id, p.order_id, p.user_id, p.provider, r.provider_ref,
        r.amount_minor, r.currency, r.failure_code, r.created_at, r.updated_at
 FROM refunds r JOIN payments p ON p.id = r.payment_id
 WHERE r.status = 'review' AND (%(cursor)s::uuid IS NULL OR r.id > %(cursor)s::uuid)
 ORDER BY r.id LIMIT %(limit)s)
UNION ALL
(SELECT 'orphan_capture', o.id, p.id, p.order_id, p.user_id, o.provider, o.provider_ref,
        o.amount_minor, o.currency, o.last_error, o.created_at, o.updated_at
 FROM orphan_captures o JOIN payments p ON p.id = o.payment_id
 WHERE o.status = 'review' AND (%(cursor)s::uuid IS NULL OR o.id > %(cursor)s::uuid)
 ORDER BY o.id LIMIT %(limit)s)
UNION ALL
(SELECT 'grant_refund', r.id, p.id, p.order_id, p.user_id, p.provider, r.provider_ref,
        p.captured_minor - p.refunded_minor - p.refund_pending_minor, r.currency,
        r.failure_code, r.created_at, r.updated_at
 FROM (SELECT DISTINCT payment_id FROM outbox WHERE given_up_at IS NOT NULL) g
 JOIN payments p ON p.id = g.payment_id
     AND p.captured_minor > p.refunded_minor + p.refund_pending_minor
 CROSS JOIN LATERAL (
     SELECT * FROM refunds f WHERE f.payment_id = p.id AND f.status = 'failed'
         AND f.reason = 'grant_failed' ORDER BY f.id DESC LIMIT 1) r
 WHERE %(cursor)s::uuid IS NULL OR r.id > %(cursor)s::uuid
 ORDER BY r.id LIMIT %(limit)s)
UNION ALL
(SELECT 'dispute', d.id, p.id, p.order_id, p.user_id, d.provider, d.provider_ref,
        d.amount_minor, d.currency, d.review, d.created_at, d.updated_at
 FROM disputes d JOIN payments p ON p.id = d.payment_id
 WHERE d.review IS NOT NULL AND (%(cursor)s::uuid IS NULL OR d.id > %(cursor)s::uuid)
 ORDER BY d.id LIMIT %(limit)s)
UNION ALL
(SELECT 'fraud_warning', w.id, p.id, p.order_id, p.user_id, w.provider, w.provider_ref,
        p.captured_minor, p.currency, w.fraud_type, w.created_at, w.updated_at
 FROM fraud_warnings w JOIN payments p ON p.id = w.payment_id
 WHERE w.status = 'open' AND (%(cursor)s::uuid IS NULL OR w.id > %(cursor)s::uuid)
 ORDER BY w.id LIMIT %(limit)s)
UNION ALL
(SELECT 'refund_reversal', r.id, p.id, p.order_id, p.user_id, p.provider, r.provider_ref,
        v.amount_minor, v.currency, v.failure_code, v.created_at, v.updated_at
 FROM undecided_reversals v
 JOIN payments p ON p.id = v.payment_id JOIN refunds r ON r.id = v.refund_id
 WHERE %(cursor)s::uuid IS NULL OR r.id > %(cursor)s::uuid
 ORDER BY r.id LIMIT %(limit)s)
ORDER BY 2 LIMIT %(limit)s
"""


async def list_review(db: Database, *, cursor: UUID | None, limit: int) -> Page[ReviewRow]:
    """Return what waits for a person, oldest first."""
    rows = await db.read(_QUEUE, {"cursor": cursor, "limit": limit + 1})
    return page_of(rows_of(ReviewRow, rows), limit)


async def resolve_payment(
    db: Database, command_item: CommandItem, outcome_item: RecordOutcome
) -> BeginOutcome:
    """Resolve a payment in review as an operator says.

    The decision becomes an attempt, which the statement of records every other outcome.
    """

    async def record_outcome(transaction: Transaction) -> RecordedOutcome:
        if outcome_item.captured_minor:
            await _refuse_orphan(transaction, outcome_item)
        await transaction.fetch(
            "INSERT INTO payment_attempts"
            " (id, payment_id, operation, status, next_check_at, created_at)"
            " VALUES (%s, %s, 'review', 'pending', %s, %s)",
            (outcome_item.attempt_id, outcome_item.payment_id, outcome_item.at, outcome_item.at),
        )
        return await record_outcome_within(transaction, outcome_item)

    return await run_command(db, command_item, record_outcome)


async def resolve_refund(
    db: Database, command_item: CommandItem, outcome_item: RecordRefundOutcome
) -> BeginOutcome:
    """Resolve a refund in review as an operator says."""

    async def record_outcome(transaction: Transaction) -> RecordedOutcome:
        return await record_refund_outcome_within(transaction, outcome_item)

    return await run_command(db, command_item, record_outcome)


async def _refuse_orphan(transaction: Transaction, outcome_item: RecordOutcome) -> None:
    """Raise RefusedError for a charge that is on its way back to the buyer."""
    orphans = await transaction.fetch(
        "SELECT 1 FROM orphan_captures o JOIN payments p ON p.provider = o.provider"
        " WHERE p.id = %s AND o.provider_ref = %s",
        (outcome_item.payment_id, outcome_item.provider_ref),
    )
    if orphans:
        raise RefusedError("the charge is refunded as an orphan", ORPHAN)
