"""The webhook inbox: an event is kept before it is acknowledged, and for ever."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.store import audit_entries
from service.store.audit_entries import AuditEntry
from service.store.database import Database, RefusedError
from service.store.refunds import REFUNDS, DueRefund, RefundRow
from service.store.rows import Select, columns, row_of, rows_of

NAME: Final = "receive_events"

SQL: Final = """
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1::json) AS i(
        provider text, event_id text, kind text, type text, charge_ref text, refund_ref text,
        payment_id uuid, attempt_id uuid, refund_id uuid, object_ref text, claimed_status text,
        correlation_id text, at timestamptz)
),
kept AS (
    INSERT INTO webhook_inbox (provider, event_id, kind, type, charge_ref, refund_ref, payment_id,
                               attempt_id, refund_id, object_ref, claimed_status,
                               next_attempt_at, correlation_id, received_at)
    SELECT provider, event_id, kind, type, charge_ref, refund_ref, payment_id, attempt_id,
           refund_id, object_ref, claimed_status, at, correlation_id, at
    FROM input ORDER BY provider, event_id
    ON CONFLICT DO NOTHING
    RETURNING provider, event_id
)
SELECT i.provider, i.event_id, k.event_id IS NOT NULL
FROM input i LEFT JOIN kept k ON k.provider = i.provider AND k.event_id = i.event_id
"""


class Event(msgspec.Struct, frozen=True):
    """What a provider's event says; `object_ref` names the dispute or warning that it is about."""

    provider: str
    event_id: str
    kind: str
    type: str
    charge_ref: str
    refund_ref: str | None
    payment_id: UUID | None
    attempt_id: UUID | None
    refund_id: UUID | None
    object_ref: str | None
    claimed_status: str | None
    correlation_id: str


class NewEvent(Event, frozen=True):
    """An event to keep."""

    at: datetime


class InboxEvent(Event, frozen=True):
    """An event to process; `attempts` counts this one."""

    attempts: int
    received_at: datetime


EventStatus = Literal["pending", "processed", "parked", "dismissed"]


class ParkedEventRow(msgspec.Struct, frozen=True):
    """An event as people see it."""

    provider: str
    event_id: str
    type: str
    status: EventStatus
    outcome: str | None
    charge_ref: str
    payment_id: UUID | None
    claimed_status: str | None
    attempts: int
    last_error: str | None
    received_at: datetime
    ended_at: datetime | None


EVENTS: Final = Select(ParkedEventRow, "webhook_inbox w")


class InboxBacklog(msgspec.Struct, frozen=True):
    """Events that are not processed; the age is in seconds."""

    pending: int
    oldest_s: float
    parked: int


def conflict_keys(item: NewEvent) -> tuple[Any, ...]:
    """Two deliveries of one event don't share a batch: the second is answered as such."""
    return ((item.provider, item.event_id),)


async def receive_events(db: Database, items: Sequence[NewEvent]) -> list[bool]:
    """Keep each event; return True for those that are new. Safe to repeat."""
    rows = {(row[0], row[1]): bool(row[2]) for row in await db.run_set(NAME, items)}
    return [rows[item.provider, item.event_id] for item in items]


async def claim(db: Database, *, at: datetime, until: datetime, limit: int) -> list[InboxEvent]:
    """Take due events and hide them from other workers until `until`."""
    rows = await db.fetch(
        f"""
        WITH due AS (
            SELECT provider, event_id FROM webhook_inbox
            WHERE status = 'pending' AND next_attempt_at <= %(at)s
            ORDER BY next_attempt_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        UPDATE webhook_inbox w SET attempts = w.attempts + 1, next_attempt_at = %(until)s
        FROM due WHERE w.provider = due.provider AND w.event_id = due.event_id
        RETURNING {columns(InboxEvent, "w")}
        """,  # noqa: S608  constants only; values are parameters
        {"at": at, "until": until, "limit": limit},
    )
    return rows_of(InboxEvent, rows)


async def processed(db: Database, event: InboxEvent, outcome: str, at: datetime) -> None:
    """Record that an event has had its effect, or needed none."""
    await db.fetch(
        "UPDATE webhook_inbox SET status = 'processed', outcome = %s, ended_at = %s,"
        " last_error = NULL WHERE provider = %s AND event_id = %s AND status = 'pending'",
        (outcome, at, event.provider, event.event_id),
    )


async def put_off(db: Database, event: InboxEvent, *, until: datetime, error: str) -> None:
    """Record why an event can't be processed now and when to try again."""
    await db.fetch(
        "UPDATE webhook_inbox SET next_attempt_at = %s, last_error = %s"
        " WHERE provider = %s AND event_id = %s AND status = 'pending'",
        (until, error, event.provider, event.event_id),
    )


