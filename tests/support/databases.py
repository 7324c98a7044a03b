"""Fresh migrated databases, cheaply: each is a copy of one template."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from psycopg2 import sql

from scripts.platform.embedded import Postgres, as_login
from service.store import migrate

MAINTENANCE: Final = "postgres"  # every server has it, and nobody drops it


class Urls(NamedTuple):
    """Two ways into one database: as the service, which may do little, and as the owner."""

    service: str
    owner: str


class Databases:
    """Makes databases on one server; names are random, so that a shared server will do too."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._template: str | None = None
        self._login = f"test_{uuid4().hex}"
        self._password = uuid4().hex

    @contextmanager
    def fresh(self) -> Iterator[Urls]:
        """Give a database with this release's schema and no rows."""
        if self._template is None:
            template = self._create(template="template1")
            migrate.apply(self._server.url(template))
            self._server.ensure_login(self._login, self._password)
            self._template = template
        with self._dropped_after(self._create(template=self._template)) as url:
            # A copy has all rights of its template but those on the database itself.
            self._run("REVOKE CREATE, TEMPORARY ON DATABASE {} FROM PUBLIC", urlsplit(url).path[1:])
            yield Urls(as_login(url, self._login, self._password), url)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Give the URL of a database without a schema."""
        with self._dropped_after(self._create(template="template1")) as url:
            yield url

    def close(self) -> None:
        """Remove the template."""
        if self._template is not None:
            self._drop(self._template)
            self._run("DROP ROLE {}", self._login)

    @contextmanager
    def _dropped_after(self, name: str) -> Iterator[str]:
        try:
            yield self._server.url(name)
        finally:
            self._drop(name)

    def _create(self, *, template: str) -> str:
        name = f"test_{uuid4().hex}"
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template)
        return name

    def _drop(self, name: str) -> None:
        # FORCE ends the connections of services that a test has killed
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _run(self, statement: str, *names: str) -> None:
        self._server.execute(
            sql.SQL(statement).format(*map(sql.Identifier, names)), database=MAINTENANCE
        )


@contextmanager
def databases_on(server: Postgres) -> Iterator[Databases]:
    """Give the databases of one server and tidy up after them."""
    databases = Databases(server)
    try:
        yield databases
    finally:
        databases.close()
