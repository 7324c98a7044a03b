"""The first of a payment's two statements: claim the key, check the order, reserve, record.

Round trips a payment: this one, the provider's, and record_outcomes. A crash after this one leaves
a payment in `processing` with a pending attempt, which the completer finds and finishes.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec

from service.domain.money import Money
from service.domain.payment import CaptureMethod
from service.store.database import Database

NAME: Final = "begin_payments"

SQL: Final = """
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1::json) AS i(
        payment_id uuid, attempt_id uuid, caller text, key text, fingerprint text, order_id uuid,
        provider text, capture_method text, payment_method text, correlation_id text,
        at timestamptz, locked_until timestamptz, limits json)
),
-- The order's row is share-locked, so that it can't be canceled or expire meanwhile; in order of
-- id, so that two batches never wait for each other.
locked AS MATERIALIZED (
    SELECT o.id, o.user_id, o.status, o.currency, o.total_minor, o.expires_at
    FROM orders o WHERE o.id = ANY (ARRAY(SELECT order_id FROM input)) ORDER BY o.id FOR SHARE
),
checked AS MATERIALIZED (
    SELECT i.*, o.id IS NOT NULL AS found, o.currency, o.total_minor,
        coalesce(o.status = 'pending' AND o.expires_at > i.at, false) AS payable,
        i.limits IS NULL OR coalesce(
            o.total_minor BETWEEN (i.limits -> o.currency ->> 0)::bigint
                              AND (i.limits -> o.currency ->> 1)::bigint, false) AS taken,
        EXISTS (SELECT FROM payments p WHERE p.order_id = o.id
                AND p.status NOT IN ('failed', 'canceled', 'expired')) AS live,
        -- By game, never by all that the user owns.
        EXISTS (SELECT FROM entitlements e
                WHERE e.user_id = i.caller AND e.status IN ('reserved', 'granted')
                AND e.game_id = ANY (ARRAY(SELECT oi.game_id FROM order_items oi
                                           WHERE oi.order_id = o.id))) AS owned
    FROM input i LEFT JOIN locked o ON o.id = i.order_id AND o.user_id = i.caller
),
known AS MATERIALIZED (
    SELECT k.* FROM input i JOIN idempotency_keys k ON k.caller = i.caller AND k.key = i.key
),
claimed AS (
    INSERT INTO idempotency_keys
        (caller, key, fingerprint, resource_id, locked_until, created_at)
    SELECT caller, key, decode(fingerprint, 'hex'), payment_id, locked_until, at
    FROM checked WHERE payable AND NOT live AND NOT owned AND taken
    ORDER BY caller, key
    ON CONFLICT DO NOTHING
    RETURNING caller, key, resource_id
),
made AS (
    INSERT INTO payments (id, order_id, user_id, provider, status, capture_method, payment_method,
                          currency, amount_minor, created_at, updated_at)
    SELECT c.payment_id, c.order_id, c.caller, c.provider, 'processing', c.capture_method,
           c.payment_method, c.currency, c.total_minor, c.at, c.at
    FROM checked c JOIN claimed k ON k.resource_id = c.payment_id
    ORDER BY c.order_id
    ON CONFLICT DO NOTHING
    RETURNING id, order_id, user_id, created_at
),
reserved AS (
    INSERT INTO entitlements (payment_id, user_id, game_id, quantity, updated_at)
    SELECT m.id, m.user_id, oi.game_id, oi.quantity, m.created_at
    FROM made m JOIN order_items oi ON oi.order_id = m.order_id
    ORDER BY m.user_id, oi.game_id
    ON CONFLICT DO NOTHING
    RETURNING payment_id
),
attempted AS (
    INSERT INTO payment_attempts (id, payment_id, operation, status, next_check_at, created_at)
    SELECT i.attempt_id, m.id, 'charge', 'pending', i.locked_until, i.at
    FROM made m JOIN input i ON i.payment_id = m.id
),
recorded AS (
    INSERT INTO payment_events (payment_id, at, event, data, correlation_id)
    SELECT m.id, c.at, 'payment_created', jsonb_build_object(
               'order_id', c.order_id, 'provider', c.provider, 'attempt_id', c.attempt_id,
               'amount_minor', c.total_minor, 'currency', c.currency,
               'capture', c.capture_method, 'payment_method', c.payment_method),
           c.correlation_id
    FROM made m JOIN checked c ON c.payment_id = m.id
)
SELECT c.payment_id,
       CASE
           WHEN k.resource_id = c.payment_id THEN CASE  -- ours: the statement was repeated
               WHEN NOT EXISTS (SELECT FROM payments p WHERE p.id = c.payment_id)
                   THEN 'lost_order'
               WHEN (SELECT count(*) FROM entitlements e WHERE e.payment_id = c.payment_id) <
                    (SELECT count(*) FROM order_items oi WHERE oi.order_id = c.order_id)
                   THEN 'lost_game'
               ELSE 'created'
           END
           WHEN k.fingerprint <> decode(c.fingerprint, 'hex') THEN 'key_reused'
           WHEN k.response_status IS NOT NULL THEN 'replay'
           WHEN k.locked_until > c.at THEN 'in_flight'
           WHEN k.key IS NOT NULL THEN 'resume'
           WHEN NOT c.found THEN 'order_not_found'
           WHEN c.live THEN 'live_payment'
           WHEN NOT c.payable THEN 'order_not_payable'
           WHEN c.owned THEN 'owned'
           WHEN NOT c.taken THEN 'amount_refused'
           WHEN n.resource_id IS NULL THEN 'again'            -- another claimed it meanwhile
           WHEN m.id IS NULL THEN 'lost_order'                -- another payment came first
           WHEN (SELECT count(*) FROM reserved r WHERE r.payment_id = m.id) <
                (SELECT count(*) FROM order_items oi WHERE oi.order_id = c.order_id)
               THEN 'lost_game'                               -- another payment reserved it first
           ELSE 'created'
       END,
       c.currency, c.total_minor, k.resource_id, k.response_status, k.response_body
