"""Batches on a real PostgreSQL: every pitfall that was met when they were tried."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import pytest

from service.app import PREPARED
from service.errors import OverloadedError, StoreUnavailableError
from service.ids import new_id
from service.store import batch
from service.store.batch import Batcher
from service.store.begin_payments import BeginPayment, begin_payments, conflict_keys
from service.store.database import SERVER_TIMEOUT_EXTRA_S, Database, RefusedError, Transaction
from service.store.idempotency import BeginOutcome, Begun
from tests.integration.store.conftest import StoreHarness, begin_item


class Recorder:
    """Runs the real statement and remembers the sizes of its batches."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.sizes: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items: Sequence[BeginPayment]) -> list[BeginOutcome]:
        await self.gate.wait()
        self.sizes.append(len(items))
        return await begin_payments(self.db, items)


@pytest.fixture
def recorder(db: Database) -> Recorder:
    return Recorder(db)


@pytest.fixture
async def batcher(recorder: Recorder) -> AsyncIterator[Batcher[BeginPayment, BeginOutcome]]:
    batcher = Batcher(recorder, conflict_keys=conflict_keys, max_items=32, max_queue=100, lanes=2)
    yield batcher
    await batcher.close(timeout_s=5)


async def test_a_lone_write_is_not_delayed_and_a_crowd_shares_statements(
    harness: StoreHarness, batcher: Batcher[BeginPayment, BeginOutcome], recorder: Recorder
) -> None:
    await batcher.submit(begin_item(await harness.order()))
    assert recorder.sizes == [1]
    items = [begin_item(await harness.order()) for _ in range(90)]
    recorder.gate.clear()
    submitted = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0)  # every task has put its item into the queue
    recorder.gate.set()
    outcomes = await asyncio.gather(*submitted)
    assert {outcome.kind for outcome in outcomes} == {Begun.CREATED}
    assert sum(recorder.sizes[1:]) == 90
    assert max(recorder.sizes) == 32


async def test_a_duplicate_waits_for_the_next_batch(
    harness: StoreHarness, batcher: Batcher[BeginPayment, BeginOutcome], recorder: Recorder
) -> None:
    orders = [await harness.order() for _ in range(10)]
    items = [begin_item(order, key=f"k{n}") for n, order in enumerate(orders) for _ in range(5)]
    recorder.gate.clear()
    submitted = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0)
    recorder.gate.set()
    kinds = [outcome.kind for outcome in await asyncio.gather(*submitted)]
    assert kinds.count(Begun.CREATED) == 10
    assert set(kinds) <= {Begun.CREATED, Begun.IN_FLIGHT, Begun.AGAIN}
    assert max(recorder.sizes) <= 10  # no two items of one key or order in one statement
    assert await harness.db.fetch("SELECT count(*) FROM payments") == [(10,)]


@pytest.mark.parametrize("poison", ["check", "nul"])
async def test_a_poison_item_fails_alone(
    harness: StoreHarness,
    batcher: Batcher[BeginPayment, BeginOutcome],
    recorder: Recorder,
    poison: str,
) -> None:
    items = [begin_item(await harness.order()) for _ in range(20)]
    bad = begin_item(await harness.order(), key="\0" if poison == "nul" else "k" * 300)
    recorder.gate.clear()
    submitted = [
        asyncio.create_task(batcher.submit(item)) for item in (*items[:7], bad, *items[7:])
    ]
    await asyncio.sleep(0)
    recorder.gate.set()
    results = await asyncio.gather(*submitted, return_exceptions=True)
    assert isinstance(results.pop(7), RefusedError)
    assert {r.kind for r in results if isinstance(r, BeginOutcome)} == {Begun.CREATED}
    assert len(results) == 20
    assert await harness.db.fetch("SELECT count(*) FROM payments") == [(20,)]


