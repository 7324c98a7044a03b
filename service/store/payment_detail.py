"""The parts of a payment that only operators see."""

from datetime import datetime
from uuid import UUID

import msgspec

from service.store.database import Database


class AttemptRow(msgspec.Struct, frozen=True):
    """An attempt at the provider, or an operator's decision."""

    id: UUID
    operation: str
    status: str
    checks: int
    next_check_at: datetime
    error_code: str | None
    created_at: datetime
    resolved_at: datetime | None


class EntitlementRow(msgspec.Struct, frozen=True):
    """A game that the payment holds; the id is the grant's id at the Library."""

    id: UUID
    game_id: str
    quantity: int
    status: str
    updated_at: datetime


async def list_attempts(db: Database, payment_id: UUID) -> list[AttemptRow]:
    """Return the payment's attempts, oldest first."""
    rows = await db.read(
        "SELECT id, operation, status, checks, next_check_at, error_code, created_at, resolved_at"
        " FROM payment_attempts WHERE payment_id = %s ORDER BY created_at, id",
        (payment_id,),
    )
    return [AttemptRow(*row) for row in rows]


async def list_entitlements(db: Database, payment_id: UUID) -> list[EntitlementRow]:
    """Return the games of the payment."""
    rows = await db.read(
        "SELECT id, game_id, quantity, status, updated_at FROM entitlements"
        " WHERE payment_id = %s ORDER BY game_id",
        (payment_id,),
    )
    return [EntitlementRow(*row) for row in rows]
