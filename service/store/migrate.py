"""Bring a database to this release's schema; the only import of yoyo.

Each file and the note that it was applied are one transaction, on the connection that holds the
lock against another run: a run that ends, however it ends, leaves all of a file or nothing, and no
lock. Migrations only go forward: expand in one release, contract in a later one.
"""

import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg2
from psycopg2 import errorcodes
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlBackend
from yoyo.connections import parse_uri
from yoyo.migrations import default_migration_table, topological_sort

from service.retry import full_jitter_s
from service.store.blockers import (
    Blocker,
    Watch,
    busy_without_a_name,
    holders_of_advisory_lock,
)

MIGRATIONS = Path(__file__).parent / "migrations"
CONNECT_TIMEOUT_S: Final = 10  # a database that restarts refuses at once; a lost packet comes again
CLIENT_CHECK_S: Final = 1
"""The server looks this often, in mid-statement, whether we are still there."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 5.0  # short beside the wait in all, long beside the time that others queue
APPLICATION_NAME: Final = "coinslot migrate"

MIGRATORS_LOCK: Final = 0x636F696E_6D696772
"""The advisory lock of whoever migrates; as a bare number it is none of those that a hash gives."""
T = TypeVar("T")
_AGAIN: Final = frozenset({errorcodes.LOCK_NOT_AVAILABLE, errorcodes.DEADLOCK_DETECTED})


class MigrationError(Exception):
    """The schema could not be brought up to date; the message names the cause."""


@dataclass(frozen=True)
class Patience:
    """How long locks are waited for.

    Whoever wants a table that we wait for queues behind us, so one wait is short, and then there is
    a pause in which they get through.
    """

    lock_timeout_s: float = 0.5
    in_all_s: float = 120.0


@dataclass(frozen=True)
class Waiting:
    """Why it doesn't go on: what for, how long already, and who is in the way."""

    migration: str
    waited_s: float
    blocked_by: Sequence[Blocker]

    def __str__(self) -> str:
        by = "; ".join(map(str, self.blocked_by)) or "somebody who is gone meanwhile"
        return f"{self.migration} has waited {self.waited_s:.0f} s for a lock, blocked by {by}"


def apply(
    database_url: str,
    *,
    patience: Patience = Patience(),  # noqa: B008  frozen
    report: Callable[[Waiting], None] = lambda _waiting: None,
    stop: threading.Event | None = None,
) -> Sequence[str]:
    """Apply what is missing and return its names, in order; raise MigrationError.

    `report` is called after every try that ended with a wait. `stop` cancels what runs and ends it.
    """
    logging.getLogger("yoyo").setLevel(logging.WARNING)  # a line a statement; we name the files
    stop = stop or threading.Event()
    try:
        backend = _Backend(parse_uri(database_url), default_migration_table)
        backend.be_patient(patience)
        try:
            with Watch(backend.connection, database_url, stop) as watch:
                return _Run(backend, watch, patience, report).apply()
        finally:
            backend.connection.close()
    except psycopg2.Error as error:
        raise MigrationError(str(error).strip()) from error


@cache  # every probe of readiness asks
def newest(folder: Path = MIGRATIONS) -> str:
    """Return which migration of a release is applied last; its number need not be highest."""
    *_, last = topological_sort(read_migrations(str(folder)))
    return str(last.id)


class _Run:
    """One run: alone in the database, and patient with whoever has locks."""

    def __init__(
        self,
        backend: "_Backend",
        watch: Watch,
        patience: Patience,
        report: Callable[[Waiting], None],
    ) -> None:
        self._backend = backend
        self._watch = watch
        self._patience = patience
        self._report = report
        self._waited_s = 0.0

    def apply(self) -> list[str]:
        self._repeat("the lock of migrations", self._backend.lock_alone)
        missing = self._repeat(
            "the history of migrations",
            lambda: self._backend.to_apply(read_migrations(str(MIGRATIONS))),
        )
        names = []
        for migration in missing:
            self._repeat(migration.id, partial(self._backend.apply_one, migration))
            names.append(str(migration.id))
        return names

    def _repeat(self, name: str, work: Callable[[], T]) -> T:
        """Do it until no lock is in the way; raise MigrationError when that takes too long."""
        self._watch.take_seen()
        tries = 0
        while True:
            tries += 1
            began = time.monotonic()
            try:
                return work()
            except _LockedError as error:
                blockers = error.blockers
            except psycopg2.Error as error:
                if not self._watch.stop.is_set() and error.pgcode not in _AGAIN:
                    raise
                blockers = self._watch.take_seen()
            pause_s = full_jitter_s(tries, first_s=FIRST_PAUSE_S, most_s=LONGEST_PAUSE_S)
            self._watch.stop.wait(pause_s)
            self._waited_s += time.monotonic() - began
            self._go_on(Waiting(name, self._waited_s, blockers))

    def _go_on(self, waiting: Waiting) -> None:
        """Report the wait; raise MigrationError if it was the last one."""
        if self._watch.stop.is_set():
            raise MigrationError(f"stopped in {waiting.migration}, which is as if it never began")
        if waiting.waited_s >= self._patience.in_all_s:
            raise MigrationError(f"{waiting}; end that session, or try again when it is gone")
        self._report(waiting)


