"""Who holds what a session waits for; and a look at that session from beside it."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import psycopg2

POLL_S: Final = 0.2  # below the shortest lock_timeout that makes sense, so that a wait is seen
LOOK_TIMEOUT_S: Final = 5  # a look reads memory only; it may be slow and must not hang
QUERY_LENGTH: Final = 200
APPLICATION_NAME: Final = "coinslot migrate, watching"
_SESSIONS: Final = r"""
SELECT pid, coalesce(application_name, ''), coalesce(usename, ''), coalesce(host(client_addr), ''),
       coalesce(state, ''), coalesce(xact_start, query_start, backend_start),
       regexp_replace(left(query, %(length)s), '\s+', ' ', 'g')
FROM pg_stat_activity WHERE pid = ANY (%(pids)s) ORDER BY xact_start, pid"""
_BLOCKING: Final = "SELECT unnest(pg_blocking_pids(%(pid)s))"
_HOLDING: Final = """
SELECT pid FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32) | objid::bigint = %(key)s"""
_BUSY: Final = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
  AND application_name = '' AND state <> 'idle'"""


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that is in the way; `since` is when its transaction began.

    Of another user's, PostgreSQL hides all but the names unless ours has pg_read_all_stats.
    """

    pid: int
    application: str
    user: str
    address: str
    state: str
    since: datetime | None
    query: str

    def __str__(self) -> str:
        place = f" from {self.address}" if self.address else ""
        who = f"{self.application or 'no application_name'}, user {self.user or 'unknown'}{place}"
        since = f" since {self.since:%Y-%m-%d %H:%M:%S%z}" if self.since else ""
        return f"pid {self.pid} ({who}), {self.state or 'state hidden'}{since}: {self.query}"


def holders_of_advisory_lock(cursor: Any, key: int) -> list[Blocker]:
    """Return who holds the advisory lock of this database."""
    return _sessions(cursor, _HOLDING, key=key)


def busy_without_a_name(cursor: Any) -> list[Blocker]:
    """Return other sessions of our own login, in this database, that are at something."""
    return _sessions(cursor, _BUSY)


def _sessions(cursor: Any, sql: str, **parameters: object) -> list[Blocker]:
    cursor.execute(sql, parameters)
    pids = [pid for (pid,) in cursor.fetchall()]
    cursor.execute(_SESSIONS, {"length": QUERY_LENGTH, "pids": pids})
    return [Blocker(*row) for row in cursor.fetchall()]


class Watch:
    """Watches a session while its own thread waits for the server.

    It remembers who was in the session's way last, as PostgreSQL knows that only during the wait,
    and cancels its statement once `stop` is set. It connects only if the session takes time.
    """

    def __init__(self, session: Any, url: str, stop: threading.Event) -> None:
        self.stop = stop
        self._session = session
        self._pid: int = session.info.backend_pid
        self._url = url
        self._done = threading.Event()
        self._seen: Sequence[Blocker] = ()
        self._thread = threading.Thread(target=self._watch, name="migration watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def take_seen(self) -> Sequence[Blocker]:
        """Return who was last seen in the way, and forget it."""
        seen, self._seen = self._seen, ()
        return seen

    def _watch(self) -> None:
        connection: Any = None
        while not self._done.wait(POLL_S):
            with suppress(psycopg2.Error):  # the next look may have more luck
                if self.stop.is_set():
                    self._session.cancel()
                    continue
                if connection is None or connection.closed:
                    connection = _connect(self._url)
                with connection.cursor() as cursor:
                    self._seen = _sessions(cursor, _BLOCKING, pid=self._pid) or self._seen
        if connection is not None:
            connection.close()


def _connect(url: str) -> Any:
    connection = psycopg2.connect(
        url,
        connect_timeout=LOOK_TIMEOUT_S,
        options=f"-c statement_timeout={LOOK_TIMEOUT_S}s",
        application_name=APPLICATION_NAME,
    )
    connection.autocommit = True
    return connection
