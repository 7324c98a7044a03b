"""What the database itself guards: events are kept for ever, orphans never pay."""

from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from service.ids import new_id
from service.store import inbox, orphans
from service.store.database import RefusedError
from service.store.inbox import NewEvent, Reopen
from service.store.orphans import NewOrphan, OrphanRow
from service.store.record_outcomes import record_outcomes
from tests.integration.store.conftest import NOW, StoreHarness, begin_item, outcome_item

pytestmark = pytest.mark.as_owner

LEASE = timedelta(minutes=1)


def event(event_id: str = "evt_1", *, charge_ref: str = "ch_1", **named: UUID) -> NewEvent:
    return NewEvent(
        provider="simulator",
        event_id=event_id,
        kind="charge",
        type="charge.succeeded",
        charge_ref=charge_ref,
        refund_ref=None,
        payment_id=named.get("payment_id"),
        attempt_id=named.get("attempt_id"),
        refund_id=None,
        object_ref=None,
        claimed_status="succeeded",
        correlation_id="c1",
        at=NOW,
    )


async def claimed(harness: StoreHarness, item: NewEvent) -> inbox.InboxEvent:
    """Keep an event and take it."""
    await inbox.receive_events(harness.db, [item])
    [found] = await inbox.claim(harness.db, at=NOW, until=NOW + LEASE, limit=10)
    return found


async def failed_payment(harness: StoreHarness) -> NewOrphan:
    """Return an orphan of a payment that failed."""
    item = begin_item(await harness.order())
    await harness.begin(item)
    await record_outcomes(harness.db, [outcome_item(item, 1_000, status="failed", ref="ch_1")])
    return orphan_of(item.payment_id, "ch_1")


def orphan_of(payment_id: UUID, ref: str) -> NewOrphan:
    return NewOrphan(new_id(), "simulator", ref, payment_id, 1_000, "EUR", "c1", NOW)


async def refused(harness: StoreHarness, sql: str) -> str:
    with pytest.raises(RefusedError) as caught:
        await harness.db.fetch(sql)
    return caught.value.constraint


async def test_an_event_is_kept_once_and_the_repeat_is_told_so(harness: StoreHarness) -> None:
    first = await inbox.receive_events(harness.db, [event(), event("evt_2")])
    again = await inbox.receive_events(harness.db, [event("evt_3"), event()])
    assert (first, again) == ([True, True], [True, False])


async def test_the_same_id_of_another_provider_is_another_event(harness: StoreHarness) -> None:
    items = [event(), replace(event(), provider="stripe")]
    assert await inbox.receive_events(harness.db, items) == [True, True]


async def test_a_taken_event_is_hidden_until_its_lease_ends(harness: StoreHarness) -> None:
    await claimed(harness, event())
    assert await inbox.claim(harness.db, at=NOW, until=NOW + LEASE, limit=10) == []
    later = NOW + LEASE
    [again] = await inbox.claim(harness.db, at=later, until=later + LEASE, limit=10)
    assert again.attempts == 2


async def test_a_processed_event_is_never_taken_again(harness: StoreHarness) -> None:
    found = await claimed(harness, event())
    await inbox.processed(harness.db, found, "settled", NOW)
    await inbox.put_off(harness.db, found, until=NOW, error="late")  # of a worker that was too slow
    await inbox.park(harness.db, found, error="late", at=NOW)
    later = NOW + timedelta(days=9)
    assert await inbox.claim(harness.db, at=later, until=later, limit=10) == []
    assert await inbox.parked(harness.db, limit=10) == []


@pytest.mark.parametrize(
    ("write", "rule"),
    [
        ("DELETE FROM webhook_inbox", "webhook_inbox_immutable"),
        ("TRUNCATE webhook_inbox", "webhook_inbox_immutable"),
        ("UPDATE webhook_inbox SET charge_ref = 'ch_2'", "webhook_inbox_immutable"),
        ("UPDATE webhook_inbox SET status = 'done'", "webhook_inbox_check"),
    ],
)
async def test_an_event_stays_what_was_sent(harness: StoreHarness, write: str, rule: str) -> None:
    await inbox.receive_events(harness.db, [event()])
    assert await refused(harness, write) == rule


async def test_a_payment_is_found_by_its_charge_its_attempt_or_its_id(
    harness: StoreHarness,
) -> None:
    paid = await harness.paid()
    ref = f"ch_{paid.attempt_id.hex}"
    named = [
        event("evt_1", charge_ref=ref),
        event("evt_2", attempt_id=paid.attempt_id),
        event("evt_3", payment_id=paid.payment_id),
        event("evt_4", charge_ref=ref, payment_id=new_id()),
    ]
    for item in named:
        assert (
            await inbox.locate_payment(harness.db, await claimed(harness, item)) == paid.payment_id
        )
    stranger = await claimed(harness, event("evt_5", payment_id=new_id(), attempt_id=new_id()))
    assert await inbox.locate_payment(harness.db, stranger) is None


async def test_a_payment_of_another_provider_is_not_meant(harness: StoreHarness) -> None:
    paid = await harness.paid()
    item = replace(event(payment_id=paid.payment_id), provider="stripe")
    assert await inbox.locate_payment(harness.db, await claimed(harness, item)) is None


