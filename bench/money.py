"""Whether the benchmark's money is right: a fast side that loses payments has lost."""

from contextlib import closing

import psycopg2

_CHAINS = """
    SELECT count(*) FROM broken_event_chains b JOIN payments p ON p.id = b.payment_id
    WHERE p.user_id LIKE 'bench-%'
"""


def violations(database_url: str) -> dict[str, int]:
    """Return how many rows break each money invariant, and which chains of ours are broken.

    The planted history breaks some by itself, so only a number that has risen says something.
    """
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT invariant, violations FROM money_invariants")
        found = {name: int(count) for name, count in cursor.fetchall()}
        cursor.execute(_CHAINS)
        (found["broken_event_chains"],) = cursor.fetchone() or (0,)
    return found


def check(database_url: str, before: dict[str, int]) -> None:
    """Raise RuntimeError if an invariant is broken more often than before."""
    now = violations(database_url)
    worse = [f"{name}: {now[name] - count}" for name, count in before.items() if now[name] > count]
    if worse:
        raise RuntimeError(f"money is not right after the rounds: {', '.join(worse)}")
