"""The embedded servers: what a killed parent leaves behind, and who may use a folder."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg2
import pytest
from psycopg2 import sql

from scripts.platform import embedded
from scripts.platform.embedded import EmbeddedError, Postgres, Valkey

NO_SERVERS: dict[str, str] = {}
HOLD = """
import signal, sys
from pathlib import Path
from scripts.platform import embedded
with embedded.postgres(Path(sys.argv[1]), durable=sys.argv[2] == "durable", environ={}) as server:
    print(server.child.pid, flush=True)
    signal.pause()
"""


def hold(folder: Path, kind: str) -> tuple["subprocess.Popen[str]", "psutil.Process"]:
    """Run a server under another process; return that process and the server's."""
    parent = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), kind], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    return parent, psutil.Process(int(parent.stdout.readline()))


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    finally:
        connection.close()


def test_data_outlives_a_durable_server(tmp_path: Path) -> None:
    with embedded.postgres(tmp_path, environ=NO_SERVERS) as server:
        server.execute(sql.SQL("CREATE TABLE kept AS SELECT 42 AS answer"))
    with embedded.postgres(tmp_path, environ=NO_SERVERS) as server:
        assert rows(server.url(), "SELECT answer FROM kept") == [(42,)]
        assert rows(server.url(), "SHOW fsync") == [("on",)]
        assert rows(server.url(), "SHOW max_connections") == [("200",)]


def test_a_killed_parent_takes_its_server_along(tmp_path: Path) -> None:
    parent, server = hold(tmp_path / "pg", "throw-away")
    parent.kill()
    parent.wait(10)
    server.wait(20)


def test_the_next_start_stops_an_orphan(tmp_path: Path) -> None:
    parent, server = hold(tmp_path, "durable")
    for lifeline in psutil.Process(parent.pid).children():
        if lifeline.name() == "sh":
            lifeline.kill()
    parent.kill()
    parent.wait(10)
    assert server.is_running()
    with embedded.postgres(tmp_path, environ=NO_SERVERS) as again:
        assert not server.is_running()
        assert rows(again.url(), "SELECT 1") == [(1,)]


def test_a_pid_file_that_names_a_stranger_is_stale(tmp_path: Path) -> None:
    with embedded.postgres(tmp_path, environ=NO_SERVERS):
        pass
    (tmp_path / "data/postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}/data\n")
    with embedded.postgres(tmp_path, environ=NO_SERVERS) as server:
        assert rows(server.url(), "SELECT 1") == [(1,)]


def test_a_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    with (
        embedded.postgres(tmp_path, durable=False, environ=NO_SERVERS),
        pytest.raises(EmbeddedError, match=r"another process runs the database in .*DATABASE_URL"),
        embedded.postgres(tmp_path, durable=False, environ=NO_SERVERS),
    ):
        pytest.fail("two servers share a folder")


def test_data_of_another_major_version_is_refused(tmp_path: Path) -> None:
    with embedded.postgres(tmp_path, environ=NO_SERVERS):
        pass
    (tmp_path / "data/PG_VERSION").write_text("12\n")
    with (
        pytest.raises(EmbeddedError, match=r"PostgreSQL 12 .* remove .* empty database"),
        embedded.postgres(tmp_path, environ=NO_SERVERS),
    ):
        pytest.fail("a server started on another version's data")


def test_the_environment_chooses_servers_that_run_already(
    tmp_path: Path, postgres: Postgres, valkey: Valkey
) -> None:
    environ = {"DATABASE_URL": postgres.url(), "REDIS_URL": valkey.url}
    with (
        embedded.postgres(tmp_path / "pg", environ=environ) as given,
        embedded.valkey(tmp_path / "valkey", environ=environ) as cache,
    ):
        assert (given.url(), given.child) == (postgres.url(), None)
        assert (cache.url, cache.child) == (valkey.url, None)
    assert not (tmp_path / "pg").exists()


def test_a_wrong_password_is_refused(postgres: Postgres) -> None:
    if postgres.child is None:
        pytest.skip("DATABASE_URL chose the server")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(postgres.url(), password="guess")


def test_a_fresh_database_has_the_schema_and_no_rows(database_url: str) -> None:
    assert rows(database_url, "SELECT count(*) FROM payments") == [(0,)]
    violations = rows(database_url, "SELECT sum(violations) FROM money_invariants")
    assert violations == [(0,)]
