"""What an operator decides: one transaction a decision, with its answer and its entry on record."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from service.store import audit_entries
from service.store.audit_entries import AuditEntry
from service.store.database import Database, RefusedError, Transaction
from service.store.record_outcomes import RecordedOutcome

KEY_TAKEN: Final = "idempotency_keys_pkey"
ORPHAN: Final = "orphan_pays_nothing"
REF_USED: Final = "reference_used"
REF_TAKEN: Final = frozenset(
    {
        "payments_provider_provider_ref_key",
        "refunds_provider_ref",
        "orphan_captures_refund_ref",
        ORPHAN,
        REF_USED,
    }
)
"""What refuses a reference that stands for something else already."""
NOT_READY: Final = "not_ready"
"""What refuses a decision whose subject has changed since it was looked at."""


class CommandResult(StrEnum):
    """What came of a decision."""

    DONE = "done"
    REPLAY = "replay"
    KEY_REUSED = "key_reused"
    IN_FLIGHT = "in_flight"
    NOT_FOUND = "not_found"
    NOT_READY = "not_ready"
    REF_TAKEN = "ref_taken"


class CommandItem(msgspec.Struct, frozen=True):
    """An operator's decision: the request's key, its answer, and the entry of the audit trail."""

    subject_id: UUID
    action_id: UUID
    caller: str
    key: str
    fingerprint: bytes
    response_status: int
    response_body: str
    action: AuditEntry


class CommandOutcome(msgspec.Struct, frozen=True):
    """What came of it; the stored answer if it is a replay, the recorded outcome if it is done."""

    kind: CommandResult
    response_status: int | None = None
    response_body: str | None = None
    recorded: RecordedOutcome | None = None


async def run_command(
    db: Database,
    command_item: CommandItem,
    lock: str,
    record_outcome: Callable[[Transaction], Awaitable[RecordedOutcome | None]],
    *,
    ready: str = "review",
) -> CommandOutcome:
    """Do what an operator decides, keep its answer and record it: all in one transaction.

    `lock` locks the subject and returns its status, which must be `ready`; its parameters are the
    subject's id, as often as needed.
    """
    try:
        async with db.transaction() as transaction:
            ids = [command_item.subject_id] * lock.count("%s")
            found = await transaction.fetch(lock, ids)  # operators at once queue up here
            if (refusal := await _refusal(transaction, command_item, found, ready)) is not None:
                return refusal
            await _keep_answer(transaction, command_item)
            recorded = await record_outcome(transaction)
            await audit_entries.record(transaction, command_item.action)
            return CommandOutcome(CommandResult.DONE, recorded=recorded)
    except RefusedError as error:
        if error.constraint == KEY_TAKEN:  # by a request on another subject in the same moment
            return CommandOutcome(CommandResult.IN_FLIGHT)
        if error.constraint in REF_TAKEN:
            return CommandOutcome(CommandResult.REF_TAKEN)
        if error.constraint == NOT_READY:
            return CommandOutcome(CommandResult.NOT_READY)
        raise


async def _refusal(
    transaction: Transaction, command_item: CommandItem, found: list[tuple[str]], ready: str
) -> CommandOutcome | None:
    known = await transaction.fetch(
        "SELECT fingerprint, response_status, response_body FROM idempotency_keys"
        " WHERE caller = %s AND key = %s",
        (command_item.caller, command_item.key),
    )
    if known:
        fingerprint, status, body = known[0]
        if bytes(fingerprint) != command_item.fingerprint:
            return CommandOutcome(CommandResult.KEY_REUSED)
        if status is None:
            return CommandOutcome(CommandResult.IN_FLIGHT)
        return CommandOutcome(CommandResult.REPLAY, status, body)
    if not found:
        return CommandOutcome(CommandResult.NOT_FOUND)
    return None if found[0][0] == ready else CommandOutcome(CommandResult.NOT_READY)


async def _keep_answer(transaction: Transaction, command_item: CommandItem) -> None:
    await transaction.fetch(
        """
        INSERT INTO idempotency_keys (caller, key, fingerprint, resource_id, recovery_point,
                                      response_status, response_body, created_at)
        VALUES (%s, %s, %s, %s, 'finished', %s, %s, %s)
        """,
        (
            command_item.caller,
            command_item.key,
            command_item.fingerprint,
            command_item.action_id,
            command_item.response_status,
            command_item.response_body,
            command_item.action.at,
        ),
    )
