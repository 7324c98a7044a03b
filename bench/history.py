"""A database filled with a year of payments, for statements and plans.

It must be an embedded or a throw-away server: triggers are switched off while it is written.
"""

from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg2

SQL: Final = Path(__file__).with_name("history.sql")


def fill(database_url: str, rows: int) -> None:
    """Write `rows` payments and all that belongs to them; 20,000 make every kind of row.

    The planner's statistics stay as they are, and so do cached plans, until `analyze`.
    """
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(format('ALTER TABLE %I SET (autovacuum_enabled = off)', relname),"
            " ';') FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        (switch_off,) = cursor.fetchone() or ("",)
        cursor.execute(switch_off)
        cursor.execute(SQL.read_text(), {"rows": rows})
        connection.commit()


def analyze(database_url: str) -> None:
    """Do what autovacuum would have done by now."""
    with closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
