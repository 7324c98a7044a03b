"""What is to be sent to merchants' endpoints, and how far that has come.

The database writes the rows together with the change that they report (migration 0012).
"""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.merchant_webhooks.catalog import EventType
from service.store import audit_entries
from service.store.audit_entries import AuditEntry
from service.store.database import Database
from service.store.rows import Page, columns, page_of, row_of, rows_of

DeliveryStatus = Literal["pending", "succeeded", "exhausted", "canceled"]
SentType = Literal[EventType, "webhook.test"]
State = Literal["pending", "succeeded", "exhausted", "canceled", "all"]


class DueDelivery(msgspec.Struct, frozen=True):
    """A delivery to try now; `body` is what to send, in these bytes.

    `attempts` were recorded before, and `schedule_start` of them belong to an earlier schedule.
    """

    id: int
    endpoint_id: UUID
    event_id: UUID
    type: str
    payment_id: UUID | None
    correlation_id: str
    body: str
    attempts: int
    schedule_start: int
    url: str
    secret_key: str
    secret_version: int
    previous_key: str | None
    previous_version: int | None
    previous_until: datetime | None


class DeliveryRow(msgspec.Struct, frozen=True):
    """A delivery as operators see it."""

    id: int
    endpoint_id: UUID
    event_id: UUID
    type: SentType
    payment_id: UUID | None
    correlation_id: str
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime
    last_status: int | None
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None


_COLUMNS: Final = columns(
    DeliveryRow, "d", type="v.type", payment_id="v.payment_id", correlation_id="v.correlation_id"
)


class Failure(msgspec.Struct, frozen=True):
    """A try that failed; without `until` it was the last one."""

    delivery_id: int
    attempts: int
    at: datetime
    until: datetime | None
    last_status: int | None
    error: str


class WebhookBacklog(msgspec.Struct, frozen=True):
    """What is not delivered: of enabled endpoints, and how late the most overdue one is.

    `endpoints` counts them by state; `failing` are enabled, and their last try has failed.
    """

    pending: int
    exhausted: int
    late_s: float
    endpoints: dict[str, int]


async def claim(
    db: Database, *, at: datetime, until: datetime, each: int, busy: dict[str, int]
) -> list[DueDelivery]:
    """Take due deliveries and hide them from other workers until `until`.

    No endpoint gets more than `each` at a time: `busy` says how many are under way here, by
    endpoint. So none of them, however slow, takes what belongs to the others.
    """
    rows = await db.fetch(
        """
        WITH due AS MATERIALIZED (
            SELECT f.id, e.url, e.secret_key, e.secret_version, e.previous_key,
                e.previous_version, e.previous_until
            FROM webhook_endpoints e CROSS JOIN LATERAL (
                SELECT d.id FROM webhook_deliveries d
                WHERE d.endpoint_id = e.id AND d.status = 'pending'
                  AND d.next_attempt_at <= %(at)s
                ORDER BY d.next_attempt_at
                LIMIT greatest(
                    %(each)s - coalesce((%(busy)s::json ->> e.id::text)::integer, 0), 0)
                FOR UPDATE SKIP LOCKED) f
            WHERE e.status = 'enabled'),
        taken AS (
            UPDATE webhook_deliveries d SET next_attempt_at = %(until)s
            FROM due WHERE d.id = due.id AND d.status = 'pending'
            RETURNING d.id, d.endpoint_id, d.event_id, d.attempts, d.schedule_start)
        SELECT t.id, t.endpoint_id, v.id, v.type, v.payment_id, v.correlation_id, v.body,
            t.attempts, t.schedule_start, due.url, due.secret_key, due.secret_version,
            due.previous_key, due.previous_version, due.previous_until
        FROM taken t JOIN due ON due.id = t.id JOIN webhook_events v ON v.id = t.event_id
        """,
        {"at": at, "until": until, "each": each, "busy": msgspec.json.encode(busy).decode()},
    )
    return [DueDelivery(*row) for row in rows]


