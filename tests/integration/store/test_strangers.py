"""Who is neither the owner nor the service: every function of our schema is tried by each of them.

Each guard is tested alone: the others are removed.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege
from yarl import URL

from scripts.platform.embedded import Postgres, as_login
from service.merchant_webhooks.catalog import TEST
from service.store import migrate
from service.store.database import RefusedError
from tests.integration.store.conftest import StoreHarness
from tests.integration.store.test_audit_seals import payment, seal
from tests.support.databases import Databases, Urls

ACTORS: Final = ("stranger", "service")
REMEDY: Final = "docs/operate/security.md, Database logins: functions of a migration"
OURS: Final = """
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
"""
PUBLIC_MAY: Final = """
    SELECT EXISTS (SELECT FROM pg_database d, aclexplode(d.datacl) a
                   WHERE d.datname = current_database() AND a.grantee = 0
                     AND a.privilege_type = %s)
"""
BEYOND: Final = 2**62


@dataclass
class Actors:
    """Logins that are not the owner's, and the owner's."""

    urls: Urls
    stranger: str
    server: Postgres

    def url(self, actor: str) -> str:
        return self.stranger if actor == "stranger" else self.urls.service

    def login(self, actor: str) -> str:
        return str(URL(self.url(actor)).user)

    def own(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return run(self.urls.owner, statement, *parameters)

    def give(self, what: str, actor: str) -> None:
        """Remove a guard for an actor, in this test's database."""
        name = URL(self.urls.owner).path[1:]
        self.own(f"GRANT {what.format(database=name)} TO {self.login(actor)}")

    def functions(self, more: str = "") -> list[tuple[int, str]]:
        """Return our functions, with the types of what they take."""
        found = self.own(f"SELECT p.oid::int, p.oid::regprocedure::text {OURS} {more}")
        return [(oid, name) for oid, name in found]


