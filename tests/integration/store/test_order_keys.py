"""The claim of a key and its order are one statement: both or none, however often it runs."""

import asyncio
from datetime import timedelta

from msgspec.structs import replace

from service.ids import new_id
from service.store.idempotency import Begun
from service.store.orders import NewOrder, create_orders
from tests.integration.store.conftest import LOCK, NOW, StoreHarness

FINGERPRINT = "ab" * 32


async def keyed(harness: StoreHarness, key: str = "k") -> NewOrder:
    """Return an order that is not made yet, under a key."""
    made = await harness.order("template")
    return replace(
        made, id=new_id(), user_id="u1", key=key, fingerprint=FINGERPRINT, response_body='{"a":1}'
    )


async def kinds(harness: StoreHarness, *items: NewOrder) -> list[Begun]:
    return [outcome.kind for outcome in await create_orders(harness.db, items)]


async def count(harness: StoreHarness) -> int:
    rows = await harness.db.fetch("SELECT count(*) FROM orders WHERE user_id = 'u1'")
    return int(rows[0][0])


async def test_a_statement_that_runs_again_finds_its_own_order(harness: StoreHarness) -> None:
    item = await keyed(harness)
    assert await kinds(harness, item) == [Begun.CREATED]
    assert await kinds(harness, item) == [Begun.CREATED]  # its answer was lost with the connection
    assert await count(harness) == 1


async def test_a_repeat_gets_the_stored_answer(harness: StoreHarness) -> None:
    item = await keyed(harness)
    await create_orders(harness.db, [item])
    [outcome] = await create_orders(harness.db, [replace(item, id=new_id(), response_body="{}")])
    assert outcome.kind is Begun.REPLAY
    assert (outcome.resource_id, outcome.response_status) == (item.id, 201)
    assert outcome.response_body == '{"a":1}'
    assert await count(harness) == 1


async def test_of_one_batch_one_makes_it_and_the_others_look_again(harness: StoreHarness) -> None:
    item = await keyed(harness)
    items = [replace(item, id=new_id()) for _ in range(5)]
    first = await kinds(harness, *items)
    assert sorted(first) == [Begun.AGAIN] * 4 + [Begun.CREATED]
    others = [each for each, kind in zip(items, first, strict=True) if kind is Begun.AGAIN]
    assert await kinds(harness, *others) == [Begun.REPLAY] * 4
    assert await count(harness) == 1


async def test_batches_that_meet_make_one_order(harness: StoreHarness) -> None:
    item = await keyed(harness)
    found = await asyncio.gather(*(kinds(harness, replace(item, id=new_id())) for _ in range(8)))
    assert [kind for each in found for kind in each].count(Begun.CREATED) == 1
    assert await count(harness) == 1


async def test_another_body_or_a_running_request_makes_nothing(harness: StoreHarness) -> None:
    item = await keyed(harness)
    await create_orders(harness.db, [item])
    other = replace(item, id=new_id(), fingerprint="cd" * 32)
    running = await keyed(harness, "running")
    await harness.db.fetch(
        "INSERT INTO idempotency_keys (caller, key, fingerprint, resource_id, locked_until,"
        " created_at) VALUES ('u1', 'running', decode(%s, 'hex'), gen_random_uuid(), %s, %s)",
        (FINGERPRINT, NOW + LOCK, NOW - timedelta(seconds=1)),
    )
    assert await kinds(harness, other, running) == [Begun.KEY_REUSED, Begun.IN_FLIGHT]
    assert await count(harness) == 1


async def test_keyed_and_plain_orders_share_a_batch(harness: StoreHarness) -> None:
    item, other = await keyed(harness), await keyed(harness, "other")
    plain = [
        replace(item, id=new_id(), key=None, fingerprint=None, response_body=None) for _ in range(2)
    ]
    assert await kinds(harness, item, *plain, other) == [Begun.CREATED] * 4
    assert await count(harness) == 4
    assert await harness.violations() == {}