async def delivered(
    db: Database, delivery_id: int, *, attempts: int, status: int, at: datetime
) -> bool:
    """Record a try that succeeded; False if another worker has recorded this try."""
    rows = await db.fetch(
        """
        WITH done AS (
            UPDATE webhook_deliveries d SET status = 'succeeded', attempts = d.attempts + 1,
                last_status = %(status)s, last_error = NULL, ended_at = %(at)s
            WHERE d.id = %(id)s AND d.attempts = %(attempts)s AND d.status = 'pending'
            RETURNING d.endpoint_id),
        well AS (
            UPDATE webhook_endpoints e SET failing_since = NULL
            FROM done WHERE e.id = done.endpoint_id AND e.failing_since IS NOT NULL)
        SELECT count(*) FROM done
        """,
        {"id": delivery_id, "attempts": attempts, "status": status, "at": at},
    )
    return bool(rows[0][0])


async def failed(db: Database, item: Failure) -> datetime | None:
    """Record a try that failed; return since when its endpoint has failed.

    None if another worker has recorded this try.
    """
    rows = await db.fetch(
        """
        WITH done AS (
            UPDATE webhook_deliveries d SET attempts = d.attempts + 1,
                status = CASE WHEN %(until)s::timestamptz IS NULL
                    THEN 'exhausted' ELSE 'pending' END,
                next_attempt_at = coalesce(%(until)s::timestamptz, d.next_attempt_at),
                ended_at = CASE WHEN %(until)s::timestamptz IS NULL
                    THEN %(at)s::timestamptz END,
                last_status = %(last_status)s, last_error = %(error)s
            WHERE d.id = %(delivery_id)s AND d.attempts = %(attempts)s AND d.status = 'pending'
            RETURNING d.endpoint_id),
        first AS (
            UPDATE webhook_endpoints e SET failing_since = %(at)s
            FROM done WHERE e.id = done.endpoint_id AND e.failing_since IS NULL)
        SELECT coalesce(e.failing_since, %(at)s)
        FROM done JOIN webhook_endpoints e ON e.id = done.endpoint_id
        """,
        msgspec.structs.asdict(item),
    )
    return rows[0][0] if rows else None


async def put_off(db: Database, delivery_id: int, *, until: datetime, error: str) -> None:
    """Look at a delivery later that could not be tried at all: it counts as no attempt."""
    await db.fetch(
        "UPDATE webhook_deliveries SET next_attempt_at = %s, last_error = %s"
        " WHERE id = %s AND status = 'pending'",
        (until, error, delivery_id),
    )


async def get_delivery(db: Database, delivery_id: int) -> DeliveryRow | None:
    """Return a delivery."""
    rows = await db.read(
        f"SELECT {_COLUMNS} FROM webhook_deliveries d JOIN webhook_events v ON v.id = d.event_id"  # noqa: S608  constants only
        " WHERE d.id = %s",
        (delivery_id,),
    )
    return row_of(DeliveryRow, rows[0]) if rows else None


async def list_deliveries(
    db: Database, endpoint_id: UUID, *, state: State, cursor: int | None, limit: int
) -> Page[DeliveryRow]:
    """Return an endpoint's deliveries in a state, newest first."""
    # Those that are in a state are few, but for the succeeded ones: they are found by the state's
    # index and sorted. In order of id they would be looked for among all that ever were.
    few = state in ("pending", "exhausted")
    where = "true" if state == "all" else "d.status = %(state)s"
    rows = await db.read(
        f"""
        WITH found AS {"" if few else "NOT "}MATERIALIZED (
            SELECT * FROM webhook_deliveries d WHERE d.endpoint_id = %(endpoint)s AND {where})
        SELECT {_COLUMNS} FROM (
            SELECT * FROM found f WHERE %(cursor)s::bigint IS NULL OR f.id < %(cursor)s::bigint
            ORDER BY f.id DESC LIMIT %(limit)s) d
        JOIN webhook_events v ON v.id = d.event_id ORDER BY d.id DESC
        """,  # noqa: S608  constants only
        {"endpoint": endpoint_id, "state": state, "cursor": cursor, "limit": limit + 1},
    )
    return page_of(rows_of(DeliveryRow, rows), limit)


