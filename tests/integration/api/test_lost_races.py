"""Who loses a race and then its answer, its process or its clock: charged for nothing, never."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from scripts.platform.client import Client
from service.domain.money import Money
from service.domain.payment import decide_charge
from service.ids import new_id
from service.providers.port import OutcomeUnknownError
from service.providers.stripe import mapping as stripe_mapping
from service.store import payments
from service.store.begin_payments import BeginPayment, begin_payments
from service.store.idempotency import Begun
from service.store.payments import Attempt
from service.usecases.attempts import fail_unsent
from service.usecases.context import Context
from tests.integration.api.conftest import Api
from tests.support.waiting import eventually

WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


def item(ctx: Context, order_id: str) -> BeginPayment:
    """Return a payment of ada's order as a request begins it."""
    now = ctx.now()
    return BeginPayment(
        payment_id=new_id(),
        attempt_id=new_id(),
        caller="ada",
        key=uuid4().hex,
        fingerprint="00",
        order_id=UUID(order_id),
        provider="simulator",
        capture_method="automatic",
        payment_method="pm_ok",
        correlation_id="c1",
        at=now,
        locked_until=now + timedelta(seconds=30),
    )


async def until_waiting(ctx: Context, count: int) -> None:
    """Wait until so many statements wait for a lock."""
    await eventually(lambda: ctx.db.fetch(WAITING), lambda rows: rows[0][0] >= count)


async def two_for_one_game(api: Api, ada: Client) -> list[BeginPayment]:
    """Begin payments of two orders with the same game in one batch; the second has lost."""
    orders = [await ada.order(["game-1"]) for _ in range(2)]
    items = [item(api.context, order["id"]) for order in orders]
    outcomes = await begin_payments(api.context.db, items)
    assert sorted(outcome.kind for outcome in outcomes) == [Begun.CREATED, Begun.LOST_GAME]
    return items


async def test_a_crash_after_losing_the_game_charges_nobody_for_it(api: Api, ada: Client) -> None:
    await two_for_one_game(api, ada)
    api.clock.forward(seconds=60)
    await api.complete()
    await api.deliver()
    rows = await api.context.db.fetch("SELECT status, failure_code FROM payments ORDER BY status")
    assert rows == [("failed", "already_owned"), ("succeeded", None)]
    assert len((await api.simulator.state())["charges"]) == 1
    await api.sound()


async def test_a_repeated_statement_remembers_who_lost_the_game(api: Api, ada: Client) -> None:
    items = await two_for_one_game(api, ada)
    again = await begin_payments(api.context.db, items)
    assert sorted(outcome.kind for outcome in again) == [Begun.CREATED, Begun.LOST_GAME]


async def test_a_repeated_statement_remembers_who_lost_the_order(api: Api, ada: Client) -> None:
    order, ctx = await ada.order(["game-1"]), api.context
    first, second = item(ctx, order["id"]), item(ctx, order["id"])
    async with ctx.db.transaction() as transaction:
        payload = msgspec.json.encode([first]).decode()
        await transaction.fetch("EXECUTE begin_payments(%s)", (payload,))
        losing = asyncio.create_task(begin_payments(ctx.db, [second]))
        await until_waiting(ctx, 1)
    assert [outcome.kind for outcome in await losing] == [Begun.LOST_ORDER]
    again = await begin_payments(ctx.db, [second])
    assert [outcome.kind for outcome in again] == [Begun.LOST_ORDER]


async def test_a_refund_sent_twice_at_once_is_not_told_that_too_little_is_left(
    api: Api, ada: Client
) -> None:
    order, ctx = await ada.order(["game-1"]), api.context
    payment = (await ada.pay(order["id"])).expect(201).body
    key = str(uuid4())
    async with ctx.db.transaction() as transaction:
        await transaction.fetch("SELECT 1 FROM payments FOR UPDATE")
        refunds = [asyncio.create_task(ada.refund(payment["id"], key=key)) for _ in range(2)]
        await until_waiting(ctx, 2)
    replies = await asyncio.gather(*refunds)
    codes = {reply.body["code"] for reply in replies if reply.status == 409}
    assert codes <= {"idempotency_key_in_flight"}
    assert 201 in {reply.status for reply in replies}
    await api.sound()


async def test_a_success_that_comes_second_is_given_back(api: Api, ada: Client) -> None:
    """A worker repeats a charge while its request, whose clock is behind, fails it as unsent."""
    order, ctx = await ada.order(["game-1"]), api.context
    begun = item(ctx, order["id"])
    await ctx.begin_payments.submit(begun)
    payment = await payments.get_payment(ctx.db, begun.payment_id)
    assert payment is not None
    await api.simulator.fault("provider.charge", "hold_after", times=1)
    api.clock.forward(seconds=31)
    worker = asyncio.create_task(api.complete())
    await api.simulator.until_held("provider.charge")
    await fail_unsent(ctx, Attempt(begun.attempt_id, "charge", payment), "provider_unavailable")
    await api.simulator.release()
    await worker
    orphans = await ctx.db.fetch("SELECT payment_id FROM orphan_captures")
    assert orphans == [(begun.payment_id,)]
    await api.sound()


async def test_a_refused_capture_does_not_put_the_expiry_off(api: Api, ada: Client) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], capture="manual")).expect(201).body
    api.clock.forward(days=5)
    await api.simulator.fault("provider.capture", "status", status=400, times=1)
    await ada.call("POST", f"/v1/payments/{payment['id']}/capture", key=str(uuid4()))
    api.clock.forward(days=2)
    await api.expire()
    await api.complete()
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "expired"


async def test_a_refused_expiry_is_for_a_person(api: Api, ada: Client) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], capture="manual")).expect(201).body
    await api.simulator.fault("provider.cancel", "status", status=400, times=None)
    api.clock.forward(days=7)
    await api.expire()
    await api.complete()
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "review"


async def test_a_buyer_who_leaves_in_the_middle_can_buy_the_game_later(
    api: Api, ada: Client
) -> None:
    order = await ada.order(["game-1"])
    left = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    assert left["status"] == "requires_action"
    api.clock.forward(hours=1)
    await api.expire()
    await api.complete()
    again = await ada.order(["game-1"])
    assert (await ada.pay(again["id"])).expect(201).body["status"] == "succeeded"
    await api.sound()


def test_an_intent_that_is_not_confirmed_yet_is_not_declined() -> None:
    intent = stripe_mapping.Intent(
        id="pi_1",
        status="requires_payment_method",
        amount=1_000,
        amount_received=0,
        currency="eur",
        created=1,
    )
    with pytest.raises(OutcomeUnknownError):
        decide_charge(stripe_mapping.charge_of(intent), Money(1_000, "EUR"), "automatic")
