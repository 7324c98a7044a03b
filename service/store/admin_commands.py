"""What an operator decides: one transaction a decision, with its answer and its entry on record."""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from service.store import audit_entries
from service.store import idempotency as keys
from service.store.audit_entries import AuditEntry
from service.store.database import Database, RefusedError, Transaction
from service.store.idempotency import BeginOutcome, Begun, Claim, begin_outcome
from service.store.record_outcomes import RecordedOutcome

ORPHAN: Final = "orphan_pays_nothing"
REF_USED: Final = "reference_used"
NOT_READY: Final = "not_ready"
REFUSALS: Final = {
    **dict.fromkeys(
        (
            "payments_provider_provider_ref_key",
            "refunds_provider_ref",
            "orphan_captures_refund_ref",
            ORPHAN,
            REF_USED,
        ),
        Begun.REF_TAKEN,
    ),
    NOT_READY: Begun.NOT_READY,
}
"""What a refused write says of a decision: its reference stands for something else already, or its
subject has changed since it was looked at."""


class CommandItem(Claim, frozen=True, kw_only=True):
    """An operator's decision: the request's key, its answer, and the entry of the audit trail."""

    subject_id: UUID
    action_id: UUID
    response_status: int
    response_body: str
    action: AuditEntry


# The payment first, like every other writer, so that two never wait for each other.
_LOCK: Final = """
WITH payment AS MATERIALIZED (
    SELECT p.id FROM payments p
    WHERE p.id = (SELECT payment_id FROM {table} WHERE id = %(id)s) FOR UPDATE)
SELECT {status} FROM payment p JOIN {table} s ON s.payment_id = p.id
WHERE s.id = %(id)s FOR UPDATE OF s
"""
_LOCKS: Final = {
    "payment": "SELECT p.status FROM payments p WHERE p.id = %(id)s FOR UPDATE",
    "refund": _LOCK.format(table="refunds", status="s.status"),
    "orphan_capture": _LOCK.format(table="orphan_captures", status="s.status"),
    "dispute": _LOCK.format(table="disputes", status="coalesce(s.review, 'none')"),
    "fraud_warning": _LOCK.format(table="fraud_warnings", status="s.status"),
}
"""What locks a subject, so that operators at once queue up, and returns how it stands."""

_BEGIN: Final = f"""
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(items)s::json) AS i({keys.COLUMNS},
        action_id uuid, response_status smallint, response_body text)
),
checked AS MATERIALIZED (
    SELECT i.*, i.action_id AS resource_id, %(refusal)s::text AS refusal FROM input i
),
{keys.CLAIMED_AND_ANSWERED}
SELECT {keys.BEGUN}
{keys.FROM}
"""  # noqa: S608  constants only; values are parameters


async def run_command(
    db: Database,
    command_item: CommandItem,
    record_outcome: Callable[[Transaction], Awaitable[RecordedOutcome | None]],
    *,
    ready: str = "review",
) -> BeginOutcome:
    """Do what an operator decides, keep its answer and record it: all in one transaction.

    The subject must stand at `ready`.
    """

    async def decide(transaction: Transaction) -> BeginOutcome:
        begun = await _begin(transaction, command_item, ready)
        if begun.kind is not Begun.CREATED:
            return begun
        recorded = await record_outcome(transaction)
        await audit_entries.record(transaction, command_item.action)
        return replace(begun, recorded=recorded)

    try:
        return await db.transact(decide)
    except RefusedError as error:
        if error.constraint not in REFUSALS:
            raise
        return BeginOutcome(REFUSALS[error.constraint], command_item.action_id)


async def _begin(transaction: Transaction, command_item: CommandItem, ready: str) -> BeginOutcome:
    lock = _LOCKS[command_item.action.subject]
    found = await transaction.fetch(lock, {"id": command_item.subject_id})
    refusal = None if found == [(ready,)] else "not_ready" if found else "not_found"
    items = msgspec.json.encode([command_item]).decode()
    rows = await transaction.fetch(_BEGIN, {"items": items, "refusal": refusal})
    return begin_outcome(*rows[0])
