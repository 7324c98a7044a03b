"""Warnings of fraud: what a card's network suspects before its customer disputes."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.store.database import Database
from service.store.rows import Select, Timestamp

WarningStatus = Literal["open", "closed"]


class _Warning(msgspec.Struct, frozen=True):
    id: UUID
    payment_id: UUID
    provider: str
    provider_ref: str
    fraud_type: str
    actionable: bool
    warned_at: Timestamp


class NewWarning(_Warning, frozen=True):
    """A warning as the provider gives it now."""

    correlation_id: str
    at: datetime


class FraudWarningRow(_Warning, frozen=True):
    """A warning; it is `open` while a person has to look at it."""

    status: WarningStatus
    created_at: Timestamp
    updated_at: Timestamp


_WARNINGS: Final = Select(FraudWarningRow, "fraud_warnings w")


# One that can't be acted on any more (its payment was refunded or disputed) is nobody's to look at.
_RECORD: Final = """
WITH payment AS MATERIALIZED (
    SELECT p.id FROM payments p WHERE p.id = %(payment_id)s FOR UPDATE
),
made AS (
    INSERT INTO fraud_warnings (id, payment_id, provider, provider_ref, fraud_type, actionable,
                                status, warned_at, created_at, updated_at)
    SELECT %(id)s, p.id, %(provider)s, %(provider_ref)s, %(fraud_type)s, %(actionable)s,
           CASE WHEN %(actionable)s THEN 'open' ELSE 'closed' END, %(warned_at)s, %(at)s, %(at)s
    FROM payment p
    ON CONFLICT (provider, provider_ref) DO NOTHING
    RETURNING id, payment_id
),
ended AS (
    UPDATE fraud_warnings w SET actionable = false, status = 'closed', updated_at = %(at)s
    FROM payment p
    WHERE w.payment_id = p.id AND w.provider = %(provider)s AND w.provider_ref = %(provider_ref)s
      AND w.actionable AND NOT %(actionable)s
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT m.payment_id, %(at)s, 'fraud_warning_created', jsonb_build_object(
               'fraud_warning_id', m.id, 'provider_ref', %(provider_ref)s::text,
               'fraud_type', %(fraud_type)s::text, 'actionable', %(actionable)s),
           %(correlation_id)s
    FROM made m
)
SELECT count(*) FROM made
"""


async def record(db: Database, item: NewWarning) -> bool:
    """Record a warning once, and that it can't be acted on any more; True if it is new."""
    rows = await db.fetch(_RECORD, msgspec.structs.asdict(item))
    return bool(rows[0][0])


async def get(db: Database, warning_id: UUID) -> FraudWarningRow | None:
    """Return the warning."""
    return await _WARNINGS.one(db, id=warning_id)


async def of_payment(db: Database, payment_id: UUID) -> list[FraudWarningRow]:
    """Return the payment's warnings, oldest first."""
    return await _WARNINGS.all(db, payment_id=payment_id)
