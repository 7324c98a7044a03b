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
from service.store.settle_payments import settle_payments
from tests.integration.store.conftest import NOW, Shop, begin_item, settlement

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
        claimed_status="succeeded",
        correlation_id="c1",
        at=NOW,
    )


async def claimed(shop: Shop, item: NewEvent) -> inbox.InboxEvent:
    """Keep an event and take it."""
    await inbox.receive_events(shop.db, [item])
    [found] = await inbox.claim(shop.db, at=NOW, until=NOW + LEASE, limit=10)
    return found


async def failed_payment(shop: Shop) -> NewOrphan:
    """Return an orphan of a payment that failed."""
    item = begin_item(await shop.order())
    await shop.begin(item)
    await settle_payments(shop.db, [settlement(item, 1_000, status="failed", ref="ch_1")])
    return orphan_of(item.payment_id, "ch_1")


def orphan_of(payment_id: UUID, ref: str) -> NewOrphan:
    return NewOrphan(new_id(), "simulator", ref, payment_id, 1_000, "EUR", "c1", NOW)


async def refused(shop: Shop, sql: str) -> str:
    with pytest.raises(RefusedError) as caught:
        await shop.db.fetch(sql)
    return caught.value.constraint


async def test_an_event_is_kept_once_and_the_repeat_is_told_so(shop: Shop) -> None:
    first = await inbox.receive_events(shop.db, [event(), event("evt_2")])
    again = await inbox.receive_events(shop.db, [event("evt_3"), event()])
    assert (first, again) == ([True, True], [True, False])


async def test_the_same_id_of_another_provider_is_another_event(shop: Shop) -> None:
    items = [event(), replace(event(), provider="stripe")]
    assert await inbox.receive_events(shop.db, items) == [True, True]


async def test_a_taken_event_is_hidden_until_its_lease_ends(shop: Shop) -> None:
    await claimed(shop, event())
    assert await inbox.claim(shop.db, at=NOW, until=NOW + LEASE, limit=10) == []
    later = NOW + LEASE
    [again] = await inbox.claim(shop.db, at=later, until=later + LEASE, limit=10)
    assert again.attempts == 2


async def test_a_processed_event_is_never_taken_again(shop: Shop) -> None:
    found = await claimed(shop, event())
    await inbox.processed(shop.db, found, "settled", NOW)
    await inbox.put_off(shop.db, found, until=NOW, error="late")  # of a worker that was too slow
    await inbox.park(shop.db, found, error="late", at=NOW)
    later = NOW + timedelta(days=9)
    assert await inbox.claim(shop.db, at=later, until=later, limit=10) == []
    assert await inbox.parked(shop.db, limit=10) == []


@pytest.mark.parametrize(
    ("write", "rule"),
    [
        ("DELETE FROM webhook_inbox", "webhook_inbox_immutable"),
        ("TRUNCATE webhook_inbox", "webhook_inbox_immutable"),
        ("UPDATE webhook_inbox SET charge_ref = 'ch_2'", "webhook_inbox_immutable"),
        ("UPDATE webhook_inbox SET status = 'done'", "webhook_inbox_check"),
    ],
)
async def test_an_event_stays_what_was_sent(shop: Shop, write: str, rule: str) -> None:
    await inbox.receive_events(shop.db, [event()])
    assert await refused(shop, write) == rule


async def test_a_payment_is_found_by_its_charge_its_attempt_or_its_id(shop: Shop) -> None:
    paid = await shop.paid()
    ref = f"ch_{paid.attempt_id.hex}"
    named = [
        event("evt_1", charge_ref=ref),
        event("evt_2", attempt_id=paid.attempt_id),
        event("evt_3", payment_id=paid.payment_id),
        event("evt_4", charge_ref=ref, payment_id=new_id()),
    ]
    for item in named:
        assert await inbox.locate_payment(shop.db, await claimed(shop, item)) == paid.payment_id
    stranger = await claimed(shop, event("evt_5", payment_id=new_id(), attempt_id=new_id()))
    assert await inbox.locate_payment(shop.db, stranger) is None


async def test_a_payment_of_another_provider_is_not_meant(shop: Shop) -> None:
    paid = await shop.paid()
    item = replace(event(payment_id=paid.payment_id), provider="stripe")
    assert await inbox.locate_payment(shop.db, await claimed(shop, item)) is None


async def test_a_charge_is_an_orphan_once(shop: Shop) -> None:
    item = await failed_payment(shop)
    assert await orphans.record(shop.db, item)
    assert not await orphans.record(shop.db, replace(item, id=new_id()))
    assert await shop.violations() == {}