class _LockedError(Exception):
    """Another run is at it."""

    def __init__(self, blockers: Sequence[Blocker]) -> None:
        super().__init__()
        self.blockers = blockers


class _Backend(PostgresqlBackend):  # type: ignore[misc]
    """yoyo's backend, with a lock that ends with its connection instead of a row."""

    def connect(self, dburi: Any) -> Any:
        ours = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": APPLICATION_NAME}
        return super().connect(dburi._replace(args=ours | dburi.args))

    def init_connection(self, connection: Any) -> None:
        super().init_connection(connection)
        with suppress(psycopg2.Error):  # a server whose system can't check goes without
            connection.cursor().execute(
                f"SET client_connection_check_interval = '{CLIENT_CHECK_S}s'"
            )

    def be_patient(self, patience: Patience) -> None:
        """Let statements wait for locks this long, and not for ever."""
        self._patience = patience
        self._wait_for_locks(patience.lock_timeout_s)

    def _wait_for_locks(self, seconds: float) -> None:
        self.execute(f"SET lock_timeout = {max(1, round(seconds * 1_000))}")  # 0 is for ever

    def lock_alone(self) -> None:
        """Take the lock until the connection ends; raise _LockedError."""
        cursor = self.execute(f"SELECT pg_try_advisory_lock({MIGRATORS_LOCK})")
        if not cursor.fetchone()[0]:
            raise _LockedError(holders_of_advisory_lock(cursor, MIGRATORS_LOCK))
        self._take_over(cursor)

    def _take_over(self, cursor: Any) -> None:
        """Remove the row by which a release before this one locked, unless its run is alive."""
        cursor.execute("SELECT to_regclass('yoyo_lock') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return
        cursor.execute("SELECT count(*) FROM yoyo_lock")
        if cursor.fetchone()[0]:
            if alive := busy_without_a_name(cursor):
                cursor.execute(f"SELECT pg_advisory_unlock({MIGRATORS_LOCK})")
                raise _LockedError(alive)
            cursor.execute("DELETE FROM yoyo_lock")

    @contextmanager
    def lock(self, timeout: float = 0) -> Iterator[None]:  # noqa: ARG002  yoyo's
        """Do nothing, for yoyo: lock_alone has the lock."""
        yield

    def apply_one(self, migration: Any, force: bool = False, mark: bool = True) -> None:  # noqa: FBT001, FBT002, ARG002  yoyo's
        """Apply a file and note that, in one transaction unless the file wants none."""
        migration.load()
        if migration.use_transactions:
            with self.transaction():
                migration.process_steps(self, "apply")
                self._note(migration)
            return
        # CREATE INDEX CONCURRENTLY waits for old transactions, and nobody queues behind it.
        self._wait_for_locks(self._patience.in_all_s)
        migration.process_steps(self, "apply")
        self._wait_for_locks(self._patience.lock_timeout_s)
        with self.transaction():
            self._note(migration)

    def _note(self, migration: Any) -> None:
        self.log_migration(migration, "apply")
        self.mark_one(migration, log=False)

    def get_log_data(self, migration: Any = None, operation: str = "apply") -> dict[str, Any]:
        """Return a row of yoyo's log; ours asks no name server, and no file for a user's name."""
        return {
            "id": str(uuid.uuid1()),
            "migration_id": migration.id,
            "migration_hash": migration.hash,
            "username": "",
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }
