"""The parts of a payment that only operators see."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from service.domain.payment import Operation
from service.store.database import Database
from service.store.rows import columns, rows_of

AttemptState = Literal["pending", "unknown", "succeeded", "failed"]
EntitlementStatus = Literal["reserved", "granted", "released", "revoked"]


class AttemptRow(msgspec.Struct, frozen=True):
    """An attempt at the provider, or an operator's decision."""

    id: UUID
    operation: Operation
    status: AttemptState
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
    status: EntitlementStatus
    updated_at: datetime


async def list_attempts(db: Database, payment_id: UUID) -> list[AttemptRow]:
    """Return the payment's attempts, oldest first."""
    rows = await db.read(
        f"SELECT {columns(AttemptRow, 'a')} FROM payment_attempts a"  # noqa: S608  constants only
        " WHERE a.payment_id = %s ORDER BY a.created_at, a.id",
        (payment_id,),
    )
    return rows_of(AttemptRow, rows)


async def list_entitlements(db: Database, payment_id: UUID) -> list[EntitlementRow]:
    """Return the games of the payment."""
    rows = await db.read(
        f"SELECT {columns(EntitlementRow, 'e')} FROM entitlements e"  # noqa: S608  constants only
        " WHERE e.payment_id = %s ORDER BY e.game_id",
        (payment_id,),
    )
    return rows_of(EntitlementRow, rows)
