"""How many connections the server has, whatever becomes of those who asked for them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import psycopg2
import pytest

from service.app import PREPARED
from service.errors import StoreUnavailableError
from service.store import migrate
from service.store.database import Database
from tests.support.waiting import eventually

SIZE: Final = 4
TIMEOUT_S: Final = 1.5
RETRYING_S: Final = 3.0
"""Some of the pool's pauses."""
CLIENTS: Final = 5 * SIZE
ROUNDS: Final = 12
COUNT: Final = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class Watch:
    """Counts what the server has, again and again: now, and at most."""

    def __init__(self, url: str) -> None:
        self.most = self.now = 0
        self.connection: Any = psycopg2.connect(url)
        self.connection.autocommit = True

    def _count(self) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(COUNT)
            return int(cursor.fetchone()[0])

    async def until(self, over: asyncio.Event) -> None:
        while not over.is_set():
            self.now = await asyncio.to_thread(self._count)
            self.most = max(self.most, self.now)

    async def settled(self, wanted: int, timeout_s: float = 15) -> None:
        """Wait until there are so many; raise TimeoutError."""

        async def now() -> int:
            return self.now

        await eventually(now, lambda count: count == wanted, timeout_s=timeout_s)


@asynccontextmanager
async def watched(url: str) -> AsyncIterator[Watch]:
    """Count the connections to a database while a block runs."""
    watch, over = Watch(url), asyncio.Event()
    watching = asyncio.create_task(watch.until(over))
    try:
        yield watch
    finally:
        over.set()
        await watching
        watch.connection.close()


@pytest.fixture
async def broken(empty_database_url: str) -> AsyncIterator[Database]:
    """Give a pool whose connections can't be set up: the tables of its statements are missing."""
    db = await Database.open(empty_database_url, size=SIZE, timeout_s=TIMEOUT_S, prepared=PREPARED)
    yield db
    await db.close()


async def refused(db: Database) -> None:
    with pytest.raises(StoreUnavailableError):
        await db.fetch("SELECT 1")


async def answered(db: Database) -> bool:
    with suppress(StoreUnavailableError):
        return bool(await db.fetch("SELECT 1"))
    return False


async def canceled(db: Database, after_s: float) -> None:
    """Ask, and be canceled in the middle, wherever that is."""
    asking = asyncio.create_task(db.fetch("SELECT pg_sleep(0.05)"))
    await asyncio.sleep(after_s)
    asking.cancel()
    with suppress(asyncio.CancelledError, StoreUnavailableError):
        await asking


async def test_failed_connections_do_not_add_up(broken: Database, empty_database_url: str) -> None:
    over_at = time.monotonic() + RETRYING_S
    async with watched(empty_database_url) as watch:
        while time.monotonic() < over_at:
            await asyncio.gather(*(refused(broken) for _ in range(CLIENTS)))
        assert 0 < watch.most <= SIZE
        await watch.settled(0)
    assert (broken.in_use, broken.free) == (0, 0)


async def test_a_database_that_gets_its_schema_is_taken_soon(
    broken: Database, empty_database_url: str
) -> None:
    await refused(broken)
    migrate.apply(empty_database_url)
    assert await eventually(lambda: answered(broken), timeout_s=TIMEOUT_S)


async def test_connections_whose_clients_are_canceled_do_not_add_up(
    database_url: str, owner_url: str
) -> None:
    """From before the server is reached to after the statement is sent."""
    async with watched(owner_url) as watch:
        for number in range(ROUNDS):
            db = await Database.open(
                database_url, size=SIZE, timeout_s=TIMEOUT_S, prepared=PREPARED
            )
            at = [0.005 * (number + part / SIZE) for part in range(SIZE)]
            await asyncio.gather(*(canceled(db, after_s) for after_s in at))
            assert db.in_use == 0
            await db.close()
            await watch.settled(0)
        assert 0 < watch.most <= 2 * SIZE  # the round before may have some that nobody saw yet


async def test_nobody_waits_for_a_lock_whose_client_has_given_up(
    database_url: str, owner_url: str
) -> None:
    """Statements are prepared behind a lock: the server waits on, the client gives up."""
    holder = psycopg2.connect(owner_url)
    holder.cursor().execute("LOCK TABLE payments")
    db = await Database.open(database_url, size=SIZE, timeout_s=TIMEOUT_S, prepared=PREPARED)
    async with watched(owner_url) as watch:
        await asyncio.gather(*(refused(db) for _ in range(SIZE)))
        await watch.settled(1, TIMEOUT_S)  # the holder's, before the server's own time is over
        holder.close()
        await db.close()


async def test_the_server_asks_whether_its_client_is_alive(database_url: str) -> None:
    db = await Database.open(database_url, size=1, timeout_s=TIMEOUT_S, prepared={})
    for name, wanted in (("idle", "10"), ("interval", "5"), ("count", "3")):
        assert await db.fetch(f"SHOW tcp_keepalives_{name}") == [(wanted,)]  # of the socket itself
    await db.close()
