"""The two hot statements, each item with an outcome of its own."""

import asyncio
from datetime import timedelta

from service.store import payments
from service.store.begin_payments import begin_payments
from service.store.idempotency import Begun
from service.store.record_outcomes import record_outcomes
from tests.integration.store.conftest import NOW, StoreHarness, begin_item, outcome_item


async def test_a_payment_begins_and_gets_its_outcome(harness: StoreHarness) -> None:
    item = begin_item(await harness.order(minor=1_234))
    [begun] = await harness.begin(item)
    assert begun.kind is Begun.CREATED
    assert begun.amount is not None
    assert begun.amount.minor == 1_234

    [recorded] = await record_outcomes(harness.db, [outcome_item(item, 1_234)])

    assert recorded.applied
    payment = await payments.get_payment(harness.db, item.payment_id)
    assert payment is not None
    assert (payment.status, payment.captured_minor) == ("succeeded", 1_234)
    entries = await payments.ledger_entries(harness.db, item.payment_id)
    assert [(e.account, e.amount_minor) for e in entries] == [
        ("provider:simulator", 1_234),
        ("sales:games", -1_234),
    ]
    events = await payments.timeline(harness.db, item.payment_id)
    assert [event.event for event in events] == ["payment_created", "payment_succeeded"]
    assert await harness.violations() == {}


async def test_each_item_of_a_batch_has_its_own_outcome(harness: StoreHarness) -> None:
    good, other = await harness.order(), await harness.order("u2")
    paid = await harness.paid()
    expired = await harness.order(at=NOW - timedelta(hours=1))
    owned = await harness.order(games=("game-3",))  # the game of the paid order
    items = [
        begin_item(good),
        begin_item(other, user="mallory"),
        begin_item(good, key=paid.key, fingerprint="ff"),
        begin_item(good, key=paid.key, fingerprint=paid.fingerprint),
        begin_item(expired),
        begin_item(owned),
    ]
    outcomes = await harness.begin(*items)
    assert [outcome.kind for outcome in outcomes] == [
        Begun.CREATED,
        Begun.NOT_FOUND,
        Begun.KEY_REUSED,
        Begun.REPLAY,
        Begun.ORDER_NOT_PAYABLE,
        Begun.OWNED,
    ]
    assert (outcomes[3].response_status, outcomes[3].response_body) == (201, '{"id": "x"}')
    assert await harness.violations() == {}


async def test_a_repeat_of_the_statement_changes_nothing(harness: StoreHarness) -> None:
    item = begin_item(await harness.order())
    first = await harness.begin(item)
    again = await harness.begin(item)
    assert first[0].kind is again[0].kind is Begun.CREATED
    assert first[0].amount == again[0].amount
    assert (await record_outcomes(harness.db, [outcome_item(item, 1_000)]))[0].applied
    assert not (await record_outcomes(harness.db, [outcome_item(item, 1_000)]))[0].applied
    assert await harness.db.fetch("SELECT count(*) FROM payment_events") == [(2,)]
    assert await harness.violations() == {}


async def test_a_key_is_in_flight_until_its_lock_runs_out(harness: StoreHarness) -> None:
    order = await harness.order()
    first = begin_item(order, key="k")
    await harness.begin(first)
    [early] = await harness.begin(begin_item(order, key="k"))
    [late] = await harness.begin(begin_item(order, key="k", at=NOW + timedelta(seconds=31)))
    assert early.kind is Begun.IN_FLIGHT
    assert late.kind is Begun.RESUME
    assert late.resource_id == first.payment_id


async def test_fifty_concurrent_payments_of_an_order_make_one(harness: StoreHarness) -> None:
    order = await harness.order()
    items = [begin_item(order) for _ in range(50)]
    outcomes = await asyncio.gather(*(begin_payments(harness.db, [item]) for item in items))
    kinds = sorted(str(outcome[0].kind) for outcome in outcomes)
    assert kinds.count("created") == 1
    assert set(kinds) <= {"created", "live_payment", "lost_order"}
    assert await harness.db.fetch("SELECT count(*) FROM payments") == [(1,)]


async def test_fifty_concurrent_requests_under_one_key_make_one_payment(
    harness: StoreHarness,
) -> None:
    orders = [await harness.order() for _ in range(50)]
    items = [
        begin_item(order, key="same", fingerprint=f"{n:02x}") for n, order in enumerate(orders)
    ]
    outcomes = await asyncio.gather(*(begin_payments(harness.db, [item]) for item in items))
    kinds = [str(outcome[0].kind) for outcome in outcomes]
    assert kinds.count("created") == 1
    assert set(kinds) <= {"created", "key_reused", "again"}
    assert await harness.db.fetch("SELECT count(*) FROM payments") == [(1,)]
    assert await harness.violations() == {}


async def test_two_orders_of_one_game_race_for_it(harness: StoreHarness) -> None:
    orders = [await harness.order(games=("wanted", f"other-{n}")) for n in range(12)]
    items = [begin_item(order) for order in orders]
    outcomes = await asyncio.gather(*(begin_payments(harness.db, [item]) for item in items))
    kinds = [str(outcome[0].kind) for outcome in outcomes]
    assert kinds.count("created") == 1
    assert set(kinds) <= {"created", "owned", "lost_game"}
    held = await harness.db.fetch(
        "SELECT count(*) FROM entitlements WHERE game_id = 'wanted' AND status = 'reserved'"
    )
    assert held == [(1,)]


async def test_opposite_orders_of_items_never_deadlock(harness: StoreHarness) -> None:
    for _ in range(10):
        orders = [await harness.order() for _ in range(8)]
        items = [begin_item(order) for order in orders]
        swapped = [begin_item(order) for order in reversed(orders)]
        both = await asyncio.gather(harness.begin(*items), harness.begin(*swapped))
        kinds = [str(outcome.kind) for outcomes in both for outcome in outcomes]
        assert kinds.count("created") == 8
    assert await harness.violations() == {}


async def test_an_unknown_outcome_stays_open_until_it_is_known(harness: StoreHarness) -> None:
    item = begin_item(await harness.order())
    await harness.begin(item)
    await record_outcomes(harness.db, [outcome_item(item, 1_000, status="unknown")])
    due = await payments.claim_due_attempts(
        harness.db, at=NOW + timedelta(seconds=6), until=NOW + timedelta(seconds=60), limit=5
    )
    assert [attempt.id for attempt in due] == [item.attempt_id]
    assert due[0].payment.status == "unknown"
    hidden = await payments.claim_due_attempts(
        harness.db, at=NOW + timedelta(seconds=6), until=NOW + timedelta(seconds=60), limit=5
    )
    assert hidden == []
    assert (await record_outcomes(harness.db, [outcome_item(item, 1_000)]))[0].applied
    assert await harness.violations() == {}


async def test_a_failed_payment_gives_the_order_and_its_game_free(harness: StoreHarness) -> None:
    order = await harness.order()
    first = begin_item(order)
    await harness.begin(first)
    await record_outcomes(harness.db, [outcome_item(first, 1_000, status="failed")])
    [second] = await harness.begin(begin_item(order))
    assert second.kind is Begun.CREATED
    assert await harness.violations() == {}