async def test_a_charge_that_pays_is_no_orphan(shop: Shop) -> None:
    paid = await shop.paid()
    with pytest.raises(RefusedError) as caught:
        await orphans.record(shop.db, orphan_of(paid.payment_id, f"ch_{paid.attempt_id.hex}"))
    assert caught.value.constraint == "orphan_pays_nothing"
    stray = orphan_of(paid.payment_id, "ch_second")  # the same payment, charged a second time
    assert await orphans.record(shop.db, stray)
    assert await shop.db.fetch("SELECT * FROM invariant_orphans_that_pay") == []


async def test_an_orphan_that_comes_to_pay_shows(shop: Shop) -> None:
    await orphans.record(shop.db, await failed_payment(shop))
    other = begin_item(await shop.order("u2"))
    await shop.begin(other)
    await shop.db.fetch("ALTER TABLE payments DROP CONSTRAINT payments_provider_provider_ref_key")
    await settle_payments(shop.db, [settlement(other, 1_000, ref="ch_1")])
    assert len(await shop.db.fetch("SELECT * FROM invariant_orphans_that_pay")) == 1


@pytest.mark.parametrize(
    ("write", "rule"),
    [
        ("DELETE FROM orphan_captures", "orphan_captures_immutable"),
        ("UPDATE orphan_captures SET amount_minor = 1", "orphan_captures_immutable"),
        ("UPDATE orphan_captures SET status = 'gone'", "orphan_capture_transition"),
        ("UPDATE orphan_captures SET status = 'refunded'", "orphan_captures_check"),
    ],
)
async def test_an_orphan_keeps_what_it_is(shop: Shop, write: str, rule: str) -> None:
    await orphans.record(shop.db, await failed_payment(shop))
    assert await refused(shop, write) == rule


async def test_an_orphan_ends_once(shop: Shop) -> None:
    await orphans.record(shop.db, await failed_payment(shop))
    [found] = await orphans.claim_due(shop.db, at=NOW, until=NOW + LEASE, limit=10)
    assert await orphans.claim_due(shop.db, at=NOW, until=NOW + LEASE, limit=10) == []
    ends = [
        await orphans.settle(shop.db, found, "refunded", refund_ref="re_1", error=None, at=NOW)
        for _ in range(2)
    ]
    assert ends == [True, False]
    assert await orphans.unrefunded(shop.db) == {}


@pytest.mark.parametrize("again", ["by its lease", "by an operator"])
async def test_a_late_refusal_leaves_an_orphan_to_the_try_under_way(shop: Shop, again: str) -> None:
    """People who find it in review book a transfer, while the refund is being made."""
    await orphans.record(shop.db, await failed_payment(shop))
    [late] = await orphans.claim_due(shop.db, at=NOW, until=NOW, limit=1)
    if again == "by an operator":  # another worker's refusal came first; the tries count anew
        await shop.db.fetch("UPDATE orphan_captures SET status = 'review'")
        await shop.db.fetch(
            "UPDATE orphan_captures SET status = 'pending', attempts = 0,"
            " retry_keys = ARRAY[gen_random_uuid()]"
        )
    [now] = await orphans.claim_due(shop.db, at=NOW, until=NOW + LEASE, limit=1)

    async def end(row: OrphanRow, status: str, ref: str | None = None) -> bool:
        return await orphans.settle(shop.db, row, status, refund_ref=ref, error="e", at=NOW)

    assert not await end(late, "review")
    assert await orphans.unrefunded(shop.db) == {"pending": 1}
    assert await end(now, "review")
    assert await orphans.unrefunded(shop.db) == {"review": 1}


async def test_a_late_refund_is_news_all_the_same(shop: Shop) -> None:
    await orphans.record(shop.db, await failed_payment(shop))
    [late] = await orphans.claim_due(shop.db, at=NOW, until=NOW, limit=1)
    await orphans.claim_due(shop.db, at=NOW, until=NOW + LEASE, limit=1)
    assert await orphans.settle(shop.db, late, "refunded", refund_ref="re_1", error=None, at=NOW)
    assert await orphans.unrefunded(shop.db) == {}


async def test_a_payment_is_given_one_attempt_at_a_time(shop: Shop) -> None:
    item = begin_item(await shop.order())
    await shop.begin(item)
    waits = replace(settlement(item, 1_000, status="requires_action"), failure_code=None)
    await settle_payments(shop.db, [waits])
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
    assert await inbox.reopen(shop.db, first)
    assert not await inbox.reopen(shop.db, replace(first, attempt_id=new_id()))
    assert not await inbox.reopen(shop.db, held)  # its status fits, and it has an attempt
