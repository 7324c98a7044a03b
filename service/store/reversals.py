"""What a provider takes back after it was final: a refund, or the capture itself."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from service.store.database import Database, Transaction
from service.store.payments import fetch_locked, lock_payment
from service.store.record_outcomes import RecordedOutcome
from service.store.refunds import ENTRIES, RecordRefundOutcome, record_refund_outcome_within


class _Reversal(msgspec.Struct, frozen=True, kw_only=True):
    reversal_id: UUID
    failure_code: str
    ledger_id: UUID
    entries: str
    """As in RecordRefundOutcome."""
    correlation_id: str
    at: datetime


class ReverseRefund(_Reversal, frozen=True, kw_only=True):
    """A refund that had succeeded and was reversed."""

    refund_id: UUID


class ReverseCapture(_Reversal, frozen=True, kw_only=True):
    """A captured payment that the provider took back."""

    payment_id: UUID


class AdoptRefund(msgspec.Struct, frozen=True):
    """A refund that was made in the provider's dashboard."""

    refund_id: UUID
    payment_id: UUID
    amount_minor: int
    currency: str
    reason: str
    correlation_id: str
    at: datetime


# The order is paid again, and its games stay where they are: a person decides on them. Of a capture
# that was taken back nothing is paid any more, so its order is canceled.
_REVERSE_REFUND: Final = f"""
WITH taken_back AS (
    UPDATE refunds r SET status = 'failed', failure_code = %(failure_code)s, updated_at = %(at)s
    WHERE r.id = %(refund_id)s AND r.status = 'succeeded'
    RETURNING r.*
),
kept AS (
    INSERT INTO reversals (id, payment_id, refund_id, amount_minor, currency, failure_code, status,
                           created_at, updated_at)
    SELECT %(reversal_id)s, t.payment_id, t.id, t.amount_minor, t.currency, %(failure_code)s,
           'open', %(at)s, %(at)s
    FROM taken_back t
),
reopened AS (
    UPDATE orders o SET updated_at = %(at)s,
        status = CASE p.status WHEN 'succeeded' THEN 'paid' ELSE 'canceled' END
    FROM taken_back t JOIN payments p ON p.id = t.payment_id
    WHERE o.id = p.order_id AND o.status = 'refunded'
),
booked AS (
    INSERT INTO ledger_transactions (id, kind, payment_id, refund_id, created_at)
    SELECT %(ledger_id)s, 'refund_reversal', t.payment_id, t.id, %(at)s FROM taken_back t
    RETURNING id
),
{ENTRIES},
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT t.payment_id, %(at)s, 'refund_reversed', jsonb_build_object('refund_id', t.id,
               'amount_minor', t.amount_minor, 'failure_code', t.failure_code,
               'provider_ref', t.provider_ref), %(correlation_id)s
    FROM taken_back t
)
SELECT count(*) FROM taken_back
"""  # noqa: S608  constants only; values are parameters

# The games go back: nothing is paid for them any more. Nobody need decide that.
_REVERSE_CAPTURE: Final = f"""
WITH taken_back AS (
    UPDATE payments p SET status = 'reversed', failure_code = %(failure_code)s,
        updated_at = %(at)s
    WHERE p.id = %(payment_id)s AND p.status = 'succeeded'
    RETURNING p.*
),
kept AS (
    INSERT INTO reversals (id, payment_id, amount_minor, currency, failure_code, status,
                           created_at, updated_at)
    SELECT %(reversal_id)s, t.id, t.captured_minor, t.currency, %(failure_code)s, 'closed',
           %(at)s, %(at)s
    FROM taken_back t
),
closed AS (
    UPDATE orders o SET status = 'canceled', updated_at = %(at)s FROM taken_back t
    WHERE o.id = t.order_id AND o.status IN ('paid', 'fulfilled')
),
released AS (
    UPDATE entitlements e SET status = 'released', updated_at = %(at)s
    FROM taken_back t WHERE e.payment_id = t.id AND e.status = 'reserved'
),
-- Also where the grant is still on its way: it may have been made there all the same.
revoke AS (
    INSERT INTO outbox (topic, dedupe_key, payment_id, correlation_id, next_attempt_at, created_at)
    SELECT 'library.revoke', t.id::text, t.id, %(correlation_id)s, %(at)s, %(at)s FROM taken_back t
    ON CONFLICT (topic, dedupe_key) DO NOTHING
),
booked AS (
    INSERT INTO ledger_transactions (id, kind, payment_id, created_at)
    SELECT %(ledger_id)s, 'capture_reversal', t.id, %(at)s FROM taken_back t
    RETURNING id
),
{ENTRIES},
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT t.id, %(at)s, 'payment_reversed', jsonb_build_object(
               'amount_minor', t.captured_minor, 'failure_code', t.failure_code,
               'provider_ref', t.provider_ref), %(correlation_id)s
    FROM taken_back t
)
SELECT count(*) FROM taken_back
"""  # noqa: S608  constants only; values are parameters

