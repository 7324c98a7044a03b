"""What a migration waits for, whom it makes wait, and what is left of one that was killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg2
import pytest

from service.store import migrate
from service.store.migrate import MigrationError, Patience, Waiting
from tests.support.services import settings

TIMEOUT_S: Final = 30.0
MIGRATE: Final = """
import sys
from pathlib import Path
from service.store import migrate
migrate.MIGRATIONS = Path(sys.argv[1])
from service.__main__ import main
sys.exit(main(["migrate"]))
"""
SLEEPS: Final = "CREATE TABLE slept (a integer);\nSELECT pg_sleep(60);\n"
QUICK: Final = Patience(lock_timeout_s=0.3, in_all_s=20)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder of migrations, which this process applies."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    monkeypatch.setattr(migrate, "MIGRATIONS", folder)
    return folder


@contextmanager
def connected(url: str, **how: Any) -> Iterator[Any]:
    """Give a connection that commits every statement."""
    with closing(psycopg2.connect(url, **how)) as connection:
        connection.autocommit = True
        yield connection


def rows(connection: Any, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def until(connection: Any, query: str, wanted: object) -> None:
    """Wait until a query's one value is the wanted one."""
    deadline = time.monotonic() + TIMEOUT_S
    while (seen := rows(connection, query)[0][0]) != wanted:
        assert time.monotonic() < deadline, f"{query} says {seen!r}"
        time.sleep(0.02)


@contextmanager
def reading(url: str) -> Iterator[Any]:
    """Keep a transaction open that has read payments, as somebody's psql may."""
    with closing(psycopg2.connect(url, application_name="psql of Ada")) as reader:
        rows(reader, "SELECT count(*) FROM payments")
        yield reader


