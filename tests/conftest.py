"""Fixtures of every test: real servers, started once a session (and xdist worker)."""

from collections.abc import Iterator

import pytest

from scripts import embedded
from scripts.embedded import Postgres, Valkey
from tests.support.databases import Databases, databases_on


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Run a PostgreSQL server; DATABASE_URL chooses one that runs already."""
    with embedded.postgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres: Postgres) -> Iterator[Databases]:
    with databases_on(postgres) as databases:
        yield databases


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """Give a migrated database without rows, of this test alone."""
    with databases.fresh() as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(databases: Databases) -> Iterator[str]:
    """Give a migrated database that the tests of a module share."""
    with databases.fresh() as url:
        yield url


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """Give a database without a schema."""
    with databases.empty() as url:
        yield url


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Run a Valkey server; REDIS_URL chooses one that runs already. Tests use their own keys."""
    with embedded.valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server
