"""What is under way, and for how long: what alerts about stuck work look at."""

from datetime import timedelta

from service.store import inbox, invariants
from service.store.settle_payments import settle_payments
from tests.integration.store.conftest import NOW, Shop, begin_item, settlement

LATER = NOW + timedelta(hours=2)


async def test_the_longest_wait_of_each_status_counts(shop: Shop) -> None:
    items = [begin_item(await shop.order(), at=NOW + timedelta(minutes=n)) for n in range(3)]
    await shop.begin(*items)
    await settle_payments(shop.db, [settlement(items[0], 1_000, status="unknown")])
    found = await invariants.backlog(shop.db, at=LATER, grant_deadline=NOW)
    assert found.unresolved == {"processing": 2, "unknown": 1}
    assert found.unresolved_oldest_s == {"processing": 7_140.0, "unknown": 7_200.0}
    assert found.unresolved_refunds == {}


async def test_an_event_that_waits_for_its_time_does_not_lag(shop: Shop) -> None:
    await shop.db.fetch(
        "INSERT INTO webhook_inbox (provider, event_id, kind, type, charge_ref, next_attempt_at,"
        " correlation_id, received_at)"
        " VALUES ('simulator', 'e1', 'charge', 'charge.succeeded', 'ch_1', %s, 'c1', %s)",
        (LATER, NOW),
    )
    assert (await inbox.backlog(shop.db, LATER - timedelta(hours=1))).oldest_s == 0
    found = await inbox.backlog(shop.db, LATER + timedelta(seconds=30))
    assert (found.pending, found.oldest_s) == (1, 30.0)
