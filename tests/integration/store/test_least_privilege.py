"""The role of the API and the workers: it may do what their statements do, and nothing else."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg2
import pytest

import service.store
from service.store.service_role import SERVICE_ROLE
from tests.integration.store.conftest import StoreHarness
from tests.support.databases import Urls

REMEDY: Final = (
    "GRANT it to coinslot_service in the migration that makes or needs it, as 0015_least_privilege"
    " does, or REVOKE it there if no statement needs it any more"
)
OWNERS_ONLY: Final = frozenset({"_yoyo_log", "_yoyo_version"})
"""Tables that only migrations use."""
OWNERS_MODULE: Final = "migrate.py"
"""Runs as the owner."""

WRITES: Final = re.compile(
    r"\b(?:INSERT INTO (?P<into>\w+)(?: AS \w+)?\s*\((?P<columns>[^)]*)\)"
    r"|DO UPDATE SET\s(?P<upsert>.*)"
    r"|UPDATE (?P<table>\w+)(?: (?!SET\b)\w+)?\s+SET\s(?P<set>.*)"
    r"|DELETE FROM (?P<gone>\w+)|TRUNCATE (?P<emptied>\w+))",
    re.DOTALL,
)


class Grant(NamedTuple):
    privilege: str
    table: str
    column: str = "*"


def statements() -> Iterator[str]:
    """Yield every text in service/store that may be SQL, put together as Python does."""
    modules = Path(service.store.__path__[0]).glob("*.py")
    for path in (path for path in modules if path.name != OWNERS_MODULE):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    part.value if isinstance(part, ast.Constant) else "x"  # type: ignore[misc]
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def assigned(clause: str) -> Iterator[str]:
    """Yield the columns of a SET clause, up to where it ends outside of all parentheses."""
    depth, part = 0, ""
    for token in re.findall(r"\w+|[^\w]", clause):
        depth += (token == "(") - (token == ")")
        if depth < 0 or (depth == 0 and token in ("FROM", "WHERE", "RETURNING")):
            break
        if token == "," and depth == 0:
            yield part.split("=")[0].strip()
            part = ""
        else:
            part += token
    yield part.split("=")[0].strip()


def needed() -> set[Grant]:
    """Return what the statements write."""
    found: set[Grant] = set()
    for sql in statements():
        start, into = 0, ""
        sql = re.sub(r"--[^\n]*", "", sql)  # noqa: PLW2901
        while match := WRITES.search(sql, start):
            start = match.start() + 6
            if match["into"]:
                into = match["into"]
                found |= {Grant("INSERT", into, c.strip()) for c in match["columns"].split(",")}
            elif match["gone"]:
                found.add(Grant("DELETE", match["gone"]))
            elif match["emptied"]:
                found.add(Grant("TRUNCATE", match["emptied"]))
            else:
                columns = assigned(match["upsert"] or match["set"])
                found |= {Grant("UPDATE", match["table"] or into, column) for column in columns}
    return found


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql, {"role": SERVICE_ROLE})
        return cursor.fetchall()


def granted(url: str) -> set[Grant]:
    """Return what the role may write."""
    columns = rows(
        url,
        "SELECT privilege_type, table_name, column_name FROM information_schema.column_privileges"
        " WHERE grantee = %(role)s AND privilege_type IN ('INSERT', 'UPDATE')",
    )
    tables = rows(
        url,
        "SELECT privilege_type, table_name FROM information_schema.table_privileges"
        " WHERE grantee = %(role)s AND privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE')",
    )
    return {Grant(*row) for row in columns} | {Grant(*row) for row in tables}


def grouped(grants: set[Grant]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for grant in sorted(grants):
        found[f"{grant.privilege} {grant.table}"].append(grant.column)
    return dict(found)


def test_it_may_write_what_the_statements_write_and_no_more(database: Urls) -> None:
    may, must = granted(database.owner), needed()
    assert len(must) > 150  # the statements were found
    assert grouped(must - may) == {}, REMEDY
    assert grouped(may - must) == {}, REMEDY


CALLERS: Final = """
    SELECT pg_get_viewdef(oid) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
    UNION ALL SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
    UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c'
