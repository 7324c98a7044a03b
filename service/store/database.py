"""Statements on PostgreSQL; with pool.py and dns.py the only import of aiopg and psycopg2.

aiopg commits each statement by itself, so one statement is one transaction. The hot statements are
prepared on every connection and run by name with one JSON parameter: a list of items.

A statement that the server cancels (`statement_timeout`) arrives as `asyncio.CancelledError`; the
task is asked whether it was canceled itself. A timeout in mid-statement closes the connection.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self, TypeVar

import aiopg
import msgspec
import psycopg2
from psycopg2 import errorcodes

from service.errors import StoreUnavailableError
from service.store.pool import Connector, Pool

CONNECTION_SETTINGS: Final = (
    # A client that gives up closes its connection and makes another. A server that waits for a
    # lock meanwhile would not look, and have twice as many connections as the pool.
    "SET client_connection_check_interval = 500",  # ms
    # A client whose machine is gone says nothing: after 25 s its connections are free again, and
    # not after the two hours of most systems.
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    # A plan made while tables were small must not scan them when they have grown: the prepared
    # statements touch few rows by key, so index look-ups are always right.
    "SET plan_cache_mode = force_generic_plan",
    "SET enable_seqscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET enable_bitmapscan = off",  # a page of a list is read in its order, up to its limit
    "SET jit = off",
    "SET TIME ZONE 'UTC'",
)
_SCANS: Final = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan")
SERVER_TIMEOUT_EXTRA_S: Final = 2.0
"""The server gives up this much later than the client: a backstop for statements left alone."""

REPORT_TIMEOUT_S: Final = 60.0
"""A report reads whole tables, off any buyer's path, and is made once a minute."""

CONTENTION_RETRIES: Final = 4
"""One deadlock is chance; four in a row mean that the database has no time for us."""

RETRY_AFTER_S: Final = 1
"""A restart of PostgreSQL or a fail-over takes seconds; clients are asked to come back soon."""

T = TypeVar("T")
Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any] | None
_encode = msgspec.json.Encoder().encode
_RETRIABLE: Final = frozenset({errorcodes.DEADLOCK_DETECTED, errorcodes.SERIALIZATION_FAILURE})
_ENDED: Final = frozenset({errorcodes.IDLE_IN_TRANSACTION_SESSION_TIMEOUT, "25P04"})
"""The server ended the session for its time; 25P04, transaction_timeout, is newer than psycopg2."""


class ConnectionLostError(StoreUnavailableError):
    """The connection broke in mid-statement: whether it was committed is not known."""


class ReadOnlyError(StoreUnavailableError):
    """The server takes no writes: a standby, or one set to read-only. Nothing was written."""

    def __init__(self) -> None:
        super().__init__("The database takes no writes now", retry_after_s=RETRY_AFTER_S)


class RefusedError(Exception):
    """The database refused a write; `constraint` names the rule, or is empty for bad data."""

    def __init__(self, message: str, constraint: str) -> None:
        super().__init__(message)
        self.constraint = constraint


class ContentionError(Exception):
    """A deadlock was broken at our cost, nothing was written; run it again."""