def run(url: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
        return rows


@pytest.fixture
def actors(database: Urls, postgres: Postgres) -> Iterator[Actors]:
    name, password = f"stranger_{uuid4().hex}", uuid4().hex
    role = sql.Identifier(name)
    postgres.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password))
    )
    yield Actors(database, as_login(database.owner, name, password), postgres)
    run(database.owner, f"DROP OWNED BY {name} CASCADE")
    postgres.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize(
    "attempt",
    [
        "CREATE TEMP TABLE mine (id uuid)",
        "CREATE TEMP VIEW mine AS SELECT 1",
        "CREATE TABLE public.mine (id uuid)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION pg_temp.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE TRIGGER mine AFTER INSERT ON payments EXECUTE FUNCTION count_new_refunds()",
    ],
)
def test_they_make_nothing(actors: Actors, actor: str, attempt: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        run(actors.url(actor), attempt)


def test_a_stranger_may_call_no_function(actors: Actors) -> None:
    may = actors.own(
        f"SELECT p.oid::regprocedure::text {OURS} AND has_function_privilege(%s, p.oid, 'EXECUTE')",
        actors.login("stranger"),
    )
    assert may == [], REMEDY
    for _, name in actors.functions("AND p.prokind = 'f'"):
        with pytest.raises(InsufficientPrivilege):
            run(actors.stranger, f"SELECT {_call(name)}")


def test_the_service_calls_no_triggers_function(actors: Actors) -> None:
    for _, name in actors.functions("AND p.prorettype = 'trigger'::regtype"):
        with pytest.raises(InsufficientPrivilege):
            run(actors.urls.service, f"SELECT {_call(name)}")


def _call(signature: str) -> str:
    name, _, types = signature.rstrip(")").partition("(")
    return f"{name}({', '.join(f'NULL::{each}' for each in types.split(',') if each)})"


def test_functions_of_later_migrations_are_nobody_elses(actors: Actors) -> None:
    actors.own("CREATE FUNCTION later() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    actors.own("CREATE PROCEDURE later_still() LANGUAGE sql AS 'SELECT 1'")
    for actor in ACTORS:
        for attempt in ("SELECT later()", "CALL later_still()"):
            with pytest.raises(InsufficientPrivilege):
                run(actors.url(actor), attempt)


def hung(actors: Actors) -> dict[str, str]:
    """Return the functions that act as the owner, each with the one table that it hangs on."""
    found = actors.own(
        "SELECT p.proname, string_agg(DISTINCT t.tgrelid::regclass::text, ' and ')"
        f" {OURS.replace('WHERE', 'LEFT JOIN pg_trigger t ON t.tgfoid = p.oid WHERE')}"
        " AND p.prosecdef GROUP BY p.proname"
    )
    return {str(name): str(table or "") for name, table in found}


def test_who_acts_as_the_owner_is_a_trigger_with_a_fixed_search_path(actors: Actors) -> None:
    loose = actors.own(
        f"SELECT p.proname {OURS} AND p.prosecdef AND NOT ("
        " p.prorettype = 'trigger'::regtype AND p.proconfig IS NOT NULL"
        " AND 'search_path=pg_catalog, public, pg_temp' = ANY (p.proconfig))"
    )
    assert loose == [], REMEDY
    assert len(hung(actors)) >= 6  # they were found
    assert {name: on for name, on in hung(actors).items() if not on or " and " in on} == {}, REMEDY


@pytest.mark.parametrize("actor", ACTORS)
def test_a_table_of_ones_own_gets_no_trigger_of_ours(actors: Actors, actor: str) -> None:
    actors.give("TEMPORARY ON DATABASE {database}", actor)
    for function, table in hung(actors).items():
        with pytest.raises(InsufficientPrivilege):
            run(actors.url(actor), _trap(actors, function, table))


@pytest.mark.parametrize("actor", ACTORS)
def test_a_function_looks_at_what_it_hangs_on(actors: Actors, actor: str) -> None:
    """The last guard: an actor may create a table and call the function."""
    actors.give("TEMPORARY ON DATABASE {database}", actor)
    for function, table in hung(actors).items():
        actors.give(f"EXECUTE ON FUNCTION {function}()", actor)
        with pytest.raises(InsufficientPrivilege, match="is not for triggers of") as caught:
            run(actors.url(actor), _trap(actors, function, table))
        assert function in str(caught.value)


def _trap(actors: Actors, function: str, table: str) -> str:
    """Return what makes a table as like ours as can be, and a change of it that fires a trigger."""
    columns = actors.own(
        "SELECT string_agg(format('%%I %%s', attname, format_type(atttypid, atttypmod)), ', ')"
        " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        table,
    )
    new = "REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT"
    changed = f"REFERENCING OLD TABLE AS old_rows {new.removeprefix('REFERENCING ')}"
    return f"""
        CREATE TEMP TABLE mine ({columns[0][0]});
        CREATE TRIGGER added AFTER INSERT ON mine {new} EXECUTE FUNCTION {function}();
        INSERT INTO mine DEFAULT VALUES;
        DROP TRIGGER added ON mine;
        CREATE TRIGGER changed AFTER UPDATE ON mine {changed} EXECUTE FUNCTION {function}();
        UPDATE mine SET id = NULL
    """


def test_guards_name_their_tables_with_the_schema(actors: Actors) -> None:
    loose = actors.own(
        f"""
        SELECT p.proname, c.relname {OURS.replace("WHERE", "CROSS JOIN pg_class c WHERE", 1)}
        AND NOT p.prosecdef AND c.relnamespace = 'public'::regnamespace
        AND c.relkind IN ('r', 'v', 'p', 'S')
        AND p.prosrc ~ ('(?<![.\\w'':])' || c.relname || '(?!\\w)')
        """
    )
    assert loose == [], REMEDY


def test_a_table_of_ones_own_stands_before_none_of_ours(actors: Actors) -> None:
    """The service is let to make one, and makes the list of what may follow what."""
    actors.give("TEMPORARY ON DATABASE {database}", "service")
    order, now = str(uuid4()), "now(), now(), now() + interval '1 hour'"
    run(
        actors.urls.service,
        "INSERT INTO orders (id, user_id, currency, total_minor, created_at, updated_at,"
        f" expires_at) VALUES (%s, 'u', 'EUR', 1, {now})",
        order,
    )
    run(actors.urls.service, "UPDATE orders SET status = 'expired' WHERE id = %s", order)
    with pytest.raises(psycopg2.errors.CheckViolation, match="cannot go from expired to paid"):
        run(
            actors.urls.service,
            f"""
            CREATE TEMP TABLE status_transitions AS
                SELECT 'order' AS entity, 'expired' AS from_status, 'paid' AS to_status;
            UPDATE public.orders SET status = 'paid' WHERE id = '{order}'
            """,
        )


FORGED: Final = (
    "INSERT INTO webhook_events (type, body, correlation_id, created_at)"
    " VALUES (%s, '{}', 'c', now())"
)


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("type_", ["payment.succeeded", "refund.succeeded", "no.such.event"])
def test_nobody_forges_what_merchants_are_told(actors: Actors, actor: str, type_: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        run(actors.url(actor), FORGED, type_)
    assert actors.own("SELECT * FROM webhook_events") == []


def test_an_endpoint_can_still_be_tried(actors: Actors) -> None:
    run(actors.urls.service, FORGED, TEST)
    assert actors.own("SELECT type FROM webhook_events") == [(TEST,)]
    run(actors.urls.service, "DELETE FROM webhook_events")
    assert actors.own("SELECT type FROM webhook_events") == []


async def test_nobody_changes_the_counters_of_refunds(
    actors: Actors, harness: StoreHarness
) -> None:
    await harness.paid()
    for actor in ACTORS:
        for column in ("refunded_minor", "refund_pending_minor"):
            with pytest.raises(InsufficientPrivilege):
                run(actors.url(actor), f"UPDATE payments SET {column} = 1")
    assert await harness.violations() == {}


async def test_a_seal_of_positions_that_nobody_was_given_is_refused(harness: StoreHarness) -> None:
    insert = "INSERT INTO audit_seals (last_position, sealed_at) VALUES (%s, now())"
    for first in (1, BEYOND):
        with pytest.raises(RefusedError) as caught:
            await harness.db.fetch(insert, (first,))
        assert caught.value.constraint == "audit_seals_given_out"
    await payment(harness)
    await payment(harness)
    for beyond in (3, BEYOND):
        with pytest.raises(RefusedError) as caught:
            await harness.db.fetch(insert, (beyond,))
        assert caught.value.constraint == "audit_seals_given_out"
    row = await seal(harness.db)
    assert row
    assert (row.first_position, row.last_position) == (1, 2)


def test_an_owner_who_is_no_superuser_migrates(postgres: Postgres, databases: Databases) -> None:
    with databases.fresh(), owned(postgres) as (name, url):  # the group is there
        postgres.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
                sql.Identifier(URL(url).path[1:]), sql.Identifier(name)
            )
        )
        assert migrate.apply(url)
        for right in ("CREATE", "TEMPORARY"):
            assert run(url, PUBLIC_MAY, right) == [(False,)]


def test_who_does_not_own_the_database_is_told_what_to_do(
    postgres: Postgres, databases: Databases
) -> None:
    with databases.fresh(), owned(postgres) as (name, url):
        database = URL(url).path[1:]
        run(postgres.url(database), f"GRANT CREATE ON SCHEMA public TO {name}")
        remedy = f"REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC"
        with pytest.raises(migrate.MigrationError, match=f"does not own the database.*{remedy}"):
            migrate.apply(url)
        run(postgres.url(database), remedy)
        assert migrate.apply(url)


@contextmanager
def owned(postgres: Postgres) -> Iterator[tuple[str, str]]:
    """Give an empty database, and a login that is to migrate it with its URL."""
    name, password = f"owner_{uuid4().hex}", uuid4().hex
    role, database = sql.Identifier(name), sql.Identifier(f"test_{name}")
    postgres.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password))
    )
    postgres.execute(sql.SQL("CREATE DATABASE {}").format(database))
    try:
        yield name, as_login(postgres.url(f"test_{name}"), name, password)
    finally:
        postgres.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
        postgres.execute(sql.SQL("DROP ROLE {}").format(role))