FROM checked c
LEFT JOIN known k ON k.caller = c.caller AND k.key = c.key
LEFT JOIN claimed n ON n.resource_id = c.payment_id
LEFT JOIN made m ON m.id = c.payment_id
"""


class Begun(StrEnum):
    """How a payment request began."""

    CREATED = "created"
    REPLAY = "replay"
    RESUME = "resume"
    IN_FLIGHT = "in_flight"
    KEY_REUSED = "key_reused"
    ORDER_NOT_FOUND = "order_not_found"
    ORDER_NOT_PAYABLE = "order_not_payable"
    LIVE_PAYMENT = "live_payment"
    OWNED = "owned"
    AMOUNT_REFUSED = "amount_refused"
    AGAIN = "again"
    LOST_ORDER = "lost_order"
    LOST_GAME = "lost_game"


class BeginPayment(msgspec.Struct, frozen=True):
    """A payment that a request wants to make; `fingerprint` is hexadecimal.

    `limits` are the least and the most minor units that the provider takes, by currency.
    """

    payment_id: UUID
    attempt_id: UUID
    caller: str
    key: str
    fingerprint: str
    order_id: UUID
    provider: str
    capture_method: CaptureMethod
    payment_method: str
    correlation_id: str
    at: datetime
    locked_until: datetime
    limits: dict[str, tuple[int, int]] | None = None


class BeginOutcome(msgspec.Struct, frozen=True):
    """What came of it: `amount` if the order was found, the stored answer if it is a replay."""

    kind: Begun
    amount: Money | None
    resource_id: UUID | None
    response_status: int | None
    response_body: str | None


def conflict_keys(item: BeginPayment) -> tuple[Any, ...]:
    """Two items with the same key or for the same order don't share a batch."""
    return (item.caller, item.key), item.order_id


async def begin_payments(db: Database, items: Sequence[BeginPayment]) -> list[BeginOutcome]:
    """Begin each payment; safe to repeat for the same `payment_id`."""
    rows = {row[0]: row for row in await db.run_set(NAME, items)}
    return [_outcome(rows[item.payment_id]) for item in items]


def _outcome(row: tuple[Any, ...]) -> BeginOutcome:
    _, kind, currency, minor, resource_id, status, body = row
    return BeginOutcome(
        kind=Begun(kind),
        amount=Money(minor, currency) if currency else None,
        resource_id=resource_id,
        response_status=status,
        response_body=body,
    )
