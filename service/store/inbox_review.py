"""Parked events as operators see them: looked at once more, or dismissed."""

from datetime import datetime
from typing import Final

import msgspec

from service.store import audit_entries
from service.store.audit_entries import AuditEntry
from service.store.database import Database
from service.store.inbox import EVENTS, ParkedEventRow
from service.store.rows import row_of

_END: Final = f"""
UPDATE webhook_inbox w SET
    status = CASE WHEN %(again)s THEN 'pending' ELSE 'dismissed' END,
    ended_at = CASE WHEN NOT %(again)s THEN %(at)s::timestamptz END,
    next_attempt_at = %(at)s
WHERE provider = %(provider)s AND event_id = %(event_id)s AND status = 'parked'
RETURNING {EVENTS.columns}
"""  # noqa: S608  constants only


class EndParked(msgspec.Struct, frozen=True):
    """What becomes of a parked event: due again, or `dismissed` for good."""

    provider: str
    event_id: str
    again: bool
    at: datetime


_DISMISS: Final = """
WITH chosen AS (
    SELECT w.provider, w.event_id FROM webhook_inbox w
    WHERE w.status = 'parked' AND w.provider = %(provider)s
      AND (%(type)s::text IS NULL OR w.type = %(type)s::text)
      AND (%(parked_before)s::timestamptz IS NULL OR w.ended_at < %(parked_before)s::timestamptz)
      AND (%(named)s OR w.payment_id IS NULL AND w.refund_id IS NULL)
    ORDER BY w.ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
),
ended AS (
    UPDATE webhook_inbox w SET status = 'dismissed', ended_at = %(at)s
    FROM chosen c WHERE w.provider = c.provider AND w.event_id = c.event_id
    RETURNING w.provider, w.event_id
),
recorded AS (
    INSERT INTO admin_actions
        (subject, subject_id, at, actor, action, reason, evidence, correlation_id)
    SELECT 'webhook_event', e.provider || '/' || e.event_id, %(at)s, %(actor)s, %(action)s,
           %(reason)s, %(evidence)s::jsonb, %(correlation_id)s
    FROM ended e
)
SELECT count(*) FROM ended
"""


class Dismissal(msgspec.Struct, frozen=True):
    """Which parked events to dismiss: those that all of it is true of.

    Those that name a payment or a refund of ours are left out unless `named`.
    """

    provider: str
    type: str | None = None
    parked_before: datetime | None = None
    named: bool = False


async def dismiss(db: Database, which: Dismissal, action: AuditEntry, *, limit: int) -> int:
    """Dismiss at most `limit` parked events, the oldest first, each on record; return how many.

    The subject of `action` is each event in turn.
    """
    values = msgspec.structs.asdict(action) | msgspec.structs.asdict(which)
    values |= {"evidence": msgspec.json.encode(action.evidence).decode(), "limit": limit}
    rows = await db.fetch(_DISMISS, values)
    return int(rows[0][0])


async def get_event(db: Database, provider: str, event_id: str) -> ParkedEventRow | None:
    """Return an event of the inbox."""
    return await EVENTS.one(db, provider=provider, event_id=event_id)


async def end_parked(db: Database, item: EndParked, action: AuditEntry) -> ParkedEventRow | None:
    """Make a parked event due now or dismiss it; None if it is not parked, or no longer."""
    rows = await audit_entries.act(db, _END, msgspec.structs.asdict(item), action)
    return row_of(ParkedEventRow, rows[0]) if rows else None
