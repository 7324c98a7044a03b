"""What an operator decides on a dispute or a warning of fraud that waits for a person."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from service.store.admin_commands import CommandItem, run_command
from service.store.database import Database, Transaction
from service.store.idempotency import BeginOutcome

# The version stays: what the provider says has not changed.
_CLOSE_DISPUTE: Final = """
WITH closed AS (
    UPDATE disputes d SET review = NULL, updated_at = %(at)s WHERE d.id = %(id)s
    RETURNING d.id, d.payment_id
),
revoke AS (
    INSERT INTO outbox (topic, dedupe_key, payment_id, correlation_id, next_attempt_at, created_at)
    SELECT 'library.revoke', c.payment_id::text, c.payment_id, %(correlation_id)s, %(at)s, %(at)s
    FROM closed c WHERE %(revoke)s
    ON CONFLICT DO NOTHING
)
INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
SELECT c.payment_id, %(at)s, 'dispute_review_closed', jsonb_build_object('dispute_id', c.id,
           'review', %(review)s::text, 'revoke', %(revoke)s), %(correlation_id)s
FROM closed c
"""
_CLOSE_WARNING: Final = """
WITH closed AS (
    UPDATE fraud_warnings w SET status = 'closed', updated_at = %(at)s WHERE w.id = %(id)s
    RETURNING w.id, w.payment_id
)
INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
SELECT c.payment_id, %(at)s, 'fraud_warning_closed', jsonb_build_object('fraud_warning_id', c.id),
       %(correlation_id)s
FROM closed c
"""


class CloseDispute(msgspec.Struct, frozen=True):
    """The end of a review that was for the reason `review`; `revoke` takes the games back."""

    id: UUID
    review: str
    revoke: bool
    correlation_id: str
    at: datetime


class CloseWarning(msgspec.Struct, frozen=True):
    """The end of a warning that a person has looked at."""

    id: UUID
    correlation_id: str
    at: datetime


async def close_dispute(
    db: Database, command_item: CommandItem, item: CloseDispute
) -> BeginOutcome:
    """End the review of a dispute, if it is still for that reason."""

    async def close(transaction: Transaction) -> None:
        await transaction.fetch(_CLOSE_DISPUTE, msgspec.structs.asdict(item))

    return await run_command(db, command_item, close, ready=item.review)


async def close_warning(
    db: Database, command_item: CommandItem, item: CloseWarning
) -> BeginOutcome:
    """End a warning of fraud that is open."""

    async def close(transaction: Transaction) -> None:
        await transaction.fetch(_CLOSE_WARNING, msgspec.structs.asdict(item))

    return await run_command(db, command_item, close, ready="open")
