"""Reconciliation runs: asked for or due, held by one process at a time, ended once."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.store import audit_entries
from service.store.audit_entries import AuditEntry
from service.store.database import Database
from service.store.rows import Page, Select, Timestamp, row_of

RunStatus = Literal["requested", "running", "succeeded", "failed"]


class RunRow(msgspec.Struct, frozen=True):
    """A run as it stands; the counts are of what it has read and found so far."""

    id: UUID
    status: RunStatus
    actor: str
    requested_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    window_from: Timestamp | None
    window_to: Timestamp | None
    charges: int
    payments: int
    grants: int
    differences: int
    foreign_charges: int
    error: str | None


_RUNS: Final = Select(RunRow, "reconciliation_runs r", newest_first=True)
_COLUMNS: Final = _RUNS.columns


class Claim(msgspec.Struct, frozen=True):
    """Who wants to run, and when one is due without being asked for."""

    run_id: UUID
    at: datetime
    lease_until: datetime
    due_before: datetime
    retry_before: datetime


class Progress(msgspec.Struct):
    """What a run has read and found; it grows page by page."""

    charges: int = 0
    payments: int = 0
    grants: int = 0
    differences: int = 0
    foreign_charges: int = 0


async def request(db: Database, run_id: UUID, action: AuditEntry) -> RunRow:
    """Ask for a run, or join the one that waits already."""
    async with db.transaction() as transaction:
        rows = await transaction.fetch(
            f"""
            INSERT INTO reconciliation_runs AS r (id, status, actor, requested_at)
            VALUES (%s, 'requested', %s, %s)
            ON CONFLICT (status) WHERE status = 'requested' DO UPDATE SET actor = r.actor
            RETURNING {_COLUMNS}
            """,  # noqa: S608  constants only
            (run_id, action.actor, action.at),
        )
        run = row_of(RunRow, rows[0])
        await audit_entries.record(
            transaction, msgspec.structs.replace(action, subject_id=str(run.id))
        )
    return run


_WAITING: Final = """
SELECT EXISTS (SELECT FROM reconciliation_runs WHERE status = 'requested')
    OR coalesce((
        SELECT CASE r.status
                   WHEN 'running' THEN r.lease_until <= %(at)s
                   WHEN 'failed' THEN r.finished_at <= %(retry_before)s
                   ELSE r.requested_at <= %(due_before)s
               END
        FROM reconciliation_runs r ORDER BY r.id DESC LIMIT 1), true)
"""


_TAKE: Final = f"""
UPDATE reconciliation_runs r
SET status = 'running', started_at = %(at)s, lease_until = %(lease_until)s
WHERE r.status = 'requested' RETURNING {_COLUMNS}
"""  # noqa: S608  constants only
_MAKE: Final = f"""
INSERT INTO reconciliation_runs AS r (id, status, actor, requested_at, started_at, lease_until)
VALUES (%(run_id)s, 'running', 'schedule', %(at)s, %(at)s, %(lease_until)s) RETURNING {_COLUMNS}
"""  # noqa: S608  constants only


async def claim(db: Database, item: Claim) -> RunRow | None:
    """Begin the run that was asked for, or else one that is due; None if neither is.

    A run whose process is gone (its lease has ended) is failed first.
    """
    values = msgspec.structs.asdict(item)
    if not (await db.read(_WAITING, values))[0][0]:
        return None
    async with db.transaction() as transaction:
        # One claim at a time, for the look and the write belong together.
        await transaction.fetch("SELECT pg_advisory_xact_lock(hashtextextended('reconcile', 0))")
        await transaction.fetch(
            "UPDATE reconciliation_runs SET status = 'failed', finished_at = %(at)s,"
            " lease_until = NULL, error = 'its process is gone'"
            " WHERE status = 'running' AND lease_until <= %(at)s",
            values,
        )
        if not (await transaction.fetch(_WAITING, values))[0][0]:
            return None
        if await transaction.fetch("SELECT 1 FROM reconciliation_runs WHERE status = 'running'"):
            return None
        rows = await transaction.fetch(_TAKE, values) or await transaction.fetch(_MAKE, values)
        # What runs left that did not come to their end.
        await transaction.fetch("TRUNCATE reconciliation_seen")
    return row_of(RunRow, rows[0])


async def keep(
    db: Database,
    run_id: UUID,
    progress: Progress,
    *,
    window: tuple[datetime, datetime],
    lease_until: datetime,
) -> bool:
    """Hold the run for longer and record its progress; False if another process has taken over."""
    rows = await db.fetch(
        "UPDATE reconciliation_runs SET lease_until = %s, window_from = %s, window_to = %s,"
        " charges = %s, payments = %s, grants = %s, differences = %s,"
        " foreign_charges = %s"
        " WHERE id = %s AND status = 'running' RETURNING 1",
        (lease_until, *window, *msgspec.structs.astuple(progress), run_id),
    )
    return bool(rows)


async def finish(db: Database, run_id: UUID, *, at: datetime, error: str | None) -> bool:
    """End the run, well or with an error; False if it was ended before."""
    rows = await db.fetch(
        "UPDATE reconciliation_runs SET status = %s, finished_at = %s, lease_until = NULL,"
        " error = %s WHERE id = %s AND status = 'running' RETURNING 1",
        ("failed" if error else "succeeded", at, error, run_id),
    )
    await db.fetch("DELETE FROM reconciliation_seen WHERE run_id = %s", (run_id,))
    return bool(rows)


async def get_run(db: Database, run_id: UUID) -> RunRow | None:
    """Return the run."""
    return await _RUNS.one(db, id=run_id)


async def list_runs(db: Database, *, cursor: UUID | None, limit: int) -> Page[RunRow]:
    """Return runs, newest first."""
    return await _RUNS.page(db, cursor, limit)


async def last_success(db: Database) -> datetime | None:
    """Return when the last complete run ended."""
    rows = await db.read(
        "SELECT finished_at FROM reconciliation_runs WHERE status = 'succeeded'"
        " ORDER BY id DESC LIMIT 1"
    )
    return rows[0][0] if rows else None
