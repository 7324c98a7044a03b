"""The outbox: claimed once, in order within a payment, and due again when a delivery fails."""

import asyncio
from datetime import timedelta

from service.store import outbox
from tests.integration.store.conftest import NOW, Shop

LATER = NOW + timedelta(seconds=30)


async def test_a_message_is_claimed_by_one_relay(shop: Shop) -> None:
    for _ in range(10):
        await shop.paid()
    claims = await asyncio.gather(
        *(outbox.claim(shop.db, at=NOW, until=LATER, limit=3) for _ in range(6))
    )
    ids = [message.id for messages in claims for message in messages]
    assert len(ids) == len(set(ids))
    rest = await outbox.claim(shop.db, at=NOW, until=LATER, limit=10)
    assert len(ids) + len(rest) == 10
    assert await outbox.claim(shop.db, at=NOW, until=LATER, limit=10) == []


async def test_delivery_grants_the_games_and_fulfils_the_order(shop: Shop) -> None:
    item = await shop.paid()
    [message] = await outbox.claim(shop.db, at=NOW, until=LATER, limit=10)
    assert (message.topic, message.payment_id, message.attempts) == (
        "library.grant",
        item.payment_id,
        1,
    )
    assert await outbox.delivered(shop.db, [message.id], NOW) == 1
    assert await outbox.delivered(shop.db, [message.id], NOW) == 0
    assert await shop.db.fetch("SELECT status FROM orders") == [("fulfilled",)]
    assert [e.status for e in await outbox.entitlements(shop.db, item.payment_id)] == ["granted"]
    assert await shop.violations() == {}


async def test_a_message_put_off_is_due_again_and_holds_back_its_successors(shop: Shop) -> None:
    item = await shop.paid()
    await shop.db.fetch(
        "INSERT INTO outbox (topic, dedupe_key, payment_id, correlation_id, next_attempt_at,"
        " created_at) VALUES ('library.revoke', 'x', %s, 'c', %s, %s)",
        (item.payment_id, NOW, NOW),
    )
    [grant] = await outbox.claim(shop.db, at=NOW, until=LATER, limit=10)
    await outbox.put_off(shop.db, grant.id, until=NOW + timedelta(seconds=5), error="down")
    assert await outbox.claim(shop.db, at=NOW, until=LATER, limit=10) == []
    [again] = await outbox.claim(shop.db, at=NOW + timedelta(seconds=5), until=LATER, limit=10)
    assert (again.id, again.attempts) == (grant.id, 2)
    await outbox.delivered(shop.db, [again.id], NOW)
    [revoke] = await outbox.claim(shop.db, at=NOW, until=LATER, limit=10)
    assert revoke.topic == "library.revoke"