async def test_a_connection_lost_in_mid_batch_is_resolved_item_by_item(
    harness: StoreHarness,
) -> None:
    """The statement is committed and its answer lost: the repeat finds out, and doubles nothing."""
    answers: list[str] = []

    async def lose_the_first_answer(items: Sequence[BeginPayment]) -> list[BeginOutcome]:
        outcomes = await begin_payments(harness.db, items)
        answers.append("lost" if not answers else "kept")
        if answers == ["lost"]:
            async with asyncio.timeout(5):
                await _kill_and_use(harness.db)
        return outcomes

    batcher = Batcher(
        lose_the_first_answer, conflict_keys=conflict_keys, max_items=32, max_queue=100, lanes=1
    )
    items = [begin_item(await harness.order()) for _ in range(5)]
    outcomes = await asyncio.gather(*(batcher.submit(item) for item in items))
    await batcher.close(timeout_s=5)
    assert answers[:2] == ["lost", "kept"]
    assert {outcome.kind for outcome in outcomes} == {Begun.CREATED}
    assert await harness.db.fetch("SELECT count(*) FROM payments") == [(5,)]
    assert await harness.db.fetch("SELECT count(*) FROM payment_events") == [(5,)]


async def test_a_caller_that_leaves_does_not_take_its_write_along(
    harness: StoreHarness, batcher: Batcher[BeginPayment, BeginOutcome], recorder: Recorder
) -> None:
    recorder.gate.clear()
    leaving = asyncio.create_task(batcher.submit(begin_item(await harness.order())))
    staying = asyncio.create_task(batcher.submit(begin_item(await harness.order())))
    await asyncio.sleep(0)
    leaving.cancel()
    recorder.gate.set()
    assert (await staying).kind is Begun.CREATED
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await batcher.close(timeout_s=5)
    assert await harness.db.fetch("SELECT count(*) FROM payments") == [(2,)]


async def test_a_full_queue_refuses_at_once(harness: StoreHarness, recorder: Recorder) -> None:
    batcher = Batcher(recorder, conflict_keys=conflict_keys, max_items=1, max_queue=3, lanes=1)
    recorder.gate.clear()
    items = [begin_item(await harness.order()) for _ in range(6)]
    submitted = []
    for item in items:
        submitted.append(asyncio.create_task(batcher.submit(item)))
        await asyncio.sleep(0)  # one is taken by the lane, three wait
    done = [task for task in submitted if task.done()]
    assert [type(task.exception()) for task in done] == [OverloadedError] * 2
    recorder.gate.set()
    results = await asyncio.gather(*submitted, return_exceptions=True)
    assert sum(isinstance(result, BeginOutcome) for result in results) == 4
    await batcher.close(timeout_s=5)
    with pytest.raises(OverloadedError):
        await batcher.submit(items[0])


async def test_a_database_that_is_gone_is_said_so() -> None:
    gone = await Database.open(
        "postgresql://nobody@127.0.0.1:1/none", size=1, timeout_s=1.0, prepared={}
    )
    with pytest.raises(StoreUnavailableError) as caught:
        await gone.fetch("SELECT 1")
    assert caught.value.retry_after_s == 1
    await gone.close()


async def test_a_timeout_inside_a_transaction_closes_its_connection_and_undoes_it(
    harness: StoreHarness, database_url: str
) -> None:
    order = await harness.order()
    quick = await Database.open(database_url, size=1, timeout_s=1.0, prepared={})

    async def cancel_slowly() -> None:
        async with quick.transaction() as transaction:
            await transaction.fetch(
                "UPDATE orders SET status = 'canceled' WHERE id = %s", (order.id,)
            )
            await transaction.fetch("SELECT pg_sleep(5)")

    with pytest.raises(StoreUnavailableError):
        await cancel_slowly()
    assert await quick.fetch("SELECT status FROM orders WHERE id = %s", (order.id,)) == [
        ("pending",)
    ]
    await quick.close()


