"""The outbox: messages to others, written in the transaction that made them true."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.domain.outbox import Topic
from service.store import audit_entries
from service.store.audit_entries import AuditEntry
from service.store.database import Database
from service.store.rows import Page, Select, Timestamp, row_of, rows_of


class Message(msgspec.Struct, frozen=True):
    """A message to deliver; `attempts` counts this one."""

    id: int
    topic: Topic
    payment_id: UUID
    user_id: str
    provider: str
    correlation_id: str
    attempts: int
    created_at: datetime


class Entitlement(msgspec.Struct, frozen=True):
    """A user's right to a game; the id is the grant's id at the Library."""

    id: UUID
    order_id: UUID
    user_id: str
    game_id: str
    quantity: int
    status: str


async def claim(db: Database, *, at: datetime, until: datetime, limit: int) -> list[Message]:
    """Take due messages and hide them from other relays until `until`.

    A message waits while an older one of its payment is undelivered: no revoke overtakes its grant.
    One that was given up is neither taken nor waited for.
    """
    rows = await db.fetch(
        """
        WITH due AS (
            SELECT o.id FROM outbox o
            WHERE o.delivered_at IS NULL AND o.given_up_at IS NULL
              AND o.next_attempt_at <= %(at)s
              AND NOT EXISTS (
                SELECT FROM outbox e WHERE e.payment_id = o.payment_id AND e.id < o.id
                AND e.delivered_at IS NULL AND e.given_up_at IS NULL)
            ORDER BY o.next_attempt_at, o.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        UPDATE outbox o SET attempts = o.attempts + 1, next_attempt_at = %(until)s
        FROM due, payments p WHERE o.id = due.id AND p.id = o.payment_id
        RETURNING o.id, o.topic, o.payment_id, p.user_id, p.provider, o.correlation_id,
            o.attempts, o.created_at
        """,
        {"at": at, "until": until, "limit": limit},
    )
    return [Message(*row) for row in rows]


async def entitlements(db: Database, payment_id: UUID) -> list[Entitlement]:
    """Return the games of a payment."""
    rows = await db.read(
        "SELECT e.id, p.order_id, e.user_id, e.game_id, e.quantity, e.status"
        " FROM entitlements e JOIN payments p ON p.id = e.payment_id"
        " WHERE e.payment_id = %s ORDER BY e.game_id",
        (payment_id,),
    )
    return [Entitlement(*row) for row in rows]


_DELIVERED: Final = """
-- The payments first, as every writer of a payment's events does: two that meet queue up here
-- instead of taking the same event number or each other's locks.
WITH locked AS MATERIALIZED (
    SELECT p.id FROM payments p
    WHERE p.id IN (SELECT payment_id FROM outbox WHERE id = ANY (%(ids)s))
    ORDER BY p.id FOR NO KEY UPDATE
),
done AS (
    UPDATE outbox o SET delivered_at = %(at)s, last_error = NULL
    FROM locked l
    WHERE o.payment_id = l.id AND o.id = ANY (%(ids)s)
      AND o.delivered_at IS NULL AND o.given_up_at IS NULL
    RETURNING o.topic, o.payment_id, o.correlation_id
),
owned AS (
    UPDATE entitlements e SET updated_at = %(at)s,
        status = CASE d.topic WHEN 'library.grant' THEN 'granted' ELSE 'revoked' END
    FROM done d
    WHERE e.payment_id = d.payment_id
      AND e.status = CASE d.topic WHEN 'library.grant' THEN 'reserved' ELSE 'granted' END
),
fulfilled AS (
    UPDATE orders o SET status = 'fulfilled', updated_at = %(at)s
    FROM done d JOIN payments p ON p.id = d.payment_id
    WHERE d.topic = 'library.grant' AND o.id = p.order_id AND o.status = 'paid'
    RETURNING o.id
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT payment_id, %(at)s,
        CASE topic WHEN 'library.grant' THEN 'games_granted' ELSE 'games_revoked' END,
        '{}', correlation_id
    FROM done
)
SELECT (SELECT count(*) FROM fulfilled)
"""


async def delivered(db: Database, ids: Sequence[int], at: datetime) -> int:
    """Record that the Library has taken these messages; return how many orders that fulfilled."""
    rows = await db.fetch(_DELIVERED, {"ids": list(ids), "at": at})
    return int(rows[0][0])


async def put_off(db: Database, message_id: int, *, until: datetime, error: str) -> None:
    """Record a failed delivery and when to try again."""
    await db.fetch(
        "UPDATE outbox SET next_attempt_at = %s, last_error = %s"
        " WHERE id = %s AND delivered_at IS NULL",
        (until, error, message_id),
    )


State = Literal["stuck", "pending", "delivered", "given_up"]

STUCK_ATTEMPTS = 3
"""Failed attempts after which a message counts as stuck: one or two are a hiccup."""

_PENDING = "o.delivered_at IS NULL AND o.given_up_at IS NULL"
_WHERE: dict[State, str] = {
    "stuck": f"{_PENDING} AND o.attempts >= {STUCK_ATTEMPTS} AND o.last_error IS NOT NULL",
    "pending": _PENDING,
    "delivered": "o.delivered_at IS NOT NULL",
    "given_up": "o.given_up_at IS NOT NULL",
}


class OutboxRow(msgspec.Struct, frozen=True):
    """A message as it stands."""

    id: int
    topic: Topic
    payment_id: UUID
    attempts: int
    last_error: str | None
    next_attempt_at: Timestamp
    delivered_at: Timestamp | None
    given_up_at: Timestamp | None
    correlation_id: str
    created_at: Timestamp


_MESSAGES: Final = Select(OutboxRow, "outbox o")


async def list_messages(
    db: Database, *, state: State, cursor: int | None, limit: int
) -> Page[OutboxRow]:
    """Return messages in a state, oldest first."""
    # Materialized, so that the few rows of a state are found by its index and sorted: in order of
    # id they would be looked for among all messages that ever were.
    materialized = "NOT MATERIALIZED" if state == "delivered" else "MATERIALIZED"
    source = f"""
        (WITH found AS {materialized} (SELECT * FROM outbox o WHERE {_WHERE[state]})
         SELECT * FROM found) o"""  # noqa: S608  constants only
    return await Select(OutboxRow, source).page(db, cursor, limit)


async def messages_of_payment(db: Database, payment_id: UUID) -> list[OutboxRow]:
    """Return the payment's grant and revoke, found by what makes them unique."""
    rows = await db.read(
        f"SELECT {_MESSAGES.columns} FROM outbox o"  # noqa: S608  constants only
        " WHERE o.topic IN ('library.grant', 'library.revoke') AND o.dedupe_key = %s ORDER BY o.id",
        (str(payment_id),),
    )
    return rows_of(OutboxRow, rows)


async def get_message(db: Database, message_id: int) -> OutboxRow | None:
    """Return the message."""
    return await _MESSAGES.one(db, id=message_id)


async def replay(db: Database, message_id: int, action: AuditEntry) -> OutboxRow | None:
    """Make a message due now, also one that was delivered: its receiver knows it by its id.

    None if there is none, or it was given up.
    """
    rows = await audit_entries.act(
        db,
        f"""
        UPDATE outbox o SET next_attempt_at = %(at)s, delivered_at = NULL
        WHERE o.id = %(id)s AND o.given_up_at IS NULL RETURNING {_MESSAGES.columns}
        """,  # noqa: S608  constants only
        {"id": message_id, "at": action.at},
        action,
    )
    return row_of(OutboxRow, rows[0]) if rows else None