class Database:
    """A pool of connections, each with the same prepared statements."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(
        cls, url: str, *, size: int, timeout_s: float, prepared: Mapping[str, str]
    ) -> Self:
        """Open a pool; the first connection is made when it is first needed."""
        server_timeout_ms = int((timeout_s + SERVER_TIMEOUT_EXTRA_S) * 1_000)
        set_up = "; ".join(
            (
                f"SET statement_timeout = {server_timeout_ms}",
                *CONNECTION_SETTINGS,
                *(f"PREPARE {name} AS {sql}" for name, sql in prepared.items()),
            )
        )
        connector = Connector(url, timeout_s=timeout_s, set_up=set_up)
        return cls(Pool(connector, size=size, timeout_s=timeout_s))

    async def close(self) -> None:
        """Close every connection; those in use are closed when they come back."""
        await self._pool.close()

    @property
    def in_use(self) -> int:
        """Connections that carry a statement now."""
        return self._pool.in_use

    @property
    def free(self) -> int:
        """Connections that wait for one."""
        return self._pool.free

    async def fetch(self, sql: str, parameters: Parameters = None) -> list[Row]:
        """Run one statement, which is one transaction, and return its rows.

        Raises RefusedError, ConnectionLostError or StoreUnavailableError.
        """

        async def once() -> list[Row]:
            async with self._connection() as connection, _translated():
                return await _run(connection, sql, parameters)

        return await _repeat_contended(once)

    async def read(self, sql: str, parameters: Parameters = None) -> list[Row]:
        """Run a statement that only reads, once more if the connection had broken while idle."""
        try:
            return await self.fetch(sql, parameters)
        except ConnectionLostError:
            return await self.fetch(sql, parameters)

    async def report(self, sql: str) -> list[Row]:
        """Run a query that reads whole tables, with the plans and the time that suit one."""
        server_timeout_ms = int((REPORT_TIMEOUT_S + SERVER_TIMEOUT_EXTRA_S) * 1_000)
        local = [f"SET LOCAL {name} = on" for name in _SCANS]
        local.append(f"SET LOCAL statement_timeout = {server_timeout_ms}")
        async with self.transaction() as transaction:
            await transaction.fetch("; ".join(local))
            return await transaction.fetch(sql, timeout_s=REPORT_TIMEOUT_S)

    async def run_set(self, name: str, items: Sequence[Any]) -> list[Row]:
        """Run the prepared statement `name` over `items` (msgspec structs) as one transaction."""
        payload = _encode(items).decode()
        return await self.fetch(f"EXECUTE {name}(%s)", (payload,))  # names are ours

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """Run several statements as one transaction; an error, a timeout or a cancel undoes it.

        Raises ContentionError too: `transact` repeats what lost a deadlock.
        """
        async with self._connection() as connection, _translated():
            await _run(connection, "BEGIN", None)
            try:
                yield Transaction(connection)
                await _run(connection, "COMMIT", None)
            except BaseException:
                if not connection.closed:
                    await _run(connection, "ROLLBACK", None)
                raise

    async def transact(self, work: Callable[["Transaction"], Awaitable[T]]) -> T:
        """Run `work` as one transaction and return its result; again if it lost a deadlock.

        `work` does nothing but SQL, so that doing it again is safe.
        """

        async def once() -> T:
            async with self.transaction() as transaction:
                return await work(transaction)

        return await _repeat_contended(once)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["aiopg.Connection"]:
        async with _lent():
            connection = await self._pool.acquire()
        try:
            yield connection
        except ReadOnlyError:
            self._pool.retire()
            raise
        finally:
            self._pool.release(connection)


class Transaction:
    """An open transaction; it belongs to one task, and no other wait happens inside it."""

    def __init__(self, connection: "aiopg.Connection") -> None:
        self._connection = connection

    async def fetch(
        self, sql: str, parameters: Parameters = None, *, timeout_s: float | None = None
    ) -> list[Row]:
        """Run one statement of the transaction and return its rows; the pool's time-out if None."""
        return await _run(self._connection, sql, parameters, timeout_s)


async def _repeat_contended(run: Callable[[], Awaitable[T]]) -> T:
    """Run again what lost a deadlock: it was undone, and the winner is gone by now."""
    for _ in range(CONTENTION_RETRIES):
        try:
            return await run()
        except ContentionError:
            continue
    raise StoreUnavailableError(retry_after_s=RETRY_AFTER_S)


async def _run(
    connection: "aiopg.Connection",
    sql: str,
    parameters: Parameters,
    timeout_s: float | None = None,
) -> list[Row]:
    async with connection.cursor() as cursor:
        await cursor.execute(sql, parameters, timeout=timeout_s)
        return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def _lent() -> AsyncIterator[None]:
    """Turn what keeps a connection from being lent into an error of ours."""
    try:
        yield
    except asyncio.CancelledError as error:
        _raise_if_server_canceled(error)
        raise
    except (psycopg2.Error, OSError) as error:  # TimeoutError is an OSError
        raise StoreUnavailableError(retry_after_s=RETRY_AFTER_S) from error


def _raise_if_server_canceled(error: asyncio.CancelledError) -> None:
    """Raise for a statement that the server canceled; a canceled task is not one."""
    task = asyncio.current_task()
    if task is not None and not task.cancelling():
        raise StoreUnavailableError(retry_after_s=RETRY_AFTER_S) from error


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except asyncio.CancelledError as error:
        _raise_if_server_canceled(error)
        raise
    except TimeoutError as error:
        raise ConnectionLostError(retry_after_s=RETRY_AFTER_S) from error
    except psycopg2.Error as error:
        raise _ours(error) from error


def _ours(error: "psycopg2.Error") -> Exception:
    if error.pgcode in _RETRIABLE:
        return ContentionError(str(error))
    if error.pgcode == errorcodes.READ_ONLY_SQL_TRANSACTION:
        return ReadOnlyError()
    if isinstance(error, psycopg2.IntegrityError | psycopg2.DataError):
        return RefusedError(str(error), getattr(error.diag, "constraint_name", None) or "")
    if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return ConnectionLostError(retry_after_s=RETRY_AFTER_S)
    cut_off = isinstance(error, psycopg2.DatabaseError) and error.pgcode is None
    if cut_off or error.pgcode in _ENDED:  # a result cut off, for one
        return ConnectionLostError(retry_after_s=RETRY_AFTER_S)
    return error