async def _kill_and_use(db: Database) -> None:
    """Break a connection from the server's side while it runs a statement."""
    tag = new_id().hex
    victim = asyncio.create_task(db.fetch(f"SELECT pg_sleep(30) /* {tag} */"))
    while not victim.done():
        await db.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE %s AND pid <> pg_backend_pid() AND state = 'active'",
            (f"%{tag}%",),
        )
    await victim


async def test_an_item_that_comes_in_the_moment_a_lane_ends_is_not_forgotten() -> None:
    ended = asyncio.Event()

    async def run(items: Sequence[int]) -> Sequence[int]:
        ended.set()  # whoever waits for it runs right after the lane's last step
        return items

    batcher: Batcher[int, int] = Batcher(
        run, conflict_keys=lambda _item: (), max_items=1, max_queue=9, lanes=1
    )

    async def late() -> int:
        await ended.wait()
        return await batcher.submit(2)

    async with asyncio.timeout(5):
        assert list(await asyncio.gather(late(), batcher.submit(1))) == [2, 1]
    await batcher.close(timeout_s=5)


async def test_what_loses_a_deadlock_is_done_again(harness: StoreHarness) -> None:
    first, second = await harness.order(), await harness.order()
    met = asyncio.Barrier(2)
    tries: list[int] = []

    async def lock_both(transaction: Transaction, ids: tuple[UUID, UUID]) -> str:
        tries.append(1)
        lock = "SELECT id FROM orders WHERE id = %s FOR UPDATE"
        await transaction.fetch(lock, (ids[0],))
        if len(tries) <= 2:  # the first time both hold one and want the other's
            await met.wait()
        await transaction.fetch(lock, (ids[1],))
        return "done"

    results = await asyncio.gather(
        harness.db.transact(lambda t: lock_both(t, (first.id, second.id))),
        harness.db.transact(lambda t: lock_both(t, (second.id, first.id))),
    )
    assert list(results) == ["done", "done"]
    assert len(tries) in {3, 4}  # the server breaks a deadlock by ending one side, or both at once


class Held:
    """Runs nothing: its batches stay under way until they are let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.begun = asyncio.Condition()
        self.gate = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        async with self.begun:
            self.sizes.append(len(items))
            self.begun.notify_all()
        await self.gate.wait()
        return items

    async def until(self, batches: int) -> None:
        """Wait until so many batches have begun."""
        async with asyncio.timeout(5), self.begun:
            await self.begun.wait_for(lambda: len(self.sizes) >= batches)


async def test_another_connection_joins_when_a_whole_batch_waits() -> None:
    """Sooner, it would only halve the batches and double the commits."""
    run = Held()
    batcher: Batcher[int, int] = Batcher(
        run, conflict_keys=lambda _item: (), max_items=4, max_queue=99, lanes=2
    )
    submitted = [asyncio.create_task(batcher.submit(0))]
    await run.until(1)
    submitted += [asyncio.create_task(batcher.submit(n)) for n in (1, 2, 3)]
    await asyncio.sleep(0)  # every task has put its item into the queue
    assert (run.sizes, batcher.waiting) == ([1], 3)
    submitted += [asyncio.create_task(batcher.submit(n)) for n in range(4, 12)]
    await run.until(2)
    assert (run.sizes, batcher.waiting) == ([1, 4], 7), "and no third one"
    run.gate.set()
    assert await asyncio.gather(*submitted) == list(range(12))
    assert run.sizes == [1, 4, 4, 3]
    await batcher.close(timeout_s=5)


async def test_after_a_batch_of_several_the_next_one_waits_for_company(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who gets an answer and comes again shares a statement with who waited meanwhile."""
    monkeypatch.setattr(batch, "MAX_GATHER_S", 60.0)
    run = Held()
    batcher: Batcher[int, int] = Batcher(
        run, conflict_keys=lambda _item: (), max_items=4, max_queue=99, lanes=2
    )

    async def twice(item: int) -> int:
        await batcher.submit(item)
        return await batcher.submit(item)

    submitted = [asyncio.create_task(twice(n)) for n in range(3)]
    await run.until(1)
    submitted.append(asyncio.create_task(batcher.submit(9)))
    await asyncio.sleep(0)  # it has put its item into the queue
    assert (run.sizes, batcher.waiting) == ([3], 1)
    run.gate.set()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*submitted) == [0, 1, 2, 9]
    assert run.sizes == [3, 4], "and not three statements"
    await batcher.close(timeout_s=5)


