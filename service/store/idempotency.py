"""Idempotency keys: how one is claimed, who owns it, what it answered, and when it is forgotten.

Every statement that claims a key is put together from the same parts. It gives them `input` and
`checked`: an item's columns with the `resource_id` that its key is to stand for, and the `refusal`
of an item that may not begin (a value of Begun, or NULL).
"""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from service.domain.money import Money
from service.store.database import Database
from service.store.record_outcomes import RecordedOutcome


class Begun(StrEnum):
    """How a request under an idempotency key began: first what the key says, then what refuses."""

    CREATED = "created"
    REPLAY = "replay"
    RESUME = "resume"
    IN_FLIGHT = "in_flight"
    KEY_REUSED = "key_reused"
    AGAIN = "again"

    NOT_FOUND = "not_found"
    NOT_READY = "not_ready"
    ORDER_NOT_PAYABLE = "order_not_payable"
    LIVE_PAYMENT = "live_payment"
    OWNED = "owned"
    AMOUNT_REFUSED = "amount_refused"
    LOST_ORDER = "lost_order"
    LOST_GAME = "lost_game"
    CAPTURE_TOO_LARGE = "capture_too_large"
    BUSY = "busy"
    NOT_SUCCEEDED = "not_succeeded"
    DISPUTED = "disputed"
    REFUND_TOO_LARGE = "refund_too_large"
    REF_TAKEN = "ref_taken"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What every request under a key brings; `fingerprint` is its SHA-256 in hexadecimal."""

    caller: str
    key: str
    fingerprint: str
    correlation_id: str
    at: datetime
    locked_until: datetime
    """Until when the request owns the key, unless it is answered in the same statement."""


class BeginOutcome(msgspec.Struct, frozen=True):
    """How a request began; the stored answer if it is a replay.

    `resource_id` is what the key stands for. `amount` is what a payment or refund is of, `recorded`
    what came of an operator's decision, which is carried out as it begins.
    """

    kind: Begun
    resource_id: UUID
    response_status: int | None = None
    response_body: str | None = None
    amount: Money | None = None
    recorded: RecordedOutcome | None = None


COLUMNS: Final = """
        caller text, key text, fingerprint text, correlation_id text, at timestamptz,
        locked_until timestamptz"""

_CLAIMED: Final = """known AS MATERIALIZED (
    SELECT k.* FROM input i JOIN idempotency_keys k ON k.caller = i.caller AND k.key = i.key
),
claimed AS (
    INSERT INTO idempotency_keys
        (caller, key, fingerprint, resource_id, created_at,
         locked_until, recovery_point, response_status, response_body)
    SELECT caller, key, decode(fingerprint, 'hex'), resource_id, at, {answer}
    FROM checked WHERE key IS NOT NULL AND refusal IS NULL
    ORDER BY caller, key
    ON CONFLICT DO NOTHING
    RETURNING resource_id
)"""
CLAIMED: Final = _CLAIMED.format(answer="locked_until, 'started', NULL::smallint, NULL")
CLAIMED_AND_ANSWERED: Final = _CLAIMED.format(
    answer="NULL::timestamptz, 'finished', response_status, response_body"
)
"""For what needs nobody else, and so ends in the statement that begins it."""

_KNOWN_STATE: Final = """CASE
           WHEN k.fingerprint <> decode(c.fingerprint, 'hex') THEN 'key_reused'
           WHEN k.response_status IS NOT NULL THEN 'replay'
           WHEN k.locked_until > c.at THEN 'in_flight'
           ELSE 'resume'
       END"""

# A known key of ours: the statement was repeated. None of ours yet: another claimed it meanwhile.
STATE: Final = f"""
           WHEN k.resource_id <> c.resource_id THEN {_KNOWN_STATE}
           WHEN k.key IS NULL AND c.refusal IS NOT NULL THEN c.refusal
           WHEN k.key IS NULL AND c.key IS NOT NULL AND n.resource_id IS NULL THEN 'again'
