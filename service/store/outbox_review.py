"""The outbox as operators see it: what is stuck, and sending a message once more."""

from typing import Final, Literal, get_args
from uuid import UUID

import msgspec

from service.store import audit_entries
from service.store.audit_entries import AuditEntry
from service.store.database import Database
from service.store.rows import Page, Select, Timestamp, row_of

Topic = Literal["library.grant", "library.revoke"]
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
    found = [
        await _MESSAGES.one(db, topic=topic, dedupe_key=str(payment_id))
        for topic in get_args(Topic)
    ]
    return [message for message in found if message]


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