async def test_company_that_does_not_come_is_waited_for_as_long_as_a_statement_takes() -> None:
    run = Held()
    batcher: Batcher[int, int] = Batcher(
        run, conflict_keys=lambda _item: (), max_items=4, max_queue=99, lanes=1
    )
    first = [asyncio.create_task(batcher.submit(n)) for n in range(2)]
    await run.until(1)
    last = asyncio.create_task(batcher.submit(2))
    run.gate.set()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*first, last) == [0, 1, 2]
    assert run.sizes == [2, 1]
    await batcher.close(timeout_s=5)


async def test_after_a_lone_write_nobody_waits_for_company(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(Batcher, "_gather")  # who waited would fail
    run = Held()
    batcher: Batcher[int, int] = Batcher(
        run, conflict_keys=lambda _item: (), max_items=4, max_queue=99, lanes=1
    )
    first = asyncio.create_task(batcher.submit(1))
    await run.until(1)
    second = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)  # it has put its item into the queue
    run.gate.set()
    async with asyncio.timeout(5):
        assert list(await asyncio.gather(first, second)) == [1, 2]
    assert run.sizes == [1, 1]
    await batcher.close(timeout_s=5)


async def test_another_connection_joins_when_the_first_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever waits for a lock keeps nobody else waiting."""
    run = Held()
    batcher: Batcher[int, int] = Batcher(
        run, conflict_keys=lambda _item: (), max_items=4, max_queue=99, lanes=2
    )
    first = asyncio.create_task(batcher.submit(1))
    await run.until(1)
    monkeypatch.setattr(batch, "SLOW_S", -1.0)  # the time has passed
    second = asyncio.create_task(batcher.submit(2))
    await run.until(2)
    run.gate.set()
    assert list(await asyncio.gather(first, second)) == [1, 2]
    await batcher.close(timeout_s=5)


async def test_a_batch_that_only_waits_is_not_garbage() -> None:
    """The event loop holds tasks weakly: one that nobody else holds ends in mid-statement."""
    begun = asyncio.Event()

    async def run(_items: Sequence[int]) -> Sequence[int]:
        begun.set()
        await asyncio.get_running_loop().create_future()  # known to this task alone
        return ()

    batcher: Batcher[int, int] = Batcher(
        run, conflict_keys=lambda _item: (), max_items=1, max_queue=9, lanes=1
    )
    caller = asyncio.create_task(batcher.submit(1))
    async with asyncio.timeout(5):
        await begun.wait()
    gc.collect()
    assert "batch lane" in {task.get_name() for task in asyncio.all_tasks()}
    await batcher.close(timeout_s=0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


@pytest.mark.parametrize("name", [name for name in PREPARED if not name.startswith("get_")])
def test_a_batched_statement_takes_all_its_items_as_one_parameter(name: str) -> None:
    """Lists are written out item by item (psycopg2); one text of JSON goes as it is."""
    assert "$1" in PREPARED[name]
    assert "$2" not in PREPARED[name]


async def test_a_report_has_more_time_than_a_statement(database_url: str) -> None:
    timeout_s = 2.0  # to connect, too
    quick = await Database.open(database_url, size=1, timeout_s=timeout_s, prepared={})
    longer_s = timeout_s + SERVER_TIMEOUT_EXTRA_S + 0.5
    assert await quick.report(f"SELECT 1 FROM pg_sleep({longer_s})") == [(1,)]
    [(left,)] = await quick.fetch("SHOW statement_timeout")
    assert left == "4s", "and the next statement has the usual one"
    await quick.close()
