"""The operators' audit trail: append-only, and chained per subject by the database."""

from typing import Any, Literal

import msgspec

from service.store.database import Database, Row, Transaction
from service.store.rows import Timestamp, columns, rows_of

Subject = Literal[
    "payment",
    "refund",
    "outbox",
    "reconciliation",
    "orphan_capture",
    "webhook_event",
    "webhook_endpoint",
    "dispute",
    "fraud_warning",
]


class AuditEntry(msgspec.Struct, frozen=True):
    """Who did what to which subject, why, and on what evidence (a JSON object)."""

    subject: Subject
    subject_id: str
    at: Timestamp
    actor: str
    action: str
    reason: str
    evidence: dict[str, Any]
    correlation_id: str


class AuditEntryRow(AuditEntry, frozen=True):
    """An entry of the trail; `seq` counts within its subject."""

    seq: int


async def record(transaction: Transaction, action: AuditEntry) -> None:
    """Record an action in the transaction that does it."""
    values = msgspec.structs.asdict(action)
    values["evidence"] = msgspec.json.encode(action.evidence).decode()
    await transaction.fetch(
        """
        INSERT INTO admin_actions
            (subject, subject_id, at, actor, action, reason, evidence, correlation_id)
        VALUES (%(subject)s, %(subject_id)s, %(at)s, %(actor)s, %(action)s, %(reason)s,
                %(evidence)s::jsonb, %(correlation_id)s)
        """,
        values,
    )


async def act(db: Database, sql: str, values: dict[str, Any], action: AuditEntry) -> list[Row]:
    """Run a statement; if it returns rows, record the action in the same transaction."""

    async def work(transaction: Transaction) -> list[Row]:
        rows = await transaction.fetch(sql, values)
        if rows:
            await record(transaction, action)
        return rows

    return await db.transact(work)


async def list_actions(db: Database, subjects: list[tuple[Subject, str]]) -> list[AuditEntryRow]:
    """Return what was done to these subjects, oldest first."""
    rows = await db.read(
        f"""
        SELECT {columns(AuditEntryRow, "a")}
        FROM json_to_recordset(%s::json) AS s(subject text, subject_id text)
        JOIN admin_actions a ON a.subject = s.subject AND a.subject_id = s.subject_id
        ORDER BY a.at, a.subject, a.subject_id, a.seq
        """,  # noqa: S608  constants only
        (
            msgspec.json.encode(
                [{"subject": subject, "subject_id": key} for subject, key in subjects]
            ).decode(),
        ),
    )
    return rows_of(AuditEntryRow, rows)
