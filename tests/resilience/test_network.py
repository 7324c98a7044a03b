"""What lies between the service and its servers is slow, silent, or cut; servers restart."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from yarl import URL

from scripts.platform import embedded
from scripts.platform.client import Reply
from scripts.platform.embedded import Postgres, Valkey
from scripts.platform.processes import Child
from simulator.client import Control
from tests.integration.api.conftest import Api, Start
from tests.resilience.conftest import Say
from tests.resilience.load import Load
from tests.support.databases import databases_on
from tests.support.network_proxy import NetworkProxy
from tests.support.waiting import eventually

LANES: Final = 8
QUEUE: Final = 2
CUTS: Final = 5
SCHEDULING_S: Final = 4.0
"""What a busy machine may add to any bound; the bounds themselves are far shorter than default."""

PROVIDER_TIMEOUT_S: Final = 0.5
REQUEST_TIMEOUT_S: Final = 3.0


@pytest.fixture
async def proxies() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def break_it(proxy: NetworkProxy, how: str) -> None:
    """Do one of the things that networks do."""
    match how:
        case "slow":
            proxy.delay_s = 0.1
        case "silent":
            proxy.silence()
        case "cut":
            await proxy.cut()
        case "gone":
            await proxy.refuse()


async def each_charged_once(api: Api, count: int) -> None:
    """Assert that so many orders were charged, each once, and that the ledger say so."""
    api.clock.forward(minutes=5)
    while await api.complete():
        pass
    charges = (await api.simulator.state())["charges"]
    assert len(charges) == len({charge["reference"] for charge in charges}) == count
    assert {charge["status"] for charge in charges} == {"succeeded"}
    await api.sound()


@pytest.mark.parametrize("how", ["slow", "silent", "cut", "gone"])
async def test_without_valkey_everything_works(
    start_api: Start, proxies: AsyncExitStack, valkey: Valkey, how: str
) -> None:
    proxy = await proxies.enter_async_context(NetworkProxy(URL(valkey.url)).opened())
    api = await start_api(REDIS_URL=proxy.url)
    async with api.client() as ada:
        (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201)
        await break_it(proxy, how)
        started = time.monotonic()
        payment = (await ada.pay((await ada.order(["game-2"]))["id"])).expect(201).body
        assert payment["status"] == "succeeded"
        assert time.monotonic() - started < SCHEDULING_S
        await proxy.restore()
        (await ada.pay((await ada.order(["game-3"]))["id"])).expect(201)
    await each_charged_once(api, 3)


@pytest.mark.parametrize("how", ["silent", "cut"])
async def test_a_provider_that_says_nothing_leaves_an_unknown_payment_in_time(
    start_api: Start, proxies: AsyncExitStack, simulator: Control, how: str
) -> None:
    proxy = await proxies.enter_async_context(NetworkProxy(URL(simulator.url)).opened())
    api = await start_api(SIMULATOR_URL=proxy.url, PROVIDER_TIMEOUT_S=str(PROVIDER_TIMEOUT_S))
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        await simulator.fault("provider.charge", "hold_after")
        started = time.monotonic()
        paying = asyncio.create_task(ada.pay(order["id"]))
        await simulator.until_held("provider.charge")
        await break_it(proxy, how)
        reply = (await paying).expect(202, 503)
        assert time.monotonic() - started < PROVIDER_TIMEOUT_S + SCHEDULING_S
        assert reply.status == 503 or reply.body["status"] == "unknown"
    await simulator.release()
    await proxy.restore()
    await each_charged_once(api, 1)


async def test_a_provider_that_is_gone_has_surely_not_charged(
    start_api: Start, proxies: AsyncExitStack, simulator: Control
) -> None:
    proxy = await proxies.enter_async_context(NetworkProxy(URL(simulator.url)).opened())
    api = await start_api(SIMULATOR_URL=proxy.url)
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        await proxy.refuse()
        payment = (await ada.pay(order["id"])).expect(201).body
        assert (payment["status"], payment["failure_code"]) == ("failed", "provider_unavailable")
        await proxy.restore()
        assert (await ada.pay(order["id"])).expect(201).body["status"] == "succeeded"
    await each_charged_once(api, 1)


async def test_a_silent_database_is_answered_for_in_time(
    start_api: Start, proxies: AsyncExitStack, database_url: str
) -> None:
    proxy = await proxies.enter_async_context(NetworkProxy(URL(database_url)).opened())
    api = await start_api(
        DATABASE_URL=proxy.url,
        REQUEST_TIMEOUT_S=str(REQUEST_TIMEOUT_S),
        DB_STATEMENT_TIMEOUT_S="1",
        PROVIDER_TIMEOUT_S="2",
        INTEGRATION_TIMEOUT_S="2",
    )
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        proxy.silence()
        started = time.monotonic()
        reply = (await ada.pay(order["id"], key="once")).expect(503)
        assert time.monotonic() - started < REQUEST_TIMEOUT_S + SCHEDULING_S
        assert "Retry-After" in reply.headers
        await proxy.restore()
        await Load(api).buy("bob")
        api.clock.forward(minutes=5)  # what the first request began may own its key till then
        (await ada.pay(order["id"], key="once")).expect(201)
    await each_charged_once(api, 2)


async def test_a_slow_database_is_only_slow(
    start_api: Start, proxies: AsyncExitStack, database_url: str
) -> None:
    proxy = await proxies.enter_async_context(NetworkProxy(URL(database_url)).opened())
    api = await start_api(DATABASE_URL=proxy.url)
    proxy.delay_s = 0.05
    load = Load(api)
    async with load.running(LANES):
        await load.until_bought(LANES)
    assert (set(load.statuses), set(load.answers)) == ({"succeeded"}, {201})
    await each_charged_once(api, load.bought)


async def test_connections_to_the_database_are_cut_in_mid_load(
    start_api: Start, proxies: AsyncExitStack, database_url: str, say: Say
) -> None:
    proxy = await proxies.enter_async_context(NetworkProxy(URL(database_url)).opened())
    api = await start_api(DATABASE_URL=proxy.url)
    load = Load(api)
    async with load.running(LANES):
        for _ in range(CUTS):
            await load.until_bought(LANES // 2)
            await proxy.cut()
        await load.until_bought(LANES)
    assert set(load.answers) <= {201, 202, 409, 503}
    await each_charged_once(api, load.bought)
    say(f"database cut {CUTS} times under load: {load.bought} bought, {dict(load.answers)}")


@dataclass
class Restartable:
    """A PostgreSQL of this test alone, with durability on, that comes back on its port."""

    folder: Path
    server: Postgres
    child: Child

    def restart(self, number: signal.Signals) -> None:
        """Stop it with a signal and start it again."""
        port = URL(self.server.default_url).port or 0
        self.child.stop_signal = number
        self.child.stop()
        self.child = embedded._start_postgres(self.folder, port, durable=True)


@pytest.fixture
def restartable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restartable]:
    folder = tmp_path_factory.mktemp("restartable")
    with embedded.postgres(folder, durable=True, environ={}) as server:
        assert server.child is not None  # started here, and not chosen by DATABASE_URL
        made = Restartable(folder, server, server.child)
        yield made
        made.child.stop()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGQUIT], ids=["in order", "as after a crash"]
)
async def test_postgres_restarts_in_mid_load(
    start_api: Start, restartable: Restartable, number: signal.Signals, say: Say
) -> None:
    with databases_on(restartable.server) as databases, databases.fresh() as urls:
        api = await start_api(DATABASE_URL=urls.service)
        load = Load(api)
        async with load.running(LANES):
            await load.until_bought(LANES)
            await asyncio.to_thread(restartable.restart, number)
            await load.until_bought(LANES)
        assert set(load.answers) <= {201, 202, 409, 503}
        await each_charged_once(api, load.bought)
        say(
            f"PostgreSQL ended by {number.name} under load:"
            f" {load.bought} bought, {dict(load.answers)}"
        )


async def test_a_database_that_hangs_is_not_queued_up_for(
    start_api: Start, proxies: AsyncExitStack, database_url: str
) -> None:
    proxy = await proxies.enter_async_context(NetworkProxy(URL(database_url)).opened())
    api = await start_api(
        DATABASE_URL=proxy.url,
        DB_BATCH_QUEUE=str(QUEUE),
        DB_BATCH_CONNECTIONS="1",
        IDEMPOTENCY_LOCK_S="120",
        REQUEST_TIMEOUT_S="60",  # who waits is to wait for the database and for nothing else
        DB_STATEMENT_TIMEOUT_S="30",
    )
    async with AsyncExitStack() as stack:
        users = [await stack.enter_async_context(api.client(f"u{n}")) for n in range(LANES)]
        orders = [(await user.order(["game-1"]))["id"] for user in users]
        proxy.silence()
        paying = {
            asyncio.create_task(user.pay(order, key=order)): number
            for number, (user, order) in enumerate(zip(users, orders, strict=True))
        }
        refused = set[asyncio.Task[Reply]]()
        async with asyncio.timeout(SCHEDULING_S * 5):
            while len(refused) < LANES - 2 * QUEUE:  # a queue's worth may be under way
                done, _ = await asyncio.wait(set(paying) - refused, return_when="FIRST_COMPLETED")
                refused |= done
        replies = [task.result().expect(503) for task in refused]
        assert {reply.body["code"] for reply in replies} == {"overloaded"}
        assert all(int(reply.headers["Retry-After"]) >= 1 for reply in replies)
        assert 0 < len(set(paying) - refused) <= 2 * QUEUE
        await proxy.restore()
        kept = [await task for task in set(paying) - refused]
        assert {reply.status for reply in kept} <= {201, 503}
        api.clock.forward(minutes=5)
        for user, order in zip(users, orders, strict=True):
            (await user.pay(order, key=order)).expect(201)
    await each_charged_once(api, LANES)


async def test_a_client_that_hangs_up_in_the_middle_has_paid(
    start_api: Start, simulator: Control
) -> None:
    api = await start_api(PROVIDER_TIMEOUT_S="30", REQUEST_TIMEOUT_S="60", IDEMPOTENCY_LOCK_S="120")
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        await simulator.fault("provider.charge", "hold_after")
        paying = asyncio.create_task(ada.pay(order["id"]))
        await simulator.until_held("provider.charge")
        paying.cancel()  # aiohttp's client closes the connection
        with pytest.raises(asyncio.CancelledError):
            await paying
        await simulator.release()

        async def statuses() -> list[str]:
            found = await ada.read(f"/v1/payments?order_id={order['id']}")
            return [payment["status"] for payment in found["items"]]

        # No worker runs here: it is the request that goes on without its client.
        await eventually(statuses, lambda seen: seen == ["succeeded"], timeout_s=20)
    await each_charged_once(api, 1)
