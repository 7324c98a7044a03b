"""Parked events as operators see them: looked at once more, or dismissed."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from service.store import admin_actions
from service.store.admin_actions import AdminAction
from service.store.database import Database
from service.store.inbox import EVENT_COLUMNS, EventRow

Ended = Literal["done", "not_found", "not_parked"]

_END: Final = f"""
UPDATE webhook_inbox SET
    status = CASE WHEN %(again)s THEN 'pending' ELSE 'dismissed' END,
    ended_at = CASE WHEN NOT %(again)s THEN %(at)s::timestamptz END,
    next_attempt_at = %(at)s
WHERE provider = %(provider)s AND event_id = %(event_id)s AND status = 'parked'
RETURNING {EVENT_COLUMNS}
"""  # noqa: S608  constants only


class EndParked(msgspec.Struct, frozen=True):
    """What becomes of a parked event: due again, or `dismissed` for good."""

    provider: str
    event_id: str
    again: bool
    at: datetime


async def end_parked(
    db: Database, item: EndParked, action: AdminAction
) -> tuple[Ended, EventRow | None]:
    """Make a parked event due now or dismiss it; of two operators one decides."""
    async with db.transaction() as transaction:
        given = msgspec.structs.asdict(item)
        rows = await transaction.fetch(_END, given)
        if rows:
            await admin_actions.record(transaction, action)
            return "done", EventRow(*rows[0])
        known = await transaction.fetch(
            "SELECT 1 FROM webhook_inbox WHERE provider = %(provider)s AND event_id = %(event_id)s",
            given,
        )
        return ("not_parked" if known else "not_found"), None
