"""Payments in the database: reading them, and the rare ways in which one ends early."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.domain.ledger import TransactionKind
from service.domain.money import Money
from service.domain.payment import CaptureMethod, Operation, PaymentStatus
from service.store.database import Database, Parameters, Row, Transaction
from service.store.rows import Page, Select, Timestamp, row_of, rows_of

_LAST_CORRELATION: Final = """
    (SELECT e.correlation_id FROM payment_events e WHERE e.payment_id = p.id
     ORDER BY e.seq DESC LIMIT 1)
"""

# A payment that another one was faster to reserve a game than: its provider was never asked.
_LACKS_GAME: Final = """
    ((SELECT count(*) FROM entitlements e WHERE e.payment_id = p.id) <
     (SELECT count(*) FROM order_items i WHERE i.order_id = p.order_id))
"""


class PaymentRow(msgspec.Struct, frozen=True):
    """A payment as it stands."""

    id: UUID
    order_id: UUID
    user_id: str
    provider: str
    status: PaymentStatus
    capture_method: CaptureMethod
    payment_method: str
    currency: str
    amount_minor: int
    captured_minor: int
    refund_pending_minor: int
    refunded_minor: int
    provider_ref: str | None
    failure_code: str | None
    created_at: datetime
    updated_at: datetime


_PAYMENTS: Final = Select(PaymentRow, "payments p", newest_first=True)
_COLUMNS: Final = _PAYMENTS.columns

GET_NAME: Final = "get_payment"
GET_SQL: Final = f"SELECT {_COLUMNS} FROM payments p WHERE p.id = $1::uuid"  # noqa: S608  constants only


class TimelineRow(msgspec.Struct, frozen=True):
    """Something that happened to a payment; `data` is a JSON object."""

    seq: int
    at: Timestamp
    event: str
    data: dict[str, Any]
    correlation_id: str


_EVENTS: Final = Select(TimelineRow, "payment_events e", order="seq")


class LedgerRow(msgspec.Struct, frozen=True):
    """One entry of the ledger; debit > 0, credit < 0."""

    transaction_id: UUID
    kind: TransactionKind
    account: str
    amount_minor: int
    currency: str
    at: datetime


class Attempt(msgspec.Struct, frozen=True):
    """Something that is tried on a payment; `checks` counts the looks at its unknown outcome.

    `part_minor` is what a capture is to take; None means all of it. `lacks_game` says that another
    payment was faster to reserve a game: the provider was never asked then.
    """

    id: UUID
    operation: Operation
    payment: PaymentRow
    checks: int = 0
    part_minor: int | None = None
    lease: datetime | None = None
    """Until when it is the holder's to resolve, as it stands in its row; None: not the holder's."""
    correlation_id: str = ""
    lacks_game: bool = False

    @property
    def resource_id(self) -> UUID:
        """Return what the idempotency key of its request stands for."""
        return self.payment.id if self.operation == "charge" else self.id

    @property
    def amount(self) -> Money:
        """Return the payment's amount."""
        return Money(self.payment.amount_minor, self.payment.currency)

    @property
    def to_capture(self) -> Money:
        """Return what is to be captured of it."""
        return Money(self.part_minor or self.payment.amount_minor, self.payment.currency)


async def get_payment(db: Database, payment_id: UUID) -> PaymentRow | None:
    """Return the payment, whoever's it is: the caller checks the owner."""
    rows = await db.read(f"EXECUTE {GET_NAME}(%s)", (payment_id,))
    return row_of(PaymentRow, rows[0]) if rows else None


async def list_payments(
    db: Database, user_id: str, *, order_id: UUID | None, cursor: UUID | None, limit: int
) -> Page[PaymentRow]:
    """Return the user's payments, newest first."""
    return await _PAYMENTS.page(db, cursor, limit, user_id=user_id, order_id=order_id)


async def timeline(db: Database, payment_id: UUID) -> list[TimelineRow]:
    """Return what happened to the payment, oldest first."""
    return await _EVENTS.all(db, payment_id=payment_id)


async def ledger_entries(db: Database, payment_id: UUID) -> list[LedgerRow]:
    """Return the payment's ledger entries, oldest first."""
    rows = await db.read(
        "SELECT t.id, t.kind, e.account, e.amount_minor, e.currency, t.created_at"
        " FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id"
        " WHERE t.payment_id = %s ORDER BY e.id",
        (payment_id,),
    )
    return rows_of(LedgerRow, rows)