"""
"""What calls functions as whoever uses the table or the view."""

OUR_FUNCTIONS: Final = """
    SELECT p.proname, p.prosrc, NOT p.prosecdef AND p.prorettype = 'trigger'::regtype,
           has_function_privilege(%(role)s, p.oid, 'EXECUTE')
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
"""


def called(url: str) -> set[str]:
    """Return our functions that are called as the service: by what it runs, and from there on."""
    bodies = {name: (body, invoked) for name, body, invoked, _ in rows(url, OUR_FUNCTIONS)}
    texts = [*statements(), *(text for (text,) in rows(url, CALLERS) if text)]
    texts += [body for body, invoked in bodies.values() if invoked]
    found: set[str] = set()
    while texts:
        text = re.sub(r"--[^\n]*", "", texts.pop())
        new = {name for name in bodies if re.search(rf"\b{name}\s*\(", text)} - found
        found |= new
        texts += [bodies[name][0] for name in new]
    return found


def test_it_may_call_what_is_called_and_no_more(database: Urls) -> None:
    may = {name for name, _, _, granted in rows(database.owner, OUR_FUNCTIONS) if granted}
    assert len(may) > 5  # they were found
    assert may == called(database.owner), REMEDY


def test_it_may_read_every_table_and_view(database: Urls) -> None:
    unread = rows(
        database.owner,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'v', 'p') AND NOT has_table_privilege(%(role)s, oid, 'SELECT')",
    )
    assert {name for (name,) in unread} == OWNERS_ONLY, REMEDY


def test_it_owns_nothing_and_is_nobody(database: Urls) -> None:
    assert rows(
        database.owner,
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
        " FROM pg_roles WHERE rolname = %(role)s",
    ) == [(False,) * 6]
    assert (
        rows(
            database.owner,
            "SELECT 1 FROM pg_class WHERE pg_get_userbyid(relowner) = %(role)s"
            " UNION ALL SELECT 1 FROM pg_proc WHERE pg_get_userbyid(proowner) = %(role)s",
        )
        == []
    )


@pytest.mark.parametrize(
    "attempt",
    [
        "DROP TABLE ledger_entries CASCADE",
        "DROP TRIGGER payments_transition ON payments",
        "DROP VIEW money_invariants",
        "ALTER TABLE payments ADD COLUMN x integer",
        "ALTER TABLE payments DROP CONSTRAINT no_over_refund",
        "ALTER TABLE ledger_entries DISABLE TRIGGER ALL",
        "ALTER TABLE ledger_entries DISABLE TRIGGER ledger_balanced",
        "ALTER FUNCTION refuse() RENAME TO allow",
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN NEW; END'",
        "CREATE TABLE mine (x integer)",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "SET session_replication_role = replica",
        "SET ROLE pg_write_all_data",
        "ALTER ROLE coinslot_service LOGIN",
        "COPY payments TO PROGRAM 'true'",
        *(f"TRUNCATE {table} CASCADE" for table in ("payments", "outbox", "idempotency_keys")),
        *(
            f"DELETE FROM {table}"
            for table in (
                *("orders", "order_items", "payments", "payment_attempts", "refunds"),
                *("ledger_entries", "ledger_transactions", "payment_events", "admin_actions"),
                *("outbox", "webhook_inbox", "orphan_captures", "entitlements", "audit_seals"),
                *("status_transitions", "reconciliation_runs", "_yoyo_migration"),
            )
        ),
        "UPDATE payments SET amount_minor = 1",
        "UPDATE payments SET refunded_minor = 0, refund_pending_minor = 0",
        "UPDATE payments SET user_id = 'eve'",
        "UPDATE refunds SET amount_minor = 1",
        "UPDATE orders SET total_minor = 1",
        "UPDATE ledger_entries SET amount_minor = 1",
        "UPDATE payment_events SET data = '{}'",
        "UPDATE admin_actions SET actor = 'nobody'",
        "UPDATE orphan_captures SET amount_minor = 1",
        "UPDATE idempotency_keys SET caller = 'eve'",
        "UPDATE status_transitions SET to_status = 'succeeded'",
        "INSERT INTO status_transitions VALUES ('payment', 'failed', 'succeeded')",
        "INSERT INTO _yoyo_migration (migration_hash, migration_id) VALUES ('x', 'x')",
        "SELECT setval('audit_positions', 1)",
        "SELECT * FROM _yoyo_log",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT * FROM pg_authid",
    ],
)
async def test_what_it_must_not_do_is_refused(harness: StoreHarness, attempt: str) -> None:
    await harness.paid()
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        await harness.db.fetch(attempt)
