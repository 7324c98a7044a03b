"""What webhooks bring about: recorded once whoever else is at it, and money for nothing undone."""

import asyncio
import json
from uuid import uuid4

import aiohttp
import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api, Start
from tests.support.services import ADMIN
from tests.support.webhooks import (
    SECRET,
    Hook,
    at_provider,
    charge_event,
    event_of,
    inbox,
    orphans,
    second_charge,
    status_of,
    unknown_payment,
)


async def test_a_buyer_who_acts_at_the_provider_gets_the_game(api: Api, ada: Client) -> None:
    await api.simulator.send_webhooks(f"{api.url}/v1/webhooks/simulator", SECRET)
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    await api.simulator.until("webhooks", 1)
    await api.process()
    assert await status_of(ada, payment) == "requires_action"

    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"])
    await api.simulator.until("webhooks", 2)
    assert await api.process() == 1
    assert await status_of(ada, payment) == "succeeded"
    events = (await ada.read(f"/v1/payments/{payment['id']}/timeline"))["items"]
    assert [event["event"] for event in events] == [
        "payment_created",
        "payment_requires_action",
        "payment_processing",
        "payment_succeeded",
    ]
    assert await api.deliver() == 1
    await api.sound()


@pytest.mark.parametrize(
    ("capture", "outcome", "end"),
    [
        ("automatic", "declined", "failed"),
        ("automatic", "canceled", "canceled"),
        ("manual", "succeeded", "authorized"),
    ],
)
async def test_other_ends_of_an_action(
    api: Api, ada: Client, hook: Hook, capture: str, outcome: str, end: str
) -> None:
    order = await ada.order(["game-1"])
    paying = await ada.pay(order["id"], payment_method="pm_requires_action", capture=capture)
    payment = paying.expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], outcome)
    await hook.send(await charge_event(api.simulator))
    await api.process()
    assert await status_of(ada, payment) == end
    await api.sound()


async def test_a_crash_after_the_action_is_taken_up_by_the_completer(
    api: Api, ada: Client, hook: Hook
) -> None:
    """The attempt is there, and the process dies before it records it."""
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"])
    await hook.send(await charge_event(api.simulator))
    submit = api.context.record_outcomes.submit

    async def die(_: object) -> None:
        raise asyncio.CancelledError

    api.context.record_outcomes.submit = die  # type: ignore[method-assign, assignment]
    with pytest.raises(asyncio.CancelledError):
        await api.process()
    api.context.record_outcomes.submit = submit  # type: ignore[method-assign]
    assert await status_of(ada, payment) == "processing"

    api.clock.forward(minutes=5)
    assert await api.complete() == 1
    assert await status_of(ada, payment) == "succeeded"
    assert await api.process() == 1  # the event is due again, and finds nothing to do
    assert [row["outcome"] for row in await inbox(api.context.db)] == ["no_news"]
    await api.sound()


async def test_a_crash_in_the_middle_of_the_work_loses_nothing(start_api: Start) -> None:
    api = await start_api(PROVIDER_TIMEOUT_S="10")  # it dies first, however slow the machine
    async with api.client() as ada, aiohttp.ClientSession() as session:
        payment = await unknown_payment(api.simulator, ada)
        await Hook(api.url, session).send(await charge_event(api.simulator))
        await api.simulator.fault("provider.find", "hold_before")
        working = asyncio.create_task(api.process())
        await api.simulator.until_held("provider.find")
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert await status_of(ada, payment) == "unknown"
        assert await api.process() == 0  # the dead worker's lease still runs
        api.clock.forward(minutes=4)
        assert await api.process() == 1
        assert await status_of(ada, payment) == "succeeded"
    await api.sound()


@pytest.mark.impatient
async def test_a_silent_provider_is_asked_again(api: Api, ada: Client, hook: Hook) -> None:
    payment = await unknown_payment(api.simulator, ada)
    await hook.send(await charge_event(api.simulator))
    await api.simulator.fault("provider.find", "timeout_before", times=1)
    assert await api.process() == 1
    assert await status_of(ada, payment) == "unknown"
    api.clock.forward(seconds=5)
    assert await api.process() == 1
    assert await status_of(ada, payment) == "succeeded"
    await api.sound()


