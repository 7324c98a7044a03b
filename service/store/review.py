"""What waits for a person, and what the person decides: one transaction a decision."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from service.store import admin_actions
from service.store.admin_actions import AdminAction
from service.store.database import Database, RefusedError, Transaction
from service.store.refunds import SettleRefund, settle_refund_within
from service.store.settle_payments import SettleOutcome, SettlePayment, settle_within

KEY_TAKEN = "idempotency_keys_pkey"
ORPHAN = "orphan_pays_nothing"
REF_TAKEN = frozenset({"payments_provider_provider_ref_key", "refunds_provider_ref", ORPHAN})
"""What refuses a reference that stands for something else already."""


class ReviewRow(msgspec.Struct, frozen=True):
    """A payment or refund in review; `provider_ref` is its own name at the provider."""

    kind: str
    id: UUID
    payment_id: UUID
    order_id: UUID
    user_id: str
    provider: str
    provider_ref: str | None
    amount_minor: int
    currency: str
    failure_code: str | None
    created_at: datetime
    updated_at: datetime


class Decided(StrEnum):
    """What came of a decision."""

    DONE = "done"
    REPLAY = "replay"
    KEY_REUSED = "key_reused"
    IN_FLIGHT = "in_flight"
    NOT_FOUND = "not_found"
    NOT_IN_REVIEW = "not_in_review"
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


async def list_review(db: Database, *, after: UUID | None, limit: int) -> list[ReviewRow]:
    """Return payments and refunds in review, oldest first, from `after` on (exclusive)."""
    rows = await db.read(
        """
        (SELECT 'payment', p.id, p.id, p.order_id, p.user_id, p.provider, p.provider_ref,
                p.amount_minor, p.currency, p.failure_code, p.created_at, p.updated_at
         FROM payments p
         WHERE p.status = 'review' AND (%(after)s::uuid IS NULL OR p.id > %(after)s::uuid)
         ORDER BY p.id LIMIT %(limit)s)
        UNION ALL
        (SELECT 'refund', r.id, p.id, p.order_id, p.user_id, p.provider, r.provider_ref,
                r.amount_minor, r.currency, r.failure_code, r.created_at, r.updated_at
         FROM refunds r JOIN payments p ON p.id = r.payment_id
         WHERE r.status = 'review' AND (%(after)s::uuid IS NULL OR r.id > %(after)s::uuid)
         ORDER BY r.id LIMIT %(limit)s)
        ORDER BY 2 LIMIT %(limit)s
        """,
        {"after": after, "limit": limit},
    )
    return [ReviewRow(*row) for row in rows]


async def decide_payment(
    db: Database, decision: Decision, settlement: SettlePayment
) -> DecisionOutcome:
    """Settle a payment in review as an operator says.

    The decision becomes an attempt, which the statement of every other settlement settles.
    """

    async def settle(transaction: Transaction) -> SettleOutcome:
        if settlement.captured_minor:
            await _refuse_orphan(transaction, settlement)
        await transaction.fetch(
            "INSERT INTO payment_attempts"
            " (id, payment_id, operation, status, next_check_at, created_at)"
            " VALUES (%s, %s, 'review', 'pending', %s, %s)",
            (settlement.attempt_id, settlement.payment_id, settlement.at, settlement.at),
        )
        return await settle_within(transaction, settlement)

    return await _decide(db, decision, _PAYMENT, settle)


async def decide_refund(
    db: Database, decision: Decision, settlement: SettleRefund
) -> DecisionOutcome:
    """Settle a refund in review as an operator says."""

    async def settle(transaction: Transaction) -> SettleOutcome:
        return SettleOutcome(await settle_refund_within(transaction, settlement), None)

    return await _decide(db, decision, _REFUND, settle)


async def _refuse_orphan(transaction: Transaction, settlement: SettlePayment) -> None:
    """Raise RefusedError for a charge that is on its way back to the buyer."""
    orphans = await transaction.fetch(
        "SELECT 1 FROM orphan_captures o JOIN payments p ON p.provider = o.provider"
        " WHERE p.id = %s AND o.provider_ref = %s",
        (settlement.payment_id, settlement.provider_ref),
    )
    if orphans:
        raise RefusedError("the charge is given back as an orphan", ORPHAN)


_PAYMENT = "SELECT p.status FROM payments p WHERE p.id = %s FOR UPDATE"
# The payment first, like every settlement of a refund, so that the two never wait for each other.
_REFUND = """
WITH payment AS MATERIALIZED (
    SELECT p.id FROM payments p
    WHERE p.id = (SELECT payment_id FROM refunds WHERE id = %s) FOR UPDATE)
SELECT r.status FROM payment p JOIN refunds r ON r.payment_id = p.id
WHERE r.id = %s FOR UPDATE OF r
"""


async def _decide(
    db: Database,
    decision: Decision,
    lock: str,
    settle: Callable[[Transaction], Awaitable[SettleOutcome]],
) -> DecisionOutcome:
    try:
        async with db.transaction() as transaction:
            ids = [decision.subject_id] * lock.count("%s")
            found = await transaction.fetch(lock, ids)  # operators at once queue up here
            if (refusal := await _refusal(transaction, decision, found)) is not None:
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
        raise


async def _refusal(
    transaction: Transaction, decision: Decision, found: list[tuple[str]]
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
    return None if found[0][0] == "review" else DecisionOutcome(Decided.NOT_IN_REVIEW)


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
