"""The first of a payment's two statements: claim the key, check the order, reserve, record.

Round trips a payment: this one, the provider's, and record_outcomes. A crash after this one leaves
a payment in `processing` with a pending attempt, which the completer finds and finishes.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from service.domain.payment import CaptureMethod
from service.store import idempotency as keys
from service.store.database import Database
from service.store.idempotency import BeginOutcome, Claim, begin_outcome

NAME: Final = "begin_payments"

SQL: Final = f"""
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1::json) AS i({keys.COLUMNS},
        payment_id uuid, attempt_id uuid, order_id uuid, provider text, capture_method text,
        payment_method text, limits json)
),
-- The order's row is share-locked, so that it can't be canceled or expire meanwhile; in order of
-- id, so that two batches never wait for each other.
locked AS MATERIALIZED (
    SELECT o.id, o.user_id, o.status, o.currency, o.total_minor, o.expires_at
    FROM orders o WHERE o.id = ANY (ARRAY(SELECT order_id FROM input)) ORDER BY o.id FOR SHARE
),
checked AS MATERIALIZED (
    SELECT i.*, i.payment_id AS resource_id, o.currency, o.total_minor, CASE
        WHEN o.id IS NULL THEN 'not_found'
        WHEN EXISTS (SELECT FROM payments p WHERE p.order_id = o.id
                     AND p.status NOT IN ('failed', 'canceled', 'expired')) THEN 'live_payment'
        WHEN o.status <> 'pending' OR o.expires_at <= i.at THEN 'order_not_payable'
        -- By game, never by all that the user owns.
        WHEN EXISTS (SELECT FROM entitlements e
                     WHERE e.user_id = i.caller AND e.status IN ('reserved', 'granted')
                     AND e.game_id = ANY (ARRAY(SELECT oi.game_id FROM order_items oi
                                                WHERE oi.order_id = o.id))) THEN 'owned'
        WHEN i.limits IS NOT NULL AND NOT coalesce(
            o.total_minor BETWEEN (i.limits -> o.currency ->> 0)::bigint
                              AND (i.limits -> o.currency ->> 1)::bigint, false)
            THEN 'amount_refused'
    END AS refusal
    FROM input i LEFT JOIN locked o ON o.id = i.order_id AND o.user_id = i.caller
),
{keys.CLAIMED},
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
SELECT c.payment_id, CASE {keys.STATE}
           WHEN m.id IS NULL AND NOT EXISTS (SELECT FROM payments p WHERE p.id = c.payment_id)
               THEN 'lost_order'                              -- another payment came first
           WHEN CASE WHEN m.id IS NULL
                     THEN (SELECT count(*) FROM entitlements e WHERE e.payment_id = c.payment_id)
                     ELSE (SELECT count(*) FROM reserved r WHERE r.payment_id = m.id) END <
                (SELECT count(*) FROM order_items oi WHERE oi.order_id = c.order_id)
               THEN 'lost_game'                               -- another payment reserved it first
           ELSE 'created'
       END, {keys.ANSWER}, c.total_minor, c.currency
{keys.FROM}
LEFT JOIN made m ON m.id = c.payment_id
"""  # noqa: S608  constants only


class BeginPayment(Claim, frozen=True, kw_only=True):
    """A payment that a request wants to make.

    `limits` are the least and the most minor units that the provider takes, by currency.
    """

    payment_id: UUID
    attempt_id: UUID
    order_id: UUID
    provider: str
    capture_method: CaptureMethod
    payment_method: str
    limits: dict[str, tuple[int, int]] | None = None


def conflict_keys(item: BeginPayment) -> tuple[Any, ...]:
    """Two items with the same key or for the same order don't share a batch."""
    return (item.caller, item.key), item.order_id


async def begin_payments(db: Database, items: Sequence[BeginPayment]) -> list[BeginOutcome]:
    """Begin each payment; safe to repeat for the same `payment_id`."""
    rows = {row[0]: row[1:] for row in await db.run_set(NAME, items)}
    return [begin_outcome(*rows[item.payment_id]) for item in items]