async def waiting_for_buyers(
    db: Database, *, since: datetime, before: datetime, limit: int
) -> list[PaymentRow]:
    """Return payments that wait for their buyer and changed from `since` to `before`, newest first.

    One that has an open attempt is being looked after already.
    """
    rows = await db.read(
        f"""
        SELECT {_COLUMNS} FROM payments p
        WHERE p.status = 'requires_action' AND p.provider_ref IS NOT NULL
          AND p.updated_at >= %(since)s AND p.updated_at < %(before)s
          AND NOT EXISTS (SELECT FROM payment_attempts a
                          WHERE a.payment_id = p.id AND a.status IN ('pending', 'unknown'))
        ORDER BY p.updated_at DESC LIMIT %(limit)s
        """,  # noqa: S608  constants only; values are parameters
        {"since": since, "before": before, "limit": limit},
    )
    return rows_of(PaymentRow, rows)


async def claim_due_attempts(
    db: Database, *, at: datetime, until: datetime, limit: int, payment_id: UUID | None = None
) -> list[Attempt]:
    """Take attempts that are overdue (or the payment's) and hide them until `until`."""
    rows = await db.fetch(
        f"""
        WITH due AS (
            SELECT a.id FROM payment_attempts a
            WHERE a.status IN ('pending', 'unknown') AND a.next_check_at <= %(at)s
              AND (%(only)s::uuid IS NULL OR a.payment_id = %(only)s::uuid)
            ORDER BY a.next_check_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED),
        taken AS (
            UPDATE payment_attempts a SET next_check_at = %(until)s
            FROM due WHERE a.id = due.id
            RETURNING a.id, a.payment_id, a.operation, a.checks, a.amount_minor)
        SELECT t.id, t.operation, t.checks, {_LAST_CORRELATION}, {_LACKS_GAME}, t.amount_minor,
            {_COLUMNS}
        FROM taken t JOIN payments p ON p.id = t.payment_id
        """,  # noqa: S608  constants only; values are parameters
        {"at": at, "until": until, "limit": limit, "only": payment_id},
    )
    return [_due(row, until) for row in rows]


async def open_attempt(db: Database, payment_id: UUID) -> Attempt | None:
    """Return the attempt of a payment that has no outcome yet, without taking it."""
    rows = await db.read(
        f"""
        SELECT a.id, a.operation, a.checks, {_LAST_CORRELATION}, {_LACKS_GAME}, a.amount_minor,
            {_COLUMNS}
        FROM payment_attempts a JOIN payments p ON p.id = a.payment_id
        WHERE a.payment_id = %s AND a.status IN ('pending', 'unknown')
        """,  # noqa: S608  constants only; values are parameters
        (payment_id,),
    )
    return _due(rows[0]) if rows else None


def _due(row: Row, lease: datetime | None = None) -> Attempt:
    attempt_id, operation, checks, correlation_id, lacks_game, part_minor, *payment = row
    return Attempt(
        attempt_id,
        operation,
        row_of(PaymentRow, payment),
        checks,
        part_minor,
        lease,
        correlation_id,
        lacks_game,
    )


async def lock_payment(transaction: Transaction, payment_id: UUID) -> None:
    """Queue up with every other writer of the payment; statements after this see what they wrote.

    It is a statement of its own, because one sees nothing that was written while it waited.
    """
    await transaction.fetch("SELECT 1 FROM payments WHERE id = %s FOR UPDATE", (payment_id,))


async def fetch_locked(db: Database, payment_id: UUID, sql: str, values: Parameters) -> list[Row]:
    """Run a statement while the payment is locked, both as one transaction; return its rows."""

    async def work(transaction: Transaction) -> list[Row]:
        await lock_payment(transaction, payment_id)
        return await transaction.fetch(sql, values)

    return await db.transact(work)


AttemptState = Literal["pending", "unknown", "succeeded", "failed"]
EntitlementStatus = Literal["reserved", "granted", "released", "revoked"]


class AttemptRow(msgspec.Struct, frozen=True):
    """An attempt at the provider, or an operator's decision."""

    id: UUID
    operation: Operation
    status: AttemptState
    checks: int
    next_check_at: Timestamp
    error_code: str | None
    created_at: Timestamp
    resolved_at: Timestamp | None


class EntitlementRow(msgspec.Struct, frozen=True):
    """A game that the payment holds; the id is the grant's id at the Library."""

    id: UUID
    game_id: str
    quantity: int
    status: EntitlementStatus
    updated_at: Timestamp


_ATTEMPTS: Final = Select(AttemptRow, "payment_attempts a", order="created_at, id")
_ENTITLEMENTS: Final = Select(EntitlementRow, "entitlements e", order="game_id")


async def list_attempts(db: Database, payment_id: UUID) -> list[AttemptRow]:
    """Return the payment's attempts, oldest first."""
    return await _ATTEMPTS.all(db, payment_id=payment_id)


async def list_entitlements(db: Database, payment_id: UUID) -> list[EntitlementRow]:
    """Return the games of the payment."""
    return await _ENTITLEMENTS.all(db, payment_id=payment_id)