async def test_an_event_that_comes_before_its_payment_waits_for_it(
    api: Api, ada: Client, hook: Hook
) -> None:
    """The charge is known here only by an id that no payment has yet."""
    payment = await unknown_payment(api.simulator, ada)
    event = await charge_event(api.simulator)
    stranger = json.loads(json.dumps(event))
    stranger["data"]["object"] |= {"reference": str(uuid4()), "idempotency_key": str(uuid4())}
    await hook.send(stranger)
    await api.process()
    [row] = await inbox(api.context.db)
    assert (row["status"], row["last_error"]) == ("pending", "no payment of ours")
    api.clock.forward(seconds=1)
    assert await api.complete() == 1  # now the payment knows the name of its charge
    api.clock.forward(seconds=5)
    assert await api.process() == 1
    assert [row["outcome"] for row in await inbox(api.context.db)] == ["no_news"]
    assert await status_of(ada, payment) == "succeeded"


async def test_an_event_without_a_payment_is_left_to_people_after_days(
    api: Api, hook: Hook
) -> None:
    record = {"id": "ch_x", "object": "charge", "status": "succeeded"}
    await hook.send(event_of(record | {"reference": str(uuid4())}))  # it says that it is ours
    looks = 0
    for _ in range(200):
        looks += await api.process()
        api.clock.forward(hours=1)
    assert 15 < looks < 40  # seconds apart at first, hours at last
    async with api.client("auditor", ADMIN) as auditor:
        [parked] = (await auditor.read("/v1/admin/webhooks/parked"))["items"]
    assert (parked["charge_ref"], parked["last_error"]) == ("ch_x", "no payment of ours")


async def test_parked_events_are_for_operators(ada: Client) -> None:
    for path in ("/v1/admin/webhooks/parked", "/v1/admin/orphan-captures"):
        assert (await ada.call("GET", path)).status == 403


async def test_late_money_for_a_canceled_payment_is_given_back(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    (await ada.cancel(payment["id"])).expect(200)
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], late=True)
    await hook.send(await charge_event(api.simulator))
    await api.process()

    assert await status_of(ada, payment) == "canceled"  # never flipped
    [orphan] = await orphans(api.context.db)
    assert (orphan["status"], orphan["amount_minor"]) == ("refunded", order["total"])
    [refund] = (await api.simulator.state())["refunds"]
    assert (refund["idempotency_key"], refund["amount"]) == (orphan["id"], order["total"])
    events = (await ada.read(f"/v1/payments/{payment['id']}/timeline"))["items"]
    assert [event["event"] for event in events][-2:] == [
        "orphan_capture_recorded",
        "orphan_capture_refunded",
    ]
    assert (await ada.pay(order["id"])).expect(201).body["status"] == "succeeded"
    await api.sound()


@pytest.mark.parametrize("when", ["after", "before"])
async def test_a_second_charge_of_one_payment_is_given_back(
    api: Api, ada: Client, hook: Hook, when: str
) -> None:
    """Also if its event comes before the payment knows its own charge."""
    if when == "after":
        payment = (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201).body
    else:
        payment = await unknown_payment(api.simulator, ada)
    second = await second_charge(api.simulator, payment)
    await hook.send(event_of(second))
    await api.process()
    if when == "before":
        assert await status_of(ada, payment) == "unknown"  # another charge changes nothing
        api.clock.forward(seconds=3)
        assert await api.complete() == 1
        assert await api.process() > 0
    assert await status_of(ada, payment) == "succeeded"
    [orphan] = await orphans(api.context.db)
    assert (orphan["provider_ref"], orphan["status"]) == (second["id"], "refunded")
    charges = (await api.simulator.state())["charges"]
    assert [charge["amount_refunded"] for charge in charges] == [0, payment["amount"]]
    await api.sound()


@pytest.mark.impatient
@pytest.mark.parametrize("fault", ["timeout_after", "reset_after", "timeout_before"])
async def test_an_orphan_is_refunded_once_whatever_happens(
    api: Api, ada: Client, hook: Hook, fault: str
) -> None:
    order = await ada.order(["game-1"])
    (await ada.pay(order["id"], payment_method="pm_declined")).expect(201)
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], late=True)
    event = await charge_event(api.simulator)
    await asyncio.gather(*(hook.send(event | {"id": f"evt_{n}"}) for n in range(5)))
    await api.simulator.fault("provider.refund", fault, times=1)
    for _ in range(6):
        await asyncio.gather(api.process(), api.process())
        api.clock.forward(minutes=1)
    [orphan] = await orphans(api.context.db)
    assert orphan["status"] == "refunded"
    assert len((await api.simulator.state())["refunds"]) == 1
    await api.sound()


