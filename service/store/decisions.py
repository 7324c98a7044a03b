"""What an operator decides: one transaction a decision, with its answer and its entry on record."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from service.store import admin_actions
from service.store.admin_actions import AdminAction
from service.store.database import Database, RefusedError, Transaction
from service.store.settle_payments import SettleOutcome

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


class Decided(StrEnum):
    """What came of a decision."""

    DONE = "done"
    REPLAY = "replay"
    KEY_REUSED = "key_reused"
    IN_FLIGHT = "in_flight"
    NOT_FOUND = "not_found"
    NOT_READY = "not_ready"
    REF_TAKEN = "ref_taken"


class Decision(msgspec.Struct, frozen=True):
    """An operator's decision: the request's key, its answer, and the entry of the audit trail."""

    subject_id: UUID
    action_id: UUID
    caller: str
    key: str
    fingerprint: bytes
    response_status: int
    response_body: str
    action: AdminAction


class DecisionOutcome(msgspec.Struct, frozen=True):
    """What came of it; the stored answer if it is a replay, the settlement if it is done."""

    kind: Decided
    response_status: int | None = None
    response_body: str | None = None
    settled: SettleOutcome | None = None


async def decide(
    db: Database,
    decision: Decision,
    lock: str,
    settle: Callable[[Transaction], Awaitable[SettleOutcome | None]],
    *,
    ready: str = "review",
) -> DecisionOutcome:
    """Do what an operator decides, keep its answer and record it: all in one transaction.

    `lock` locks the subject and returns its status, which must be `ready`; its parameters are the
    subject's id, as often as needed.
    """
    try:
        async with db.transaction() as transaction:
            ids = [decision.subject_id] * lock.count("%s")
            found = await transaction.fetch(lock, ids)  # operators at once queue up here
            if (refusal := await _refusal(transaction, decision, found, ready)) is not None:
                return refusal
            await _keep_answer(transaction, decision)
            settled = await settle(transaction)
            await admin_actions.record(transaction, decision.action)
            return DecisionOutcome(Decided.DONE, settled=settled)
    except RefusedError as error:
        if error.constraint == KEY_TAKEN:  # by a request on another subject in the same moment
            return DecisionOutcome(Decided.IN_FLIGHT)
        if error.constraint in REF_TAKEN:
            return DecisionOutcome(Decided.REF_TAKEN)
        if error.constraint == NOT_READY:
            return DecisionOutcome(Decided.NOT_READY)
        raise


async def _refusal(
    transaction: Transaction, decision: Decision, found: list[tuple[str]], ready: str
) -> DecisionOutcome | None:
    known = await transaction.fetch(
        "SELECT fingerprint, response_status, response_body FROM idempotency_keys"
        " WHERE caller = %s AND key = %s",
        (decision.caller, decision.key),
    )
    if known:
        fingerprint, status, body = known[0]
        if bytes(fingerprint) != decision.fingerprint:
            return DecisionOutcome(Decided.KEY_REUSED)
        if status is None:
            return DecisionOutcome(Decided.IN_FLIGHT)
        return DecisionOutcome(Decided.REPLAY, status, body)
    if not found:
        return DecisionOutcome(Decided.NOT_FOUND)
    return None if found[0][0] == ready else DecisionOutcome(Decided.NOT_READY)


async def _keep_answer(transaction: Transaction, decision: Decision) -> None:
    await transaction.fetch(
        """
        INSERT INTO idempotency_keys (caller, key, fingerprint, resource_id, recovery_point,
                                      response_status, response_body, created_at)
        VALUES (%s, %s, %s, %s, 'finished', %s, %s, %s)
        """,
        (
            decision.caller,
            decision.key,
            decision.fingerprint,
            decision.action_id,
            decision.response_status,
            decision.response_body,
            decision.action.at,
        ),
    )
