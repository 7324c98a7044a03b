"""The outbox: claimed once, in order within a payment, and due again when a delivery fails."""

import asyncio
from datetime import timedelta

from service.store import outbox
from tests.integration.store.conftest import NOW, StoreHarness

LATER = NOW + timedelta(seconds=30)


async def test_a_message_is_claimed_by_one_relay(harness: StoreHarness) -> None:
    for _ in range(10):
        await harness.paid()
    claims = await asyncio.gather(
        *(outbox.claim(harness.db, at=NOW, until=LATER, limit=3) for _ in range(6))
    )
    ids = [message.id for messages in claims for message in messages]
    assert len(ids) == len(set(ids))
    rest = await outbox.claim(harness.db, at=NOW, until=LATER, limit=10)
    assert len(ids) + len(rest) == 10
    assert await outbox.claim(harness.db, at=NOW, until=LATER, limit=10) == []


async def test_delivery_grants_the_games_and_fulfils_the_order(harness: StoreHarness) -> None:
    item = await harness.paid()
    [message] = await outbox.claim(harness.db, at=NOW, until=LATER, limit=10)
    assert (message.topic, message.payment_id, message.attempts) == (
        "library.grant",
        item.payment_id,
        1,
    )
    assert await outbox.delivered(harness.db, [message.id], NOW) == 1
    assert await outbox.delivered(harness.db, [message.id], NOW) == 0
    assert await harness.db.fetch("SELECT status FROM orders") == [("fulfilled",)]
    assert [e.status for e in await outbox.entitlements(harness.db, item.payment_id)] == ["granted"]
    assert await harness.violations() == {}


async def test_a_message_put_off_is_due_again_and_holds_back_its_successors(
    harness: StoreHarness,
) -> None:
    item = await harness.paid()
    await harness.db.fetch(
        "INSERT INTO outbox (topic, dedupe_key, payment_id, correlation_id, next_attempt_at,"
        " created_at) VALUES ('library.revoke', 'x', %s, 'c', %s, %s)",
        (item.payment_id, NOW, NOW),
    )
    [grant] = await outbox.claim(harness.db, at=NOW, until=LATER, limit=10)
    await outbox.put_off(harness.db, grant.id, until=NOW + timedelta(seconds=5), error="down")
    assert await outbox.claim(harness.db, at=NOW, until=LATER, limit=10) == []
    [again] = await outbox.claim(harness.db, at=NOW + timedelta(seconds=5), until=LATER, limit=10)
    assert (again.id, again.attempts) == (grant.id, 2)
    await outbox.delivered(harness.db, [again.id], NOW)
    [revoke] = await outbox.claim(harness.db, at=NOW, until=LATER, limit=10)
    assert revoke.topic == "library.revoke"
