"""Merchants' endpoints as operators keep them."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.merchant_webhooks.catalog import EventType
from service.store import audit_entries
from service.store.audit_entries import AuditEntry
from service.store.database import Database, RefusedError
from service.store.rows import Page, Select, row_of

EndpointStatus = Literal["enabled", "disabled", "closed"]
Shown = Literal["enabled", "disabled", "closed", "all"]
DisabledReason = Literal["operator", "gone", "failing"]

MAX_ENDPOINTS: Final = 100
"""Endpoints that are not closed: each is matched with every event, and has requests under way."""

_ONE_A_URL: Final = "one_webhook_endpoint_a_url"


class NewEndpoint(msgspec.Struct, frozen=True):
    """An endpoint to register; its secret is made by the master key `secret_key`."""

    id: UUID
    url: str
    event_types: list[str]
    description: str
    secret_key: str
    at: datetime


class EndpointRow(msgspec.Struct, frozen=True):
    """An endpoint as it stands."""

    id: UUID
    url: str
    event_types: list[EventType]
    description: str
    status: EndpointStatus
    disabled_reason: DisabledReason | None
    secret_key: str
    secret_version: int
    previous_key: str | None
    previous_version: int | None
    previous_until: datetime | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


_ENDPOINTS: Final = Select(EndpointRow, "webhook_endpoints e")
_COLUMNS: Final = _ENDPOINTS.columns


class Change(msgspec.Struct, frozen=True):
    """What to change of an endpoint; None leaves a field as it is."""

    url: str | None = None
    event_types: list[str] | None = None
    description: str | None = None
    status: Literal["enabled", "disabled"] | None = None


class UrlTakenError(Exception):
    """Another endpoint that is not closed has this URL."""


async def create(db: Database, item: NewEndpoint, action: AuditEntry) -> EndpointRow | None:
    """Register an endpoint; None if there are MAX_ENDPOINTS. Raises UrlTakenError."""
    values = {**msgspec.structs.asdict(item), "most": MAX_ENDPOINTS}
    return await _act(
        db,
        f"""
        -- One at a time, and in a statement before, so that the next one counts all there are.
        SELECT pg_advisory_xact_lock(hashtextextended('webhook_endpoints', 0));
        INSERT INTO webhook_endpoints AS e
            (id, url, event_types, description, secret_key, created_at, updated_at)
        SELECT %(id)s, %(url)s, %(event_types)s, %(description)s, %(secret_key)s, %(at)s, %(at)s
        WHERE (SELECT count(*) FROM webhook_endpoints WHERE status <> 'closed') < %(most)s
        RETURNING {_COLUMNS}
        """,  # noqa: S608  constants only
        values,
        action,
    )


async def change(
    db: Database, endpoint_id: UUID, change: Change, *, at: datetime, action: AuditEntry
) -> EndpointRow | None:
    """Change an endpoint; None if there is none or it is closed. Raises UrlTakenError.

    Enabling it makes it well again: how long it had been failing is forgotten.
    """
    values = {**msgspec.structs.asdict(change), "id": endpoint_id, "at": at}
    return await _act(
        db,
        f"""
        UPDATE webhook_endpoints e SET
            url = coalesce(%(url)s, e.url),
            event_types = coalesce(%(event_types)s, e.event_types),
            description = coalesce(%(description)s, e.description),
            status = coalesce(%(status)s, e.status),
            disabled_reason = CASE %(status)s WHEN 'disabled' THEN 'operator'
                WHEN 'enabled' THEN NULL ELSE e.disabled_reason END,
            failing_since = CASE %(status)s WHEN 'enabled' THEN NULL ELSE e.failing_since END,
            updated_at = %(at)s
        WHERE e.id = %(id)s AND e.status <> 'closed'
        RETURNING {_COLUMNS}
        """,  # noqa: S608  constants only
        values,
        action,
    )


async def rotate(
    db: Database,
    endpoint_id: UUID,
    *,
    secret_key: str,
    until: datetime,
    at: datetime,
    action: AuditEntry,
) -> EndpointRow | None:
    """Give an endpoint its next secret; the one before signs as well `until` then."""
    return await _act(
        db,
        f"""
        UPDATE webhook_endpoints e SET
            previous_key = e.secret_key, previous_version = e.secret_version,
            previous_until = %(until)s, secret_key = %(secret_key)s,
            secret_version = e.secret_version + 1, updated_at = %(at)s
        WHERE e.id = %(id)s AND e.status <> 'closed'
        RETURNING {_COLUMNS}
        """,  # noqa: S608  constants only
        {"id": endpoint_id, "secret_key": secret_key, "until": until, "at": at},
        action,
    )


async def close(
    db: Database, endpoint_id: UUID, *, at: datetime, action: AuditEntry
) -> EndpointRow | None:
    """End an endpoint for good, and what was still to be sent to it."""
    return await _act(
        db,
        f"""
        WITH closed AS (
            UPDATE webhook_endpoints e
            SET status = 'closed', disabled_reason = NULL, updated_at = %(at)s
            WHERE e.id = %(id)s AND e.status <> 'closed'
            RETURNING e.*),
        canceled AS (
            UPDATE webhook_deliveries d SET status = 'canceled', ended_at = %(at)s
            FROM closed c WHERE d.endpoint_id = c.id AND d.status = 'pending')
        SELECT {_COLUMNS} FROM closed e
        """,  # noqa: S608  constants only
        {"id": endpoint_id, "at": at},
        action,
    )


async def disable(
    db: Database, endpoint_id: UUID, reason: DisabledReason, *, at: datetime, action: AuditEntry
) -> bool:
    """Stop sending to an endpoint; False if somebody else was faster."""
    done = await _act(
        db,
        f"""
        UPDATE webhook_endpoints e
        SET status = 'disabled', disabled_reason = %(reason)s, updated_at = %(at)s
        WHERE e.id = %(id)s AND e.status = 'enabled'
        RETURNING {_COLUMNS}
        """,  # noqa: S608  constants only
        {"id": endpoint_id, "reason": reason, "at": at},
        action,
    )
    return done is not None


async def get(db: Database, endpoint_id: UUID) -> EndpointRow | None:
    """Return an endpoint, also one that is closed."""
    return await _ENDPOINTS.one(db, id=endpoint_id)


async def list_endpoints(
    db: Database, *, state: Shown, cursor: UUID | None, limit: int
) -> Page[EndpointRow]:
    """Return endpoints in a state, oldest first."""
    return await _ENDPOINTS.page(db, cursor, limit, status=None if state == "all" else state)


async def _act(
    db: Database, sql: str, values: dict[str, object], action: AuditEntry
) -> EndpointRow | None:
    """Run a statement that changes one endpoint, with its entry in the audit trail."""
    try:
        rows = await audit_entries.act(db, sql, values, action)
    except RefusedError as error:
        if error.constraint == _ONE_A_URL:
            raise UrlTakenError from error
        raise
    return row_of(EndpointRow, rows[0]) if rows else None