"""
ANSWER: Final = "coalesce(k.resource_id, c.resource_id), k.response_status, k.response_body"
BEGUN: Final = f"CASE {STATE} ELSE 'created' END, {ANSWER}"
FROM: Final = """FROM checked c
LEFT JOIN known k ON k.caller = c.caller AND k.key = c.key
LEFT JOIN claimed n ON n.resource_id = c.resource_id
"""


def begin_outcome(
    kind: str,
    resource_id: UUID,
    status: int | None,
    body: str | None,
    minor: int | None = None,
    currency: str | None = None,
) -> BeginOutcome:
    """Return the outcome of a row: BEGUN, and minor units and currency if there are any."""
    amount = Money(minor, currency) if minor is not None and currency else None
    return BeginOutcome(Begun(kind), resource_id, status, body, amount)


async def find(
    db: Database, caller: str, key: str, *, fingerprint: str, at: datetime
) -> BeginOutcome | None:
    """Return what has become of a key, None for one that is free."""
    rows = await db.read(
        f"""
        SELECT {_KNOWN_STATE}, k.resource_id, k.response_status, k.response_body
        FROM idempotency_keys k
        CROSS JOIN (SELECT %(fingerprint)s AS fingerprint, %(at)s::timestamptz AS at) c
        WHERE k.caller = %(caller)s AND k.key = %(key)s
        """,  # noqa: S608  constants only; values are parameters
        {"caller": caller, "key": key, "fingerprint": fingerprint, "at": at},
    )
    return begin_outcome(*rows[0]) if rows else None


async def take_over(db: Database, resource_id: UUID, *, at: datetime, until: datetime) -> bool:
    """Own a key whose first owner is gone; False if another was faster."""
    rows = await db.fetch(
        """
        UPDATE idempotency_keys SET locked_until = %(until)s
        WHERE resource_id = %(resource_id)s AND recovery_point = 'started'
          AND (locked_until IS NULL OR locked_until <= %(at)s)
        RETURNING 1
        """,
        {"resource_id": resource_id, "at": at, "until": until},
    )
    return bool(rows)


async def stored_answer(db: Database, resource_id: UUID) -> tuple[int, str] | None:
    """Return status and body that the request which made this payment or refund got."""
    rows = await db.read(
        "SELECT response_status, response_body FROM idempotency_keys"
        " WHERE resource_id = %s AND response_status IS NOT NULL",
        (resource_id,),
    )
    return (rows[0][0], rows[0][1]) if rows else None


# No payment or one that failed without an answer (only one that failed over to another provider
# does), no refund, no attempt under way.
_NOTHING_LIVE: Final = """
    k.recovery_point = 'started'
    AND NOT EXISTS (SELECT FROM refunds r WHERE r.id = k.resource_id)
    AND NOT EXISTS (SELECT FROM payments p WHERE p.id = k.resource_id AND p.status <> 'failed')
    AND NOT EXISTS (SELECT FROM payment_attempts a
                    WHERE a.id = k.resource_id AND a.status IN ('pending', 'unknown'))
"""


async def free(db: Database, resource_id: UUID) -> bool:
    """Free the key of a request that came to nothing, so that it may be sent again.

    False if something is live behind it, or another was faster.
    """
    rows = await db.fetch(
        "DELETE FROM idempotency_keys k"  # noqa: S608  constants only; values are parameters
        f" WHERE k.resource_id = %s AND {_NOTHING_LIVE} RETURNING 1",
        (resource_id,),
    )
    return bool(rows)


async def free_abandoned(db: Database, *, at: datetime, limit: int) -> int:
    """Free the keys of requests that died after they had come to nothing; return how many.

    All other keys are answered by whoever records the outcome behind them. A request that is not
    dead but late finds its key gone, and goes no further.
    """
    rows = await db.fetch(
        f"""
        DELETE FROM idempotency_keys d USING (
            SELECT k.caller, k.key FROM idempotency_keys k
            WHERE k.locked_until <= %(at)s AND {_NOTHING_LIVE}
            ORDER BY k.locked_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED) dead
        WHERE d.caller = dead.caller AND d.key = dead.key
        RETURNING 1
        """,  # noqa: S608  constants only; values are parameters
        {"at": at, "limit": limit},
    )
    return len(rows)


async def reap(db: Database, *, before: datetime, limit: int) -> int:
    """Forget keys that were answered before `before`; return how many.

    What a key has made stays unique without it: an order has one live payment, for ever.
    """
    rows = await db.fetch(
        """
        DELETE FROM idempotency_keys k USING (
            SELECT caller, key FROM idempotency_keys
            WHERE recovery_point = 'finished' AND created_at < %s
            ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED) old
        WHERE k.caller = old.caller AND k.key = old.key
        RETURNING 1
        """,
        (before, limit),
    )
    return len(rows)
