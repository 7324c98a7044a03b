"""Orders in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.domain.order import OrderStatus
from service.store import idempotency as keys
from service.store.database import Database, RefusedError
from service.store.idempotency import BeginOutcome, begin_outcome
from service.store.rows import Page, Select, row_of

CREATE_NAME: Final = "create_orders"

CREATE_SQL: Final = f"""
WITH input AS MATERIALIZED (
    SELECT i.*, i.user_id AS caller FROM json_to_recordset($1::json) AS i(
        id uuid, user_id text, currency text, total_minor bigint, items json,
        at timestamptz, expires_at timestamptz, key text, fingerprint text, response_body text)
),
checked AS MATERIALIZED (
    SELECT i.*, i.id AS resource_id, 201 AS response_status, NULL AS refusal FROM input i
),
-- An order is made at once: no request ever finds a key of one that is begun and not ended.
{keys.CLAIMED_AND_ANSWERED},
made AS (
    INSERT INTO orders (id, user_id, currency, total_minor, created_at, updated_at, expires_at)
    SELECT id, user_id, currency, total_minor, at, at, expires_at FROM input
    WHERE key IS NULL OR id IN (SELECT resource_id FROM claimed)
    ON CONFLICT (id) DO NOTHING  -- ours already: the statement was repeated
    RETURNING id
),
items AS (
    INSERT INTO order_items (order_id, game_id, title, quantity, unit_price_minor)
    SELECT m.id, x.game_id, x.title, x.quantity, x.unit_price_minor
    FROM made m JOIN input i ON i.id = m.id
    CROSS JOIN json_to_recordset(i.items)
        AS x(game_id text, title text, quantity integer, unit_price_minor bigint)
)
SELECT c.id, {keys.BEGUN}
{keys.FROM}
"""  # noqa: S608  constants only


class ItemRow(msgspec.Struct, frozen=True):
    """One game of an order."""

    game_id: str
    title: str
    quantity: int
    unit_price_minor: int


class NewOrder(msgspec.Struct, frozen=True):
    """An order to create, and under which key if the request has one.

    `fingerprint` is the request's SHA-256 in hexadecimal, `response_body` what is answered.
    """

    id: UUID
    user_id: str
    currency: str
    total_minor: int
    items: tuple[ItemRow, ...]
    at: datetime
    expires_at: datetime
    key: str | None = None
    fingerprint: str | None = None
    response_body: str | None = None


class OrderRow(msgspec.Struct, frozen=True):
    """An order as it stands."""

    id: UUID
    user_id: str
    status: OrderStatus
    currency: str
    total_minor: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    items: tuple[ItemRow, ...]


_ORDERS: Final = Select(
    OrderRow,
    "orders o",
    newest_first=True,
    items="""(
        SELECT json_agg(json_build_object('game_id', i.game_id, 'title', i.title,
                   'quantity', i.quantity, 'unit_price_minor', i.unit_price_minor)
               ORDER BY i.game_id)
        FROM order_items i WHERE i.order_id = o.id)::text""",
)

GET_NAME: Final = "get_order"
GET_SQL: Final = (
    f"SELECT {_ORDERS.columns} FROM orders o"  # noqa: S608  constants only
    " WHERE o.id = $1::uuid AND o.user_id = $2::text"
)


def conflict_keys(_item: NewOrder) -> tuple[Any, ...]:
    """Return nothing: new orders never meet; of those with one key, one claims it."""
    return ()


async def create_orders(db: Database, items: Sequence[NewOrder]) -> list[BeginOutcome]:
    """Create each order; safe to repeat for the same id."""
    rows = {row[0]: row[1:] for row in await db.run_set(CREATE_NAME, items)}
    return [begin_outcome(*rows[item.id]) for item in items]


async def get_order(db: Database, order_id: UUID, user_id: str) -> OrderRow | None:
    """Return the order if it is the user's."""
    rows = await db.read(f"EXECUTE {GET_NAME}(%s, %s)", (order_id, user_id))
    return row_of(OrderRow, rows[0]) if rows else None


async def list_orders(
    db: Database, user_id: str, *, status: OrderStatus | None, cursor: UUID | None, limit: int
) -> Page[OrderRow]:
    """Return the user's orders, newest first."""
    return await _ORDERS.page(db, cursor, limit, user_id=user_id, status=status)


async def cancel_order(db: Database, order_id: UUID, user_id: str, at: datetime) -> str | None:
    """Cancel a pending order without a live payment.

    Returns the status found otherwise, None if there is no such order, and "live_payment" if a
    payment may still take money.
    """
    try:
        rows = await db.fetch(
            """
            WITH canceled AS (
                UPDATE orders SET status = 'canceled', updated_at = %(at)s
                WHERE id = %(id)s AND user_id = %(user)s AND status = 'pending'
                RETURNING id)
            SELECT CASE WHEN c.id IS NULL THEN o.status ELSE 'done' END
            FROM orders o LEFT JOIN canceled c ON c.id = o.id
            WHERE o.id = %(id)s AND o.user_id = %(user)s
            """,
            {"id": order_id, "user": user_id, "at": at},
        )
    except RefusedError as error:
        if error.constraint != "order_close":
            raise
        return "live_payment"
    return str(rows[0][0]) if rows else None


async def expire_orders(db: Database, at: datetime, limit: int) -> int:
    """Expire pending orders whose time has come and which nobody is paying; return how many."""
    rows = await db.fetch(
        """
        WITH due AS (
            SELECT o.id FROM orders o
            WHERE o.status = 'pending' AND o.expires_at <= %(at)s
              AND NOT EXISTS (
                SELECT FROM payments p WHERE p.order_id = o.id
                AND p.status NOT IN ('failed', 'canceled', 'expired'))
            ORDER BY o.expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        UPDATE orders o SET status = 'expired', updated_at = %(at)s
        FROM due WHERE o.id = due.id RETURNING o.id
        """,
        {"at": at, "limit": limit},
    )
    return len(rows)
