"""The two hot statements, each item with an outcome of its own."""

import asyncio
from datetime import timedelta

from service.store import payments
from service.store.begin_payments import Begun, begin_payments
from service.store.settle_payments import settle_payments
from tests.integration.store.conftest import NOW, Shop, begin_item, settlement


async def test_a_payment_begins_and_settles(shop: Shop) -> None:
    item = begin_item(await shop.order(minor=1_234))
    [begun] = await shop.begin(item)
    assert begun.kind is Begun.CREATED
    assert begun.amount is not None
    assert begun.amount.minor == 1_234

    [settled] = await settle_payments(shop.db, [settlement(item, 1_234)])

    assert settled.applied
    payment = await payments.get_payment(shop.db, item.payment_id)
    assert payment is not None
    assert (payment.status, payment.captured_minor) == ("succeeded", 1_234)
    entries = await payments.ledger_entries(shop.db, item.payment_id)
    assert [(e.account, e.amount_minor) for e in entries] == [
        ("provider:simulator", 1_234),
        ("sales:games", -1_234),
    ]
    events = await payments.timeline(shop.db, item.payment_id)
    assert [event.event for event in events] == ["payment_created", "payment_succeeded"]
    assert await shop.violations() == {}


async def test_each_item_of_a_batch_has_its_own_outcome(shop: Shop) -> None:
    good, other = await shop.order(), await shop.order("u2")
    paid = await shop.paid()
    expired = await shop.order(at=NOW - timedelta(hours=1))
    owned = await shop.order(games=("game-3",))  # the game of the paid order
    items = [
        begin_item(good),
        begin_item(other, user="mallory"),
        begin_item(good, key=paid.key, fingerprint="ff"),
        begin_item(good, key=paid.key, fingerprint=paid.fingerprint),
        begin_item(expired),
        begin_item(owned),
    ]
    outcomes = await shop.begin(*items)
    assert [outcome.kind for outcome in outcomes] == [
        Begun.CREATED,
        Begun.ORDER_NOT_FOUND,
        Begun.KEY_REUSED,
        Begun.REPLAY,
        Begun.ORDER_NOT_PAYABLE,
        Begun.OWNED,
    ]
    assert (outcomes[3].response_status, outcomes[3].response_body) == (201, '{"id": "x"}')
    assert await shop.violations() == {}


async def test_a_repeat_of_the_statement_changes_nothing(shop: Shop) -> None:
    item = begin_item(await shop.order())
    first = await shop.begin(item)
    again = await shop.begin(item)
    assert first[0].kind is again[0].kind is Begun.CREATED
    assert first[0].amount == again[0].amount
    assert (await settle_payments(shop.db, [settlement(item, 1_000)]))[0].applied
    assert not (await settle_payments(shop.db, [settlement(item, 1_000)]))[0].applied
    assert await shop.db.fetch("SELECT count(*) FROM payment_events") == [(2,)]
    assert await shop.violations() == {}


async def test_a_key_is_in_flight_until_its_lock_runs_out(shop: Shop) -> None:
    order = await shop.order()
    first = begin_item(order, key="k")
    await shop.begin(first)
    [early] = await shop.begin(begin_item(order, key="k"))
    [late] = await shop.begin(begin_item(order, key="k", at=NOW + timedelta(seconds=31)))
    assert early.kind is Begun.IN_FLIGHT
    assert late.kind is Begun.RESUME
    assert late.resource_id == first.payment_id


async def test_fifty_concurrent_payments_of_an_order_make_one(shop: Shop) -> None:
    order = await shop.order()
    items = [begin_item(order) for _ in range(50)]
    outcomes = await asyncio.gather(*(begin_payments(shop.db, [item]) for item in items))
    kinds = sorted(str(outcome[0].kind) for outcome in outcomes)
    assert kinds.count("created") == 1
    assert set(kinds) <= {"created", "live_payment", "lost_order"}
    assert await shop.db.fetch("SELECT count(*) FROM payments") == [(1,)]


async def test_fifty_concurrent_requests_under_one_key_make_one_payment(shop: Shop) -> None:
    orders = [await shop.order() for _ in range(50)]
    items = [
        begin_item(order, key="same", fingerprint=f"{n:02x}") for n, order in enumerate(orders)
    ]
    outcomes = await asyncio.gather(*(begin_payments(shop.db, [item]) for item in items))
    kinds = [str(outcome[0].kind) for outcome in outcomes]
    assert kinds.count("created") == 1
    assert set(kinds) <= {"created", "key_reused", "again"}
    assert await shop.db.fetch("SELECT count(*) FROM payments") == [(1,)]
    assert await shop.violations() == {}


async def test_two_orders_of_one_game_race_for_it(shop: Shop) -> None:
    orders = [await shop.order(games=("wanted", f"other-{n}")) for n in range(12)]
    items = [begin_item(order) for order in orders]
    outcomes = await asyncio.gather(*(begin_payments(shop.db, [item]) for item in items))
    kinds = [str(outcome[0].kind) for outcome in outcomes]
    assert kinds.count("created") == 1
    assert set(kinds) <= {"created", "owned", "lost_game"}
    held = await shop.db.fetch(
        "SELECT count(*) FROM entitlements WHERE game_id = 'wanted' AND status = 'reserved'"
    )
    assert held == [(1,)]


async def test_opposite_orders_of_items_never_deadlock(shop: Shop) -> None:
    for _ in range(10):
        orders = [await shop.order() for _ in range(8)]
        items = [begin_item(order) for order in orders]
        swapped = [begin_item(order) for order in reversed(orders)]
        both = await asyncio.gather(shop.begin(*items), shop.begin(*swapped))
        kinds = [str(outcome.kind) for outcomes in both for outcome in outcomes]
        assert kinds.count("created") == 8
    assert await shop.violations() == {}


async def test_an_unknown_outcome_stays_open_until_it_is_known(shop: Shop) -> None:
    item = begin_item(await shop.order())
    await shop.begin(item)
    await settle_payments(shop.db, [settlement(item, 1_000, status="unknown")])
    due = await payments.claim_due_attempts(
        shop.db, at=NOW + timedelta(seconds=6), until=NOW + timedelta(seconds=60), limit=5
    )
    assert [d.attempt_id for d in due] == [item.attempt_id]
    assert due[0].payment.status == "unknown"
    hidden = await payments.claim_due_attempts(
        shop.db, at=NOW + timedelta(seconds=6), until=NOW + timedelta(seconds=60), limit=5
    )
    assert hidden == []
    assert (await settle_payments(shop.db, [settlement(item, 1_000)]))[0].applied
    assert await shop.violations() == {}


async def test_a_failed_payment_gives_the_order_and_its_game_free(shop: Shop) -> None:
    order = await shop.order()
    first = begin_item(order)
    await shop.begin(first)
    await settle_payments(shop.db, [settlement(first, 1_000, status="failed")])
    [second] = await shop.begin(begin_item(order))
    assert second.kind is Begun.CREATED
    assert await shop.violations() == {}
