"""The answer to an idempotent request: made once, kept, and given again to every repeat."""

from uuid import UUID

import msgspec

from service.errors import IdempotencyKeyInFlightError
from service.store import idempotency
from service.store.database import Database


class CommandResponse(msgspec.Struct, frozen=True):
    """Status and JSON body; `replayed` if an earlier request made it, `resource_id` what."""

    status: int
    body: bytes
    replayed: bool = False
    resource_id: UUID | None = None


async def present_answer(db: Database, resource_id: UUID) -> CommandResponse:
    """Return what is stored for the request; raise IdempotencyKeyInFlightError if nothing is."""
    stored = await stored_answer(db, resource_id)
    if stored is None:
        raise IdempotencyKeyInFlightError
    return stored


async def stored_answer(db: Database, resource_id: UUID) -> CommandResponse | None:
    """Return what is stored for the request, without what the buyer does next."""
    stored = await idempotency.stored_answer(db, resource_id)
    return CommandResponse(stored[0], stored[1].encode(), replayed=True) if stored else None
