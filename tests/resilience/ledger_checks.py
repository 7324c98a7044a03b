"""Checks of the database by queries of their own, not the service's."""

import psycopg2

from scripts.platform.processes import tail
from tests.support.forks import Forks
from tests.support.waiting import eventually

UNFINISHED = """
    SELECT 'attempt', id::text FROM payment_attempts WHERE status IN ('pending', 'unknown')
    UNION ALL SELECT 'refund', id::text FROM refunds WHERE status IN ('pending', 'unknown')
    UNION ALL SELECT 'payment', id::text FROM payments WHERE status IN ('processing', 'unknown')
    UNION ALL SELECT topic, id::text FROM outbox
        WHERE delivered_at IS NULL AND given_up_at IS NULL
    UNION ALL SELECT 'webhook', event_id FROM webhook_inbox WHERE status = 'pending'
    UNION ALL SELECT 'merchant webhook', id::text FROM webhook_deliveries
        WHERE status = 'pending'
    UNION ALL SELECT 'orphan', id::text FROM orphan_captures WHERE status = 'pending'
    UNION ALL SELECT 'key', key FROM idempotency_keys WHERE recovery_point = 'started'
"""
BROKEN = "SELECT invariant, violations::text FROM money_invariants WHERE violations > 0"
INVARIANT_VIEWS = """
    SELECT table_name, '' FROM information_schema.views
    WHERE table_schema = 'public' AND table_name LIKE 'invariant\\_%'
"""


def rows(database_url: str, query: str) -> list[tuple[str, str]]:
    """Return the rows of a query of two columns of text."""
    connection = psycopg2.connect(database_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    finally:
        connection.close()


def broken_invariants(forks: Forks) -> list[tuple[str, str]]:
    """Return the money invariants that do not hold, with the number of rows that break them."""
    database_url = forks.environ["DATABASE_URL"]
    found = rows(database_url, BROKEN)
    for view, _ in rows(database_url, INVARIANT_VIEWS):
        # tests read what the schema names, so a new invariant is checked the day it is added
        count = rows(database_url, f"SELECT count(*)::text, '' FROM {view}")[0][0]
        if count != "0":
            found.append((view, count))
    return found


async def until_finished(forks: Forks, *, timeout_s: float = 15) -> None:
    """Wait until the workers have nothing left to do. Raises TimeoutError with what is left."""

    async def look() -> list[tuple[str, str]]:
        return rows(forks.environ["DATABASE_URL"], UNFINISHED)

    try:
        await eventually(look, lambda left: not left, timeout_s=timeout_s)
    except TimeoutError as error:
        logs = "\n".join(tail(fork.log) for fork in forks.running if fork.process.is_alive())
        raise TimeoutError(f"{error}; the last lines of who runs:\n{logs}") from error
