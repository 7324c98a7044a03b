"""What is under way, and for how long: what alerts about stuck work look at."""

from datetime import timedelta

from service.store import inbox, invariants
from service.store.record_outcomes import record_outcomes
from tests.integration.store.conftest import NOW, StoreHarness, begin_item, outcome_item

LATER = NOW + timedelta(hours=2)


async def test_the_longest_wait_of_each_status_counts(harness: StoreHarness) -> None:
    items = [begin_item(await harness.order(), at=NOW + timedelta(minutes=n)) for n in range(3)]
    await harness.begin(*items)
    await record_outcomes(harness.db, [outcome_item(items[0], 1_000, status="unknown")])
    found = await invariants.backlog(harness.db, LATER)
    assert found.unresolved == {"processing": 2, "unknown": 1}
    assert found.unresolved_oldest_s == {"processing": 7_140.0, "unknown": 7_200.0}
    assert found.unresolved_refunds == {}


async def test_an_event_that_waits_for_its_time_does_not_lag(harness: StoreHarness) -> None:
    await harness.db.fetch(
        "INSERT INTO webhook_inbox (provider, event_id, kind, type, charge_ref, next_attempt_at,"
        " correlation_id, received_at)"
        " VALUES ('simulator', 'e1', 'charge', 'charge.succeeded', 'ch_1', %s, 'c1', %s)",
        (LATER, NOW),
    )
    assert (await inbox.backlog(harness.db, LATER - timedelta(hours=1))).oldest_s == 0
    found = await inbox.backlog(harness.db, LATER + timedelta(seconds=30))
    assert (found.pending, found.oldest_s) == (1, 30.0)
