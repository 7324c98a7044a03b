"""Orders to pay: made by SQL in one go, with ids that can be computed."""

from contextlib import closing
from typing import Final

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812  a class

USERS: Final = 100
"""Each has a token of its own, so that the service's cache of tokens is used as in a shop."""

ID: Final = (
    "('01' || lpad(to_hex(({round})::integer), 6, '0') || '-0000-7000-8000-'"
    " || lpad(to_hex(({n})::bigint), 12, '0'))"
)
"""An order's id from its round and its number: it sorts by time, as the service's own do."""

_SQL: Final = f"""
INSERT INTO orders (id, user_id, currency, total_minor, created_at, updated_at, expires_at)
SELECT {ID.format(round="%(round)s", n="n")}::uuid, 'bench-' || n %% {USERS}, 'EUR', 1999, now(),
    now(), now() + interval '1 hour'
FROM generate_series(%(start)s, %(stop)s) AS n;
INSERT INTO order_items (order_id, game_id, title, quantity, unit_price_minor)
SELECT {ID.format(round="%(round)s", n="n")}::uuid, 'game-%(round)s-' || n, 'A game', 1, 1999
FROM generate_series(%(start)s, %(stop)s) AS n;
"""  # noqa: S608  constants only; values are parameters


def make(database_url: str, *, round_: int, start: int, stop: int) -> None:
    """Make the orders `start` to `stop` (inclusive) of a round."""
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(_SQL, {"round": round_, "start": start, "stop": stop})
        connection.commit()


def order_id(round_: int, number: int) -> str:
    """Return an order's id as text."""
    return f"01{round_:06x}-0000-7000-8000-{number:012x}"


def user(number: int) -> str:
    """Return the owner of an order."""
    return f"bench-{number % USERS}"


def paid(database_url: str) -> int:
    """Return the number of payments that succeeded and are booked, of all rounds."""
    return _count(
        database_url,
        "SELECT count(*) FROM payments p JOIN ledger_transactions t ON t.payment_id = p.id"
        " WHERE p.user_id LIKE 'bench-%' AND p.status = 'succeeded'",
    )


def booked(connection: Connection) -> int:
    """Return a number that grows by one with each payment that succeeds; cheap to ask for.

    Each has one message in the outbox, whose ids are a sequence.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')), 0)"
        )
        (number,) = cursor.fetchone() or (0,)
    return int(number)


def under_way(database_url: str) -> int:
    """Return the number of payments that have begun and not ended."""
    return _count(
        database_url,
        "SELECT count(*) FROM payments"
        " WHERE user_id LIKE 'bench-%' AND status IN ('processing', 'unknown')",
    )


def _count(database_url: str, query: str) -> int:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        (count,) = cursor.fetchone() or (0,)
    return int(count)
