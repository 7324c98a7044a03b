"""The parts of a payment that only operators see."""

from typing import Final, Literal
from uuid import UUID

import msgspec

from service.domain.payment import Operation
from service.store.rows import Select, Timestamp

AttemptState = Literal["pending", "unknown", "succeeded", "failed"]
EntitlementStatus = Literal["reserved", "granted", "released", "revoked"]


class AttemptRow(msgspec.Struct, frozen=True):
    """An attempt at the provider, or an operator's decision."""

    id: UUID
    operation: Operation
    status: AttemptState
    checks: int
    next_check_at: Timestamp
    error_code: str | None
    created_at: Timestamp
    resolved_at: Timestamp | None


class EntitlementRow(msgspec.Struct, frozen=True):
    """A game that the payment holds; the id is the grant's id at the Library."""

    id: UUID
    game_id: str
    quantity: int
    status: EntitlementStatus
    updated_at: Timestamp


ATTEMPTS: Final = Select(AttemptRow, "payment_attempts a", order="created_at, id")
ENTITLEMENTS: Final = Select(EntitlementRow, "entitlements e", order="game_id")