def running(files: Path, url: str, **changed: str) -> "subprocess.Popen[str]":
    """Start the role `migrate` on a folder of migrations."""
    environ = settings(database_url=url, redis_url="", simulator_url="http://127.0.0.1:1")
    return subprocess.Popen(
        [sys.executable, "-c", MIGRATE, str(files)],
        env={"PATH": os.environ["PATH"], **environ, **changed},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


SLEEPING: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"""
OTHERS: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_migration_that_is_ended_leaves_no_backend_and_no_lock(
    empty_database_url: str, files: Path, number: signal.Signals
) -> None:
    (files / "0001_sleeps.sql").write_text(SLEEPS)
    with connected(empty_database_url) as connection:
        process = running(files, empty_database_url)
        until(connection, SLEEPING, 1)
        process.send_signal(number)
        out, _ = process.communicate(timeout=TIMEOUT_S)
        assert "Traceback" not in out
        if number != signal.SIGKILL:
            assert process.returncode == 1
            said = json.loads(out.splitlines()[-1])
            assert said["event"] == "migration_failed"
            assert said["error"] == "stopped in 0001_sleeps, which is as if it never began"
        until(connection, OTHERS, 0)
        assert rows(connection, "SELECT to_regclass('slept')") == [(None,)]
        (files / "0001_sleeps.sql").write_text("CREATE TABLE slept (a integer);")
        began = time.monotonic()
        assert migrate.apply(empty_database_url) == ["0001_sleeps"]
        assert time.monotonic() - began < TIMEOUT_S / 3


def test_the_row_by_which_yoyo_locks_is_taken_over(database: Any) -> None:
    with connected(database.owner) as connection:
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE IF NOT EXISTS yoyo_lock"
                " (locked integer PRIMARY KEY DEFAULT 1, ctime timestamp, pid integer NOT NULL)"
            )
            cursor.execute("INSERT INTO yoyo_lock VALUES (1, now(), 99999)")
        began = time.monotonic()
        assert migrate.apply(database.owner) == []
        assert time.monotonic() - began < TIMEOUT_S / 3
        assert rows(connection, "SELECT count(*) FROM yoyo_lock") == [(0,)]


def test_two_runs_at_once_apply_each_file_once(empty_database_url: str, files: Path) -> None:
    (files / "0001_one.sql").write_text(
        "CREATE TABLE one (a integer);\nDO $$ BEGIN PERFORM pg_sleep(1); END $$;\n"
    )
    both = [running(files, empty_database_url) for _ in range(2)]
    said = [json.loads(run.communicate(timeout=TIMEOUT_S)[0].splitlines()[-1]) for run in both]
    assert [run.returncode for run in both] == [0, 0], said
    assert sorted(line["applied"] for line in said) == [[], ["0001_one"]]


def test_who_holds_the_lock_is_named(empty_database_url: str, files: Path) -> None:
    (files / "0001_one.sql").write_text("CREATE TABLE one (a integer);")
    with connected(empty_database_url, application_name="another run") as other:
        pid = other.info.backend_pid
        rows(other, "SELECT pg_advisory_lock(%s)", (migrate.MIGRATORS_LOCK,))
        with pytest.raises(MigrationError) as raised:
            migrate.apply(empty_database_url, patience=Patience(0.1, in_all_s=0.5))
    said = str(raised.value)
    assert "the lock of migrations has waited" in said
    assert f"pid {pid} (another run, user " in said
    assert "SELECT pg_advisory_lock" in said


def test_a_long_reader_is_waited_for_and_named(owner_url: str, files: Path) -> None:
    (files / "0900_note.sql").write_text("ALTER TABLE payments ADD COLUMN note text;")
    waits: list[Waiting] = []
    with reading(owner_url) as reader:
        pid = reader.info.backend_pid
        with pytest.raises(MigrationError) as raised:
            migrate.apply(owner_url, patience=Patience(0.5, in_all_s=3), report=waits.append)
    said = str(raised.value)
    assert "0900_note has waited" in said
    assert f"pid {pid} (psql of Ada, user " in said
    assert "idle in transaction since 20" in said
    assert "SELECT count(*) FROM payments" in said
    assert waits
    assert waits[0].migration == "0900_note"


def test_it_goes_on_when_the_reader_is_gone(owner_url: str, files: Path) -> None:
    (files / "0900_note.sql").write_text("ALTER TABLE payments ADD COLUMN note text;")
    waits: list[Waiting] = []
    with reading(owner_url) as reader:

        def end_the_reader(waiting: Waiting) -> None:
            waits.append(waiting)
            reader.rollback()

        assert migrate.apply(owner_url, patience=QUICK, report=end_the_reader) == ["0900_note"]
    assert len(waits) in (1, 2)  # a second one if the rollback came during the next try


async def test_a_long_reader_never_makes_the_api_unready(
    start_service: Any, owner_url: str, files: Path
) -> None:
    (files / "0900_note.sql").write_text("ALTER TABLE payments ADD COLUMN note text;")
    api = await start_service("api")
    with reading(owner_url):
        run = running(files, owner_url, MIGRATION_WAIT_S="5")
        statuses = []
        async with api.client("ada") as ada:
            while run.poll() is None:
                statuses.append((await ada.call("GET", "/health/ready")).status)
                statuses.append((await ada.call("GET", "/v1/payments?order_id=x")).status)
                await asyncio.sleep(0.05)
    out, _ = run.communicate(timeout=TIMEOUT_S)
    assert run.returncode == 1
    assert "psql of Ada" in out
    waits = [json.loads(line) for line in out.splitlines() if "migration_waits" in line]
    assert len(waits) >= 2
    assert not [status for status in statuses if status >= 500]


def test_a_file_without_a_transaction_waits_once_and_long(owner_url: str, files: Path) -> None:
    (files / "0900_index.sql").write_text(
        "-- transactional: false\nCREATE INDEX CONCURRENTLY noted ON payments (created_at);\n"
    )
    with connected(owner_url) as connection, closing(psycopg2.connect(owner_url)) as writer:
        rows(writer, "UPDATE payments SET updated_at = now() WHERE false RETURNING 1")
        run = running(files, owner_url, MIGRATION_LOCK_TIMEOUT_S="0.1")
        until(connection, WAITING_INDEX, 1)
        time.sleep(0.5)  # five times what any other statement may wait
        assert run.poll() is None
        writer.rollback()
        out, _ = run.communicate(timeout=TIMEOUT_S)
    assert (run.returncode, json.loads(out.splitlines()[-1])["applied"]) == (0, ["0900_index"])


WAITING_INDEX: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%CONCURRENTLY%'"""


def test_a_file_that_fails_is_as_if_it_never_began(empty_database_url: str, files: Path) -> None:
    (files / "0001_one.sql").write_text("CREATE TABLE one (a integer);")
    (files / "0002_two.sql").write_text("CREATE TABLE two (a integer);\nSELECT 1 / 0;\n")
    with pytest.raises(MigrationError, match="division by zero"):
        migrate.apply(empty_database_url)
    with connected(empty_database_url) as connection:
        assert rows(connection, "SELECT to_regclass('one')::text, to_regclass('two')") == [
            ("one", None)
        ]
    (files / "0002_two.sql").write_text("CREATE TABLE two (a integer);")
    assert migrate.apply(empty_database_url) == ["0002_two"]


def test_nobody_is_told_when_nobody_is_in_the_way(empty_database_url: str, files: Path) -> None:
    (files / "0001_one.sql").write_text("CREATE TABLE one (a integer);")
    waits: list[Waiting] = []
    assert migrate.apply(empty_database_url, report=waits.append) == ["0001_one"]
    assert waits == []
