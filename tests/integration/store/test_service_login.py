"""The logins of the local stack's database, as its own set-up script makes them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

from infra.components.local_dependencies import MAKE_SERVICE_LOGIN
from scripts.platform import embedded
from scripts.platform.embedded import Postgres, as_login, postgres_program
from service.store import migrate
from service.store.database import Database
from service.store.schema import owns_tables, require_schema, require_writable

USER, PASSWORD = "shop's app", "p@s\"s' word"
TIMEOUT_S = 60


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    """Run a server of the test's own: roles are the server's, and it has none yet."""
    with embedded.postgres(tmp_path / "postgres", durable=False, environ={}) as server:
        yield server


@pytest.fixture
def service_url(server: Postgres, tmp_path: Path) -> str:
    """Run the script as the publisher's image does; return the URL of the login that it makes."""
    script = tmp_path / "service-login.sql"
    script.write_text(MAKE_SERVICE_LOGIN)
    subprocess.run(
        [postgres_program("psql"), "-X", "-v", "ON_ERROR_STOP=1", server.url(), "-f", script],
        env={**os.environ, "SERVICE_USER": USER, "SERVICE_PASSWORD": PASSWORD},
        timeout=TIMEOUT_S,
        check=True,
    )
    return as_login(server.url(), quote(USER), quote(PASSWORD))


async def test_the_script_makes_a_login_that_owns_nothing(
    server: Postgres, service_url: str
) -> None:
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(server.url(), user=USER, password="another")
    migrate.apply(server.url())

    db = await Database.open(service_url, size=1, timeout_s=TIMEOUT_S, prepared={})
    await require_schema(db)
    await require_writable(db)
    assert not await owns_tables(db)
    await db.close()
