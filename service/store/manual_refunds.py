"""Money that could not be refunded: an operator retries the refund or ends it.

Three kinds: an orphan capture in review, a failed refund of a paid order that can't be granted, and
a refund that came back after it had succeeded.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.store import reversals
from service.store.admin_commands import NOT_READY, REF_USED, CommandItem, run_command
from service.store.database import Database, RefusedError, Transaction
from service.store.idempotency import BeginOutcome
from service.store.record_outcomes import RecordedOutcome
from service.store.refunds import RecordRefundOutcome, record_refund_outcome_within

_END_ORPHAN: Final = """
WITH changed AS (
    UPDATE orphan_captures o SET status = %(status)s, refund_ref = %(refund_ref)s,
        last_error = CASE %(status)s WHEN 'pending' THEN o.last_error END,
        attempts = CASE %(status)s WHEN 'pending' THEN 0 ELSE o.attempts END,
        retry_keys = o.retry_keys || %(retry_keys)s::uuid[],
        next_attempt_at = %(at)s, updated_at = %(at)s
    WHERE o.id = %(id)s
    RETURNING o.id, o.payment_id
)
INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
SELECT c.payment_id, %(at)s, %(event)s, jsonb_build_object('orphan_id', c.id,
           'refund_ref', %(refund_ref)s::text), %(correlation_id)s
FROM changed c
"""

_MAKE_REFUND: Final = """
WITH made AS (
    INSERT INTO refunds (id, payment_id, status, amount_minor, currency, reason, next_check_at,
                         created_at, updated_at)
    SELECT %(refund_id)s, p.id, 'pending', %(amount_minor)s, p.currency, %(reason)s, %(at)s,
           %(at)s, %(at)s
    FROM payments p
    CROSS JOIN LATERAL (
        SELECT p.captured_minor - p.refunded_minor - p.refund_pending_minor AS minor) unrefunded
    WHERE p.id = %(payment_id)s AND p.status = 'succeeded' AND %(amount_minor)s > 0
      AND (%(reversed)s AND unrefunded.minor >= %(amount_minor)s AND EXISTS (
              SELECT FROM undecided_reversals v WHERE v.payment_id = p.id
                AND v.refund_id = %(in_place_of)s)
           OR %(reason)s = 'grant_failed' AND unrefunded.minor = %(amount_minor)s AND EXISTS (
              SELECT FROM outbox o WHERE o.payment_id = p.id AND o.given_up_at IS NOT NULL))
    RETURNING id, payment_id, amount_minor, currency, reason
)
INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
SELECT m.payment_id, %(at)s, 'refund_created', jsonb_build_object('refund_id', m.id,
           'amount_minor', m.amount_minor, 'currency', m.currency, 'reason', m.reason),
       %(correlation_id)s
FROM made m
RETURNING 1
"""

_REF_USED: Final = """
SELECT 1 FROM refunds r JOIN payments p ON p.id = r.payment_id
WHERE p.provider = %(provider)s AND r.provider_ref = %(ref)s
UNION ALL
SELECT 1 FROM orphan_captures o WHERE o.provider = %(provider)s AND o.refund_ref = %(ref)s
"""


class EndOrphan(msgspec.Struct, frozen=True):
    """What becomes of an orphan in review.

    It is `pending` again, with a new key for its refund in `retry_keys`, or `refunded` with what
    the operator names as `refund_ref`.
    """

    id: UUID
    provider: str
    status: str
    event: str
    refund_ref: str | None
    retry_keys: list[UUID]
    correlation_id: str
    at: datetime


class RefundAgain(msgspec.Struct, frozen=True):
    """A new refund of `amount_minor` in place of one that failed.

    That is all that is left for games that can't be granted, and for a refund that came back
    (`reversed`) what came back.
    """

    refund_id: UUID
    payment_id: UUID
    in_place_of: UUID
    reversed: bool
    reason: str
    provider: str
    amount_minor: int
    correlation_id: str
    at: datetime


async def end_orphan(db: Database, command_item: CommandItem, item: EndOrphan) -> BeginOutcome:
    """Send an orphan in review back to be refunded, or end it."""

    async def end(transaction: Transaction) -> None:
        await _refuse_used(transaction, item.provider, item.refund_ref)
        await transaction.fetch(_END_ORPHAN, msgspec.structs.asdict(item))

    return await run_command(db, command_item, end)


async def refund_again(
    db: Database,
    command_item: CommandItem,
    item: RefundAgain,
    outcome_item: RecordRefundOutcome | None = None,
) -> BeginOutcome:
    """Begin a refund in place of one that failed; with `outcome_item`, as one that was made.

    Nothing is done if another amount is left by now: a new refund is under way, or was made.
    """

    async def begin(transaction: Transaction) -> RecordedOutcome | None:
        if not await transaction.fetch(_MAKE_REFUND, msgspec.structs.asdict(item)):
            raise RefusedError("another amount is left", NOT_READY)
        await reversals.replace_within(transaction, item.in_place_of, item.refund_id, item.at)
        if outcome_item is None:
            return None
        await _refuse_used(transaction, item.provider, outcome_item.provider_ref)
        return await record_refund_outcome_within(transaction, outcome_item)

    return await run_command(db, command_item, begin, ready="failed")


async def dismiss_reversal(db: Database, command_item: CommandItem, at: datetime) -> BeginOutcome:
    """End the question what becomes of a refund that came back: nothing more is done."""

    async def dismiss(transaction: Transaction) -> None:
        if not await reversals.close_within(transaction, command_item.subject_id, at):
            raise RefusedError("nothing is to be decided", NOT_READY)

    return await run_command(db, command_item, dismiss, ready="failed")


async def _refuse_used(transaction: Transaction, provider: str, ref: str | None) -> None:
    """Raise RefusedError for a reference that stands for another refund already."""
    given: dict[str, Any] = {"provider": provider, "ref": ref}
    if ref is not None and await transaction.fetch(_REF_USED, given):
        raise RefusedError("the reference is of another refund", REF_USED)
