"""Connections to PostgreSQL: how they are made, lent and given up."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from threading import Event
from threading import enumerate as threads
from typing import Any, Final

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from yarl import URL

from service.errors import StoreUnavailableError
from service.store.database import Database
from tests.support.network_proxy import NetworkProxy
from tests.support.waiting import eventually

NAME: Final = "db.shop.test"
TIMEOUT_S: Final = 4.0
STALL_S: Final = 0.5
"""A busy machine may keep the loop this long from its turn; a look-up would, for much longer."""

Answers = list[str]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Give the addresses that the resolver has for NAME, to be changed."""
    known: Answers = ["127.0.0.1"]
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host != NAME:
            return real(host, port, *rest, **more)
        if not known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port or 0)) for each in known]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


class Hang:
    """Makes the resolver hang, until it is told to answer."""

    def __init__(self) -> None:
        self._answers = Event()
        self._answers.set()

    def __call__(self) -> None:
        self._answers.clear()

    def over(self) -> None:
        self._answers.set()

    def wait(self) -> None:
        self._answers.wait(60)


@pytest.fixture
def hang(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hang]:
    """Give what makes the resolver hang from then on."""
    assert answers, "it answers before"
    hang, resolve = Hang(), socket.getaddrinfo

    def stuck(*given: Any, **more: Any) -> Any:
        hang.wait()
        return resolve(*given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    yield hang
    hang.over()


def named(url: str, host: str = NAME) -> str:
    return str(URL(url).with_host(host))


@asynccontextmanager
async def opened(url: str, *, size: int = 4, **prepared: str) -> AsyncIterator[Database]:
    db = await Database.open(url, size=size, timeout_s=TIMEOUT_S, prepared=prepared)
    try:
        yield db
    finally:
        await db.close()


@asynccontextmanager
async def loop_watched() -> AsyncIterator[list[float]]:
    """Give the longest times that the event loop was kept from its turn, the last one last."""
    stalls = [0.0]

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            stalls.append(max(stalls[-1], time.monotonic() - before))

    watching = asyncio.create_task(watch())
    yield stalls
    watching.cancel()


async def parameters(db: Database) -> dict[str, Any]:
    """Return how the driver was told to connect."""
    connection = await db._pool.acquire()
    try:
        return parse_dsn(str(connection.dsn))
    finally:
        db._pool.release(connection)


@pytest.mark.usefixtures("answers")
async def test_the_name_stays_for_tls_and_the_address_is_connected_to(database_url: str) -> None:
    async with opened(named(database_url)) as db:
        assert await db.fetch("SELECT 1") == [(1,)]
        used = await parameters(db)
    assert (used["host"], used["hostaddr"]) == (NAME, "127.0.0.1")
    assert int(used["port"]) == URL(database_url).port


async def test_a_resolver_that_hangs_keeps_nothing_else_waiting(
    database_url: str, hang: Hang
) -> None:
    async with opened(named(database_url), size=2) as db, loop_watched() as stalls:
        await db.fetch("SELECT 1")
        async with opened(named(database_url)) as another:
            hang()
            started = time.monotonic()
            connecting = [asyncio.create_task(another.fetch("SELECT 1")) for _ in range(20)]
            for _ in range(20):
                assert await db.fetch("SELECT 1") == [(1,)]
            assert not any(task.done() for task in connecting)
            failed = await asyncio.gather(*connecting, return_exceptions=True)
            assert {type(each) for each in failed} == {StoreUnavailableError}
            assert time.monotonic() - started < TIMEOUT_S + STALL_S
    assert stalls[-1] < STALL_S


async def test_one_thread_looks_however_many_wait(database_url: str, hang: Hang) -> None:
    hang()
    async with opened(named(database_url), size=8) as db:
        tasks = [asyncio.create_task(db.fetch("SELECT 1")) for _ in range(8)]
        await asyncio.sleep(0.1)
        assert len([thread for thread in threads() if NAME in thread.name]) == 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("how", ["hangs", "knows nothing"])
async def test_what_was_known_stands_while_the_resolver_fails(
    database_url: str, answers: Answers, hang: Hang, how: str
) -> None:
    async with opened(named(database_url), size=2) as db:
        await db.fetch("SELECT 1")
        if how == "hangs":
            hang()
        else:
            answers.clear()
        rows = await asyncio.gather(*(db.fetch("SELECT pg_sleep(0.1)") for _ in range(2)))
        assert len(rows) == 2
        assert db.free == 2, "a second connection was made"


async def test_an_answer_that_came_too_late_serves_the_next(database_url: str, hang: Hang) -> None:
    async with opened(named(database_url)) as db:
        hang()
        with pytest.raises(StoreUnavailableError):
            await db.fetch("SELECT 1")
        hang.over()
        resolver = db._pool._connect._resolver  # type: ignore[attr-defined]
        await eventually(lambda: _true(NAME in resolver._known))
        hang()
        assert await db.fetch("SELECT 1") == [(1,)]


async def test_a_name_that_is_unknown_is_said_so(database_url: str, answers: Answers) -> None:
    answers.clear()
    async with opened(named(database_url)) as db:
        with pytest.raises(StoreUnavailableError):
            await db.fetch("SELECT 1")
        answers.append("127.0.0.1")
        assert await db.fetch("SELECT 1") == [(1,)]


@pytest.mark.parametrize("first", ["refuses", "is a black hole"])
async def test_the_next_address_is_tried(database_url: str, answers: Answers, first: str) -> None:
    proxy = NetworkProxy(URL(named(database_url)).with_host("127.0.0.1"))
    url = named(proxy.url)
    # The server answers at 127.0.0.1 only through the proxy's port; 127.0.0.2 has nobody there, or
    # somebody who takes connections and says nothing.
    answers[:] = ["127.0.0.2", "127.0.0.1"]
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(proxy.opened())
        if first == "is a black hole":
            hole = await asyncio.start_server(_say_nothing, "127.0.0.2", proxy.listens_at)
            stack.push_async_callback(_close, hole)
        async with opened(url) as db:
            assert await db.fetch("SELECT 1") == [(1,)]
            assert (await parameters(db))["hostaddr"] == "127.0.0.1"


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until the client hangs up
    writer.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


async def test_several_hosts_of_a_url_are_tried_one_by_one(database_url: str) -> None:
    url = URL(database_url)
    there = f"{url.host}:{url.port}"
    several = database_url.replace(there, f"127.0.0.1:1,[::1]:2,{there}")
    async with opened(several) as db:
        assert await db.fetch("SELECT 1") == [(1,)]


@pytest.mark.usefixtures("answers")
async def test_a_host_without_an_address_is_passed_over(database_url: str) -> None:
    url = URL(database_url)
    there = f"{url.host}:{url.port}"
    several = database_url.replace(there, f"nowhere.invalid:1,{NAME}:{url.port}")
    async with opened(several) as db:
        assert await db.fetch("SELECT 1") == [(1,)]


async def test_a_connection_that_broke_meanwhile_is_not_lent(database_url: str) -> None:
    """It comes back while another one is being made, and breaks before that one is there."""
    async with NetworkProxy(URL(database_url)).opened() as proxy, opened(proxy.url, size=2) as db:
        async with db.transaction() as transaction:
            [(pid,)] = await transaction.fetch("SELECT pg_backend_pid()")
            proxy.delay_s = 0.2
            waiting = asyncio.create_task(db.fetch("SELECT 1"))
            await eventually(lambda: _true(db.in_use == 2))
        assert not waiting.done()  # the first one is back, and the second one is on its way
        await asyncio.to_thread(_terminate, database_url, pid)
        assert await waiting == [(1,)]


async def _true(value: bool) -> bool:  # noqa: FBT001
    return value


def _terminate(url: str, pid: int) -> None:
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


async def test_who_waits_gets_what_comes_free_while_another_connects(database_url: str) -> None:
    async with opened(database_url, size=2) as db:
        await db.fetch("SELECT 1")
        async with db.transaction() as transaction:
            await transaction.fetch("SELECT 1")
            connecting = asyncio.create_task(_slowly_connected(db))
            await eventually(lambda: _true(db.in_use == 2))
            third = asyncio.create_task(db.fetch("SELECT 3"))
            await asyncio.sleep(0)
        started = time.monotonic()
        assert await third == [(3,)]
        assert time.monotonic() - started < 1.0
        assert not connecting.done()
        await connecting


async def _slowly_connected(db: Database) -> object:
    connect = db._pool._connect

    async def slowly() -> Any:
        await asyncio.sleep(1.5)  # as a server that is far away, or under load
        return await connect()

    db._pool._connect = slowly
    return await db.fetch("SELECT 2")


async def test_a_connection_that_cant_be_set_up_is_closed(database_url: str) -> None:
    async with opened(database_url, size=1, x="SELECT * FROM nowhere") as db:
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await db.fetch("SELECT 1")
        assert (db.in_use, db.free) == (0, 0)

    async def others() -> int:
        async with opened(database_url) as check_charge:
            [(count,)] = await check_charge.fetch(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return int(count)

    assert await eventually(others, lambda count: count == 0) == 0


async def test_a_pool_that_closes_lends_no_more(database_url: str) -> None:
    db = await Database.open(database_url, size=1, timeout_s=TIMEOUT_S, prepared={})
    running = asyncio.create_task(db.fetch("SELECT pg_sleep(0.3)"))
    await eventually(lambda: _true(db.in_use == 1))
    await db.close()
    await running
    assert (db.in_use, db.free) == (0, 0)
    with pytest.raises(StoreUnavailableError):
        await db.fetch("SELECT 1")
