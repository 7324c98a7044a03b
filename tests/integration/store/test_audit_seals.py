"""Intervals of the audit trails are closed: nothing falls into one after its seal."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final
from uuid import UUID

import pytest

from service.store import audit_seals, audit_trail
from service.store.audit_seals import SealRow
from service.store.database import Database, Transaction
from tests.integration.store.conftest import NOW, StoreHarness, begin_item
from tests.support.waiting import eventually

LATER: Final = NOW + timedelta(hours=1)
WRITERS: Final = 8
SEALERS: Final = 3
ROUNDS: Final = 40
"""Transactions of each writer; with 8 writers about 300 overlap with a seal."""

LONGEST_S: Final = 0.03
"""Of a writer's transaction after its entry has a position: time enough for many seals."""


async def seal(db: Database, *, limit: int = 10_000, wait_s: float = 10.0) -> SealRow | None:
    return await audit_seals.seal(db, at=NOW, due=LATER, limit=limit, wait_s=wait_s)


async def payment(harness: StoreHarness) -> UUID:
    """Begin a payment: one entry."""
    item = begin_item(await harness.order())
    await harness.begin(item)
    return item.payment_id


async def add(transaction: Transaction, payment_id: UUID) -> None:
    await transaction.fetch(
        "INSERT INTO payment_events (payment_id, at, event, data, correlation_id)"
        " VALUES (%s, %s, 'x', '{}', 'c')",
        (payment_id, NOW),
    )


async def faults(db: Database) -> list[audit_trail.Fault]:
    part = await audit_trail.next_part(db, after=0, entries=1_000_000)
    assert part, "nothing is sealed"
    return await audit_trail.faults_within(db, after=0, last=part.last)


async def test_what_follows_a_seal_is_in_the_next(harness: StoreHarness) -> None:
    await payment(harness)
    await payment(harness)
    first = await seal(harness.db)
    assert first
    assert (first.id, first.first_position, first.last_position) == (1, 1, 2)
    assert (first.entries, first.chains) == (2, 2)
    assert await seal(harness.db) is None
    await payment(harness)
    second = await seal(harness.db)
    assert second
    assert (second.id, second.first_position, second.last_position) == (2, 3, 3)
    assert (await audit_seals.list_seals(harness.db, cursor=None, limit=10)).items == (
        second,
        first,
    )
    assert (await audit_seals.list_seals(harness.db, cursor=2, limit=10)).items == (first,)
    assert await faults(harness.db) == []


async def test_a_seal_is_due_by_time_or_by_size(harness: StoreHarness) -> None:
    for _ in range(3):
        await payment(harness)
    assert await seal(harness.db, limit=2)
    before = NOW - timedelta(seconds=1)
    assert await audit_seals.seal(harness.db, at=NOW, due=before, limit=2, wait_s=10) is None
    await payment(harness)
    by_size = await audit_seals.seal(harness.db, at=NOW, due=before, limit=2, wait_s=10)
    assert by_size
    assert by_size.entries == 2


async def test_an_entry_that_commits_late_is_waited_for(harness: StoreHarness) -> None:
    late = await payment(harness)
    async with harness.db.transaction() as transaction:
        await add(transaction, late)
        await payment(harness)  # takes a later position and commits at once
        assert await seal(harness.db, wait_s=0.2) is None
        waiting = asyncio.create_task(seal(harness.db))
    row = await waiting
    assert row
    assert (row.last_position, row.entries) == (3, 3)
    assert await faults(harness.db) == []


async def test_a_transaction_has_its_id_before_its_position(harness: StoreHarness) -> None:
    for _ in range(3):  # the sequence itself takes an id, but only for every 32nd value
        async with harness.db.transaction() as transaction:
            await transaction.fetch("SELECT next_audit_position()")
            assert await transaction.fetch(
                "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
            ) == [(True,)]


async def test_a_transaction_that_only_reads_is_not_waited_for(harness: StoreHarness) -> None:
    await payment(harness)
    async with harness.db.transaction() as transaction:
        await transaction.fetch("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await transaction.fetch("SELECT count(*) FROM payment_events")
        assert await seal(harness.db, wait_s=0.0)


async def test_positions_that_were_never_used_leave_no_hole(harness: StoreHarness) -> None:
    known = await payment(harness)
    async with harness.db.transaction() as transaction:
        await add(transaction, known)
        await transaction.fetch("ROLLBACK")
    await payment(harness)
    row = await seal(harness.db)
    assert row
    assert (row.first_position, row.last_position, row.entries) == (1, 3, 2)
    assert await faults(harness.db) == []


async def test_one_seals_and_nobody_waits_for_it(harness: StoreHarness) -> None:
    known = await payment(harness)
    async with harness.db.transaction() as transaction:
        await add(transaction, known)  # so that the first sealer has to wait
        first = asyncio.create_task(seal(harness.db))
        await eventually(
            lambda: harness.db.fetch("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")
        )
        async with asyncio.timeout(5):
            assert await seal(harness.db) is None
            await payment(harness)  # payments go on
            await seal(harness.db)
        assert not first.done()
    assert await first


@pytest.fixture
async def crowd(database_url: str) -> AsyncIterator[Database]:
    """Give a pool with a connection for everybody."""
    db = await Database.open(database_url, size=WRITERS + SEALERS + 1, timeout_s=30.0, prepared={})
    yield db
    await db.close()


async def test_every_entry_is_under_exactly_one_seal(
    harness: StoreHarness, crowd: Database
) -> None:
    dice = random.Random(4)  # noqa: S311  lengths, not secrets
    payments = [await payment(harness) for _ in range(WRITERS)]
    writers = [asyncio.create_task(write(crowd, known, dice)) for known in payments]
    done = asyncio.gather(*writers)
    sealers = [asyncio.create_task(seal_until(crowd, done)) for _ in range(SEALERS)]
    await done
    made = [row for sealer in sealers for row in await sealer]
    if last := await seal(crowd):
        made.append(last)
    made.sort(key=lambda row: row.id)
    assert len(made) > 10, "too few seals to meet a writer"
    assert (
        made == list((await audit_seals.list_seals(crowd, cursor=None, limit=10_000)).items)[::-1]
    )
    assert await faults(crowd) == []
    covered = await crowd.fetch(
        "SELECT e.position, count(s.id) FROM audit_entries e LEFT JOIN audit_seals s"
        " ON e.position BETWEEN s.first_position AND s.last_position"
        " GROUP BY e.position HAVING count(s.id) <> 1"
    )
    assert covered == []
    assert sum(row.entries for row in made) == WRITERS * (1 + ROUNDS)


async def write(db: Database, payment_id: UUID, dice: random.Random) -> None:
    for _ in range(ROUNDS):
        async with db.transaction() as transaction:
            await add(transaction, payment_id)
            await asyncio.sleep(dice.uniform(0, LONGEST_S))  # the transaction's length


async def seal_until(db: Database, done: "asyncio.Future[list[None]]") -> list[SealRow]:
    made = []
    while not done.done():
        if row := await seal(db, limit=100):
            made.append(row)
        await asyncio.sleep(0)
    return made


async def test_what_waits_for_a_seal_is_known(harness: StoreHarness) -> None:
    assert await audit_seals.unsealed(harness.db) == audit_seals.Unsealed(0, None)
    await payment(harness)
    assert await audit_seals.unsealed(harness.db) == audit_seals.Unsealed(0, NOW)
    await seal(harness.db)
    assert await audit_seals.unsealed(harness.db) == audit_seals.Unsealed(1, None)
