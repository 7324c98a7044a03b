"""A server that takes no writes: a standby after a failover, or one that was told so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from psycopg2 import sql
from yarl import URL

from service.app import PREPARED
from service.errors import StoreUnavailableError
from service.store import batch
from service.store.batch import Batcher
from service.store.begin_payments import BeginPayment, begin_payments, conflict_keys
from service.store.database import Database, ReadOnlyError, Transaction
from service.store.idempotency import BeginOutcome, Begun
from service.store.schema import require_writable
from tests.integration.store.conftest import StoreHarness, begin_item
from tests.support.own_server import OwnServer, own_server_in

ITEMS: Final = 20
SIZE: Final = 4


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    with own_server_in(tmp_path_factory.mktemp("readonly")) as server:
        yield server


@pytest.fixture
async def server(own_server: OwnServer) -> AsyncIterator[OwnServer]:
    yield own_server
    await own_server.read_only("off")


@pytest.fixture
async def db(server: OwnServer) -> AsyncIterator[Database]:
    async with opened(server.url) as database:
        yield database


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url, size=SIZE, timeout_s=5.0, prepared=PREPARED)
    try:
        yield database
    finally:
        await database.close()


async def fill(db: Database) -> None:
    """Have the pool hold all its connections."""
    async with asyncio.timeout(30):
        await asyncio.gather(*(db.fetch("SELECT pg_sleep(0.2)") for _ in range(SIZE)))
    assert db.free == SIZE


async def statement(db: Database) -> object:
    return await db.fetch("SELECT nextval('audit_positions')")


async def prepared(db: Database) -> object:
    return await begin_payments(db, [])


async def in_transaction(db: Database) -> object:
    async with db.transaction() as transaction:
        return await transaction.fetch("SELECT nextval('audit_positions')")


async def in_work(db: Database) -> object:
    async def work(transaction: Transaction) -> object:
        return await transaction.fetch("SELECT nextval('audit_positions')")

    return await db.transact(work)


@pytest.mark.parametrize("write", [statement, prepared, in_transaction, in_work])
async def test_a_write_is_answered_for_and_its_connections_are_dropped(
    server: OwnServer, db: Database, write: Callable[[Database], Awaitable[object]]
) -> None:
    await write(db)
    await fill(db)
    await server.read_only("on")
    with pytest.raises(StoreUnavailableError) as caught:
        await write(db)
    assert type(caught.value) is ReadOnlyError
    assert (caught.value.status, caught.value.retry_after_s) == (503, 1)
    assert (db.free, db.in_use) == (0, 0)
    assert await db.read("SELECT 1") == [(1,)], "what only reads goes on"
    await server.read_only("off")
    await write(db)


async def test_readiness_fails_until_writing_works(server: OwnServer, db: Database) -> None:
    await require_writable(db)
    await server.read_only("on")
    with pytest.raises(ReadOnlyError):
        await require_writable(db)
    with pytest.raises(ReadOnlyError):
        await require_writable(db)
    await server.read_only("off")
    await require_writable(db)


async def test_a_session_that_stays_read_only_is_replaced(server: OwnServer, db: Database) -> None:
    """As on the old server after a failover: new sessions can write, those of before never."""
    name = sql.Identifier(URL(server.url).name)
    change = sql.SQL("ALTER DATABASE {} {} default_transaction_read_only")
    server.postgres.execute(change.format(name, sql.SQL("SET")) + sql.SQL(" = on"))
    await fill(db)
    server.postgres.execute(change.format(name, sql.SQL("RESET")))
    with pytest.raises(ReadOnlyError):
        await statement(db)
    for _ in range(SIZE + 1):
        await statement(db)


async def test_a_server_that_stays_read_only_is_not_stormed_with_connections(
    server: OwnServer, db: Database
) -> None:
    await server.read_only("on")
    pids = set()
    for _ in range(20):
        with pytest.raises(ReadOnlyError):
            await statement(db)
        pids |= set(await db.read("SELECT pg_backend_pid()"))
    assert len(pids) < 5


async def test_a_connection_in_use_is_dropped_when_it_comes_back(
    server: OwnServer, db: Database
) -> None:
    reading = asyncio.Event()
    done = asyncio.Event()

    async def read() -> None:
        async with db.transaction() as transaction:
            await transaction.fetch("SELECT 1")
            reading.set()
            await done.wait()

    reader = asyncio.create_task(read())
    await reading.wait()
    await server.read_only("on")
    try:
        with pytest.raises(ReadOnlyError):
            await statement(db)
    finally:
        done.set()
        await reader
    assert db.free == 0


def batcher_of(db: Database) -> Batcher[BeginPayment, BeginOutcome]:
    async def run(items: object) -> object:
        return await begin_payments(db, items)  # type: ignore[arg-type]

    return Batcher(
        run,  # type: ignore[arg-type]
        conflict_keys=conflict_keys,
        max_items=8,
        max_queue=100,
        lanes=2,
    )


async def test_every_item_of_a_batch_is_told_and_none_is_lost(
    server: OwnServer, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LOST_PAUSE_S", 0.001)
    harness, batcher = StoreHarness(db), batcher_of(db)
    items = [begin_item(await harness.order(f"lost-{n}")) for n in range(ITEMS)]
    await server.read_only("on")
    async with asyncio.timeout(30):
        results = await asyncio.gather(*map(batcher.submit, items), return_exceptions=True)
    assert {type(result) for result in results} == {ReadOnlyError}
    assert len(results) == ITEMS
    await server.read_only("off")
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(*map(batcher.submit, items))
    assert [outcome.kind for outcome in outcomes] == [Begun.CREATED] * ITEMS
    await batcher.close(timeout_s=5)


async def test_a_batch_outlasts_a_fail_over(server: OwnServer, db: Database) -> None:
    harness, batcher = StoreHarness(db), batcher_of(db)
    items = [begin_item(await harness.order(f"waits-{n}")) for n in range(ITEMS)]
    await server.read_only("on")
    with pytest.raises(ReadOnlyError):
        await statement(db)
    submitted = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0)  # every task has put its item into the queue
    await server.read_only("off")
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(*submitted)
    assert [outcome.kind for outcome in outcomes] == [Begun.CREATED] * ITEMS
    await batcher.close(timeout_s=5)


async def test_a_standby_is_the_same(server: OwnServer, db: Database) -> None:
    await statement(db)
    await asyncio.to_thread(server.restart_as_standby)
    assert await db.read("SELECT pg_is_in_recovery()") == [(True,)]
    for attempt in (statement, prepared, in_transaction, in_work, require_writable):
        with pytest.raises(ReadOnlyError):
            await attempt(db)
    await asyncio.to_thread(server.promote)
    await statement(db)
    await require_writable(db)