async def park(db: Database, event: InboxEvent, *, error: str, at: datetime) -> None:
    """Leave an event to people."""
    await db.fetch(
        "UPDATE webhook_inbox SET status = 'parked', ended_at = %s, last_error = %s"
        " WHERE provider = %s AND event_id = %s AND status = 'pending'",
        (at, error, event.provider, event.event_id),
    )


async def parked(db: Database, *, limit: int) -> list[ParkedEventRow]:
    """Return the events that were left to people, the latest first."""
    rows = await db.read(
        f"SELECT {EVENTS.columns} FROM webhook_inbox w"  # noqa: S608  constants only
        " WHERE w.status = 'parked' ORDER BY w.ended_at DESC LIMIT %s",
        (limit,),
    )
    return rows_of(ParkedEventRow, rows)


async def backlog(db: Database, at: datetime) -> InboxBacklog:
    """Return how much is not processed."""
    rows = await db.read(
        "SELECT (SELECT count(*) FROM webhook_inbox WHERE status = 'pending'),"
        " (SELECT greatest(extract(epoch FROM %s - min(next_attempt_at))::float8, 0)"
        "  FROM webhook_inbox WHERE status = 'pending'),"
        " (SELECT count(*) FROM webhook_inbox WHERE status = 'parked')",
        (at,),
    )
    pending, oldest_s, left = rows[0]
    return InboxBacklog(int(pending), oldest_s or 0.0, int(left))


async def locate_payment(db: Database, event: InboxEvent) -> UUID | None:
    """Return the payment of an event: the one with its charge, its attempt, or its own id."""
    rows = await db.read(
        """
        SELECT p.id FROM payments p WHERE p.provider = %(provider)s AND p.id = coalesce(
            (SELECT r.id FROM payments r
             WHERE r.provider = %(provider)s AND r.provider_ref = %(charge_ref)s),
            (SELECT a.payment_id FROM payment_attempts a WHERE a.id = %(attempt_id)s),
            %(payment_id)s::uuid)
        """,
        msgspec.structs.asdict(event),
    )
    return rows[0][0] if rows else None


async def find_refund(db: Database, event: InboxEvent) -> DueRefund | None:
    """Return the refund of an event, whatever its status."""
    rows = await db.read(
        f"""
        SELECT r.checks, p.provider, p.user_id, p.provider_ref, {REFUNDS.columns}
        FROM refunds r JOIN payments p ON p.id = r.payment_id
        WHERE p.provider = %(provider)s AND r.id = coalesce(
            %(refund_id)s::uuid,
            (SELECT f.id FROM refunds f WHERE f.provider_ref = %(refund_ref)s))
        """,  # noqa: S608  constants only; values are parameters
        msgspec.structs.asdict(event),
    )
    if not rows:
        return None
    checks, provider, user_id, charge_ref, *refund = rows[0]
    row = row_of(RefundRow, refund)
    return DueRefund(checks, event.correlation_id, provider, user_id, charge_ref, row)


class Reopen(msgspec.Struct, frozen=True):
    """An attempt to give to a payment in `status` that has none; `process` moves it on first."""

    attempt_id: UUID
    payment_id: UUID
    status: str
    operation: str
    process: bool
    cause: str
    correlation_id: str
    at: datetime
    until: datetime


async def reopen(db: Database, item: Reopen) -> bool:
    """Give a payment that waits an attempt whose outcome is open; False if another was faster.

    From here on the completer finishes it, should this process end.
    """
    try:
        rows = await db.fetch(_REOPEN, msgspec.structs.asdict(item))
    except RefusedError as error:
        if error.constraint != "one_unresolved_attempt_a_payment":
            raise
        return False
    return bool(rows[0][0])


_REOPEN: Final = """
WITH payment AS MATERIALIZED (
    SELECT p.id FROM payments p
    WHERE p.id = %(payment_id)s AND p.status = %(status)s FOR UPDATE
),
attempted AS (
    INSERT INTO payment_attempts (id, payment_id, operation, status, next_check_at, created_at)
    SELECT %(attempt_id)s, p.id, %(operation)s, 'pending', %(until)s, %(at)s FROM payment p
    RETURNING id, payment_id
),
moved AS (
    UPDATE payments p SET status = 'processing', updated_at = %(at)s
    FROM attempted a WHERE p.id = a.payment_id AND %(process)s
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT a.payment_id, %(at)s,
           CASE WHEN %(process)s THEN 'payment_processing' ELSE %(operation)s || '_started' END,
           jsonb_build_object('attempt_id', a.id, 'cause', %(cause)s::text), %(correlation_id)s
    FROM attempted a
)
SELECT count(*) FROM attempted
"""


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