async def test_an_orphan_that_cannot_be_refunded_is_left_to_people(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    (await ada.pay(order["id"], payment_method="pm_declined")).expect(201)
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], late=True)
    await api.simulator.fault("provider.refund", "status", status=400, times=None)
    await hook.send(await charge_event(api.simulator))
    await api.process()
    [orphan] = await orphans(api.context.db)
    assert (orphan["status"], orphan["last_error"]) == ("review", "scripted_fault")
    async with api.client("auditor", ADMIN) as auditor:
        [shown] = (await auditor.read("/v1/admin/orphan-captures"))["items"]
    assert (shown["id"], shown["status"], shown["amount"]) == (
        orphan["id"],
        "review",
        order["total"],
    )
    await api.sound()


async def test_a_hold_for_a_closed_payment_is_released(api: Api, ada: Client, hook: Hook) -> None:
    order = await ada.order(["game-1"])
    paying = await ada.pay(order["id"], payment_method="pm_declined", capture="manual")
    payment = paying.expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], late=True)
    await hook.send(await charge_event(api.simulator))
    await api.process()
    assert [c["status"] for c in (await api.simulator.state())["charges"]] == ["canceled"]
    assert await status_of(ada, payment) == "failed"
    assert await orphans(api.context.db) == []


async def test_an_authorization_that_the_provider_gives_up_frees_the_order(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], capture="manual")).expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], "canceled", late=True)
    await hook.send(await charge_event(api.simulator))
    await api.process()
    assert await status_of(ada, payment) == "canceled"
    assert (await ada.pay(order["id"])).expect(201).body["status"] == "succeeded"
    await api.sound()


async def test_a_capture_that_nobody_asked_for_is_booked(api: Api, ada: Client, hook: Hook) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], capture="manual")).expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    await at_provider(api.simulator, f"/{charge['id']}/capture", {})
    await hook.send(await charge_event(api.simulator))
    await api.process()
    assert await status_of(ada, payment) == "succeeded"
    await api.sound()


async def test_a_refund_event_ends_an_unknown_refund(api: Api, ada: Client, hook: Hook) -> None:
    payment = (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201).body
    await api.simulator.fault("provider.refund", "reset_after")
    refund = (await ada.refund(payment["id"], 100)).expect(202).body
    assert refund["status"] == "unknown"
    [made] = (await api.simulator.state())["refunds"]
    for number in range(3):
        await hook.send(event_of(made, id=f"evt_{number}"))
    await asyncio.gather(api.process(), api.process())
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["refunded"], found["refund_pending"]) == (100, 0)
    await api.sound()


async def test_a_webhook_before_the_answer_and_the_request_record_once(
    api: Api, ada: Client
) -> None:
    """The provider's event is processed while the request still waits for the provider."""
    await api.simulator.send_webhooks(f"{api.url}/v1/webhooks/simulator", SECRET)
    await api.simulator.fault("provider.webhook", "before_answer")
    await api.simulator.fault("provider.charge", "hold_after")
    order = await ada.order(["game-1"])
    paying = asyncio.create_task(ada.pay(order["id"]))
    await api.simulator.until_held("provider.charge")
    assert await api.process() == 1
    found = (await ada.read(f"/v1/payments?order_id={order['id']}"))["items"]
    assert [payment["status"] for payment in found] == ["succeeded"]
    await api.simulator.release()
    answer = (await paying).expect(201)
    assert answer.body["status"] == "succeeded"
    assert await api.context.db.fetch("SELECT count(*) FROM ledger_transactions") == [(1,)]
    await api.sound()


@pytest.mark.parametrize("fault", ["duplicate", "reorder", "delay", "drop", "wrong_signature"])
async def test_whatever_the_provider_does_to_its_webhooks(
    api: Api, ada: Client, fault: str
) -> None:
    await api.simulator.send_webhooks(f"{api.url}/v1/webhooks/simulator", SECRET)
    await api.simulator.fault("provider.webhook", fault, times=1)
    await api.simulator.fault("provider.charge", "reset_after")
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(202).body
    if fault in ("drop", "wrong_signature"):
        api.clock.forward(seconds=1)
        assert await api.complete() == 1  # without webhooks the completer finds out
    else:
        await api.simulator.until("webhooks", 2 if fault == "duplicate" else 1)
        assert await api.process() == 1
    assert await status_of(ada, payment) == "succeeded"
    await api.sound()