_ADOPT: Final = """
WITH made AS (
    INSERT INTO refunds (id, payment_id, status, amount_minor, currency, reason, origin,
                         next_check_at, created_at, updated_at)
    SELECT %(refund_id)s, p.id, 'pending', %(amount_minor)s, p.currency, %(reason)s, 'provider',
           %(at)s, %(at)s, %(at)s
    FROM payments p
    WHERE p.id = %(payment_id)s AND p.captured_minor > 0 AND p.currency = %(currency)s
    ON CONFLICT (id) DO NOTHING
    RETURNING id, payment_id, amount_minor, currency
)
INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
SELECT m.payment_id, %(at)s, 'refund_adopted', jsonb_build_object('refund_id', m.id,
           'amount_minor', m.amount_minor, 'currency', m.currency), %(correlation_id)s
FROM made m
RETURNING payment_id
"""


async def reverse_refund(db: Database, payment_id: UUID, item: ReverseRefund) -> bool:
    """Take back a refund that has succeeded; False if it was taken back before."""
    rows = await fetch_locked(db, payment_id, _REVERSE_REFUND, msgspec.structs.asdict(item))
    return bool(rows[0][0])


async def reverse_capture(db: Database, item: ReverseCapture) -> bool:
    """Take back a capture and all that followed from it; False if it was taken back before."""
    rows = await fetch_locked(db, item.payment_id, _REVERSE_CAPTURE, msgspec.structs.asdict(item))
    return bool(rows[0][0])


async def adopt_refund(
    db: Database, item: AdoptRefund, outcome: RecordRefundOutcome
) -> RecordedOutcome | None:
    """Keep and book a refund that was made elsewhere; None if it was adopted before.

    Raises RefusedError while refunds under way hold the amount (`no_over_refund`).
    """

    async def adopt(transaction: Transaction) -> RecordedOutcome | None:
        await lock_payment(transaction, item.payment_id)
        if not await transaction.fetch(_ADOPT, msgspec.structs.asdict(item)):
            return None
        return await record_refund_outcome_within(transaction, outcome)

    return await db.transact(adopt)


async def replace_within(
    transaction: Transaction, refund_id: UUID, replacement_id: UUID, at: datetime
) -> None:
    """Record which refund a person has made in place of one that came back.

    Its success closes the question; should it fail, the question is open again.
    """
    await transaction.fetch(
        "UPDATE reversals SET replacement_id = %s, updated_at = %s"
        " WHERE refund_id = %s AND status = 'open'",
        (replacement_id, at, refund_id),
    )


async def close_within(transaction: Transaction, refund_id: UUID, at: datetime) -> bool:
    """Record that a person has decided what becomes of a refund that came back; False if before."""
    rows = await transaction.fetch(
        "UPDATE reversals SET status = 'closed', updated_at = %s WHERE id IN"
        " (SELECT id FROM undecided_reversals WHERE refund_id = %s) RETURNING id",
        (at, refund_id),
    )
    return bool(rows)


async def open_count(db: Database) -> int:
    """Return how many reversals wait for a person."""
    rows = await db.read("SELECT count(*) FROM undecided_reversals")
    return int(rows[0][0])