async def test_a_charge_is_an_orphan_once(harness: StoreHarness) -> None:
    item = await failed_payment(harness)
    assert await orphans.record(harness.db, item)
    assert not await orphans.record(harness.db, replace(item, id=new_id()))
    assert await harness.violations() == {}


async def test_a_charge_that_pays_is_no_orphan(harness: StoreHarness) -> None:
    paid = await harness.paid()
    with pytest.raises(RefusedError) as caught:
        await orphans.record(harness.db, orphan_of(paid.payment_id, f"ch_{paid.attempt_id.hex}"))
    assert caught.value.constraint == "orphan_pays_nothing"
    stray = orphan_of(paid.payment_id, "ch_second")  # the same payment, charged a second time
    assert await orphans.record(harness.db, stray)
    assert await harness.db.fetch("SELECT * FROM invariant_orphans_that_pay") == []


async def test_an_orphan_that_comes_to_pay_shows(harness: StoreHarness) -> None:
    await orphans.record(harness.db, await failed_payment(harness))
    other = begin_item(await harness.order("u2"))
    await harness.begin(other)
    await harness.db.fetch(
        "ALTER TABLE payments DROP CONSTRAINT payments_provider_provider_ref_key"
    )
    await record_outcomes(harness.db, [outcome_item(other, 1_000, ref="ch_1")])
    assert len(await harness.db.fetch("SELECT * FROM invariant_orphans_that_pay")) == 1


@pytest.mark.parametrize(
    ("write", "rule"),
    [
        ("DELETE FROM orphan_captures", "orphan_captures_immutable"),
        ("UPDATE orphan_captures SET amount_minor = 1", "orphan_captures_immutable"),
        ("UPDATE orphan_captures SET status = 'gone'", "orphan_capture_transition"),
        ("UPDATE orphan_captures SET status = 'refunded'", "orphan_captures_check"),
    ],
)
async def test_an_orphan_keeps_what_it_is(harness: StoreHarness, write: str, rule: str) -> None:
    await orphans.record(harness.db, await failed_payment(harness))
    assert await refused(harness, write) == rule


async def test_an_orphan_ends_once(harness: StoreHarness) -> None:
    await orphans.record(harness.db, await failed_payment(harness))
    [found] = await orphans.claim_due(harness.db, at=NOW, until=NOW + LEASE, limit=10)
    assert await orphans.claim_due(harness.db, at=NOW, until=NOW + LEASE, limit=10) == []
    ends = [
        await orphans.record_outcome(
            harness.db, found, "refunded", refund_ref="re_1", error=None, at=NOW
        )
        for _ in range(2)
    ]
    assert ends == [True, False]
    assert await orphans.unrefunded(harness.db) == {}


@pytest.mark.parametrize("again", ["by its lease", "by an operator"])
async def test_a_late_refusal_leaves_an_orphan_to_the_try_under_way(
    harness: StoreHarness, again: str
) -> None:
    """People who find it in review book a transfer, while the refund is being made."""
    await orphans.record(harness.db, await failed_payment(harness))
    [late] = await orphans.claim_due(harness.db, at=NOW, until=NOW, limit=1)
    if again == "by an operator":  # another worker's refusal came first; the tries count anew
        await harness.db.fetch("UPDATE orphan_captures SET status = 'review'")
        await harness.db.fetch(
            "UPDATE orphan_captures SET status = 'pending', attempts = 0,"
            " retry_keys = ARRAY[gen_random_uuid()]"
        )
    [now] = await orphans.claim_due(harness.db, at=NOW, until=NOW + LEASE, limit=1)

    async def end(row: OrphanRow, status: str, ref: str | None = None) -> bool:
        return await orphans.record_outcome(
            harness.db, row, status, refund_ref=ref, error="e", at=NOW
        )

    assert not await end(late, "review")
    assert await orphans.unrefunded(harness.db) == {"pending": 1}
    assert await end(now, "review")
    assert await orphans.unrefunded(harness.db) == {"review": 1}


async def test_a_late_refund_is_news_all_the_same(harness: StoreHarness) -> None:
    await orphans.record(harness.db, await failed_payment(harness))
    [late] = await orphans.claim_due(harness.db, at=NOW, until=NOW, limit=1)
    await orphans.claim_due(harness.db, at=NOW, until=NOW + LEASE, limit=1)
    assert await orphans.record_outcome(
        harness.db, late, "refunded", refund_ref="re_1", error=None, at=NOW
    )
    assert await orphans.unrefunded(harness.db) == {}


async def test_a_payment_is_given_one_attempt_at_a_time(harness: StoreHarness) -> None:
    item = begin_item(await harness.order())
    await harness.begin(item)
    waits = replace(outcome_item(item, 1_000, status="requires_action"), failure_code=None)
    await record_outcomes(harness.db, [waits])
    first = Reopen(
        attempt_id=new_id(),
        payment_id=item.payment_id,
        status="requires_action",
        operation="charge",
        process=True,
        cause="evt_1",
        correlation_id="c1",
        at=NOW,
        until=NOW + LEASE,
    )
    held = replace(first, attempt_id=new_id(), process=False, status="processing")
    assert await inbox.reopen(harness.db, first)
    assert not await inbox.reopen(harness.db, replace(first, attempt_id=new_id()))
    assert not await inbox.reopen(harness.db, held)  # its status fits, and it has an attempt
