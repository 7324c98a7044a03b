"""Two writers of one payment meet: they queue up, and neither is a deadlock's victim."""

import asyncio
from datetime import timedelta

from service.store import outbox
from service.store.database import Database
from tests.integration.store.conftest import NOW, StoreHarness
from tests.support.waiting import eventually


async def waits_for_a_lock(db: Database) -> bool:
    rows = await db.fetch(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(rows[0][0])


async def test_a_delivery_queues_up_behind_a_refund_that_ends(harness: StoreHarness) -> None:
    item = await harness.paid()
    [grant] = await outbox.claim(harness.db, at=NOW, until=NOW + timedelta(seconds=30), limit=10)
    async with harness.db.transaction() as refund:
        await refund.fetch("SELECT 1 FROM payments WHERE id = %s FOR UPDATE", (item.payment_id,))
        delivery = asyncio.create_task(outbox.delivered(harness.db, [grant.id], NOW))
        await eventually(lambda: waits_for_a_lock(harness.db))
        await refund.fetch(
            "INSERT INTO payment_events (payment_id, at, event, data, correlation_id)"
            " VALUES (%s, %s, 'refund_succeeded', '{}', 'c')",
            (item.payment_id, NOW),
        )
    assert await delivery == 1
    events = await harness.db.fetch("SELECT seq, event FROM payment_events ORDER BY seq")
    assert [seq for seq, _ in events] == list(range(1, len(events) + 1))
    assert [event for _, event in events][-2:] == ["refund_succeeded", "games_granted"]
    assert await harness.violations() == {}