async def redeliver(
    db: Database, endpoint_id: UUID, delivery_id: int, *, at: datetime, action: AuditEntry
) -> bool:
    """Make a delivery due now and begin its schedule again; False if that can't be.

    It has to be one of an enabled endpoint, and not canceled.
    """
    rows = await audit_entries.act(
        db,
        """
        UPDATE webhook_deliveries d SET status = 'pending', next_attempt_at = %(at)s,
            schedule_start = d.attempts, ended_at = NULL
        FROM webhook_endpoints e
        WHERE d.id = %(id)s AND d.endpoint_id = %(endpoint)s AND e.id = d.endpoint_id
          AND e.status = 'enabled' AND d.status <> 'canceled'
        RETURNING d.id
        """,
        {"id": delivery_id, "endpoint": endpoint_id, "at": at},
        action,
    )
    return bool(rows)


async def send_test(
    db: Database, endpoint_id: UUID, *, type_: str, at: datetime, action: AuditEntry
) -> int | None:
    """Make an event for this endpoint alone; return its delivery, None if it isn't enabled."""
    rows = await audit_entries.act(
        db,
        """
        WITH endpoint AS (
            SELECT e.id FROM webhook_endpoints e
            WHERE e.id = %(endpoint)s AND e.status = 'enabled'),
        event AS (
            INSERT INTO webhook_events (type, body, correlation_id, created_at)
            SELECT %(type)s, webhook_body(%(type)s, %(at)s,
                json_build_object('endpoint_id', e.id)), %(correlation_id)s, %(at)s
            FROM endpoint e RETURNING id)
        INSERT INTO webhook_deliveries (endpoint_id, event_id, next_attempt_at, created_at)
        SELECT %(endpoint)s, v.id, %(at)s, %(at)s FROM event v RETURNING id
        """,
        {"endpoint": endpoint_id, "type": type_, "at": at, "correlation_id": action.correlation_id},
        action,
    )
    return int(rows[0][0]) if rows else None


async def backlog(db: Database, at: datetime) -> WebhookBacklog:
    """Return what is not delivered."""
    rows = await db.read(
        """
        SELECT (SELECT count(*) FROM webhook_endpoints e JOIN webhook_deliveries d
                ON d.endpoint_id = e.id AND d.status = 'pending' WHERE e.status = 'enabled'),
            (SELECT count(*) FROM webhook_deliveries d WHERE d.status = 'exhausted'),
            (SELECT extract(epoch FROM %s - min(f.next_attempt_at))::float8
             FROM webhook_endpoints e CROSS JOIN LATERAL (
                SELECT d.next_attempt_at FROM webhook_deliveries d
                WHERE d.endpoint_id = e.id AND d.status = 'pending'
                ORDER BY d.next_attempt_at LIMIT 1) f
             WHERE e.status = 'enabled'),
            (SELECT count(*) FROM webhook_endpoints
             WHERE status = 'enabled' AND failing_since IS NULL),
            (SELECT count(*) FROM webhook_endpoints
             WHERE status = 'enabled' AND failing_since IS NOT NULL),
            (SELECT count(*) FROM webhook_endpoints WHERE status = 'disabled')
        """,
        (at,),
    )
    pending, exhausted, late_s, enabled, failing, disabled = rows[0]
    return WebhookBacklog(
        pending=int(pending),
        exhausted=int(exhausted),
        late_s=max(late_s or 0.0, 0.0),
        endpoints={"enabled": enabled, "failing": failing, "disabled": disabled},
    )


async def reap(db: Database, *, before: datetime, limit: int) -> int:
    """Forget events from before, with their deliveries; return how many."""
    rows = await db.fetch(
        """
        DELETE FROM webhook_events v USING (
            SELECT id FROM webhook_events WHERE created_at < %(before)s
            ORDER BY created_at LIMIT %(limit)s) old
        WHERE v.id = old.id RETURNING v.id
        """,
        {"before": before, "limit": limit},
    )
    return len(rows)
