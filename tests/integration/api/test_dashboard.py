"""What somebody does in the provider's dashboard: refunds and captures become ours."""

import asyncio
from uuid import uuid4

import pytest

from scripts.platform.client import Client
from service.providers.port import NotSentError, OutcomeUnknownError, ProviderRefund
from service.providers.simulator.adapter import SimulatorProvider
from tests.integration.api.conftest import Api
from tests.integration.api.operators import resolve
from tests.integration.api.test_reversals import bought, charge_fails
from tests.support.services import ADMIN
from tests.support.webhooks import (
    Hook,
    Json,
    charge_event,
    event_of,
    inbox,
    orphans,
    second_charge,
    status_of,
    unknown_payment,
)


async def refund_in_dashboard(
    api: Api, hook: Hook, amount: int | None = None, *, tell: bool = True
) -> Json:
    """Refund the last charge in the provider's dashboard; return the refund."""
    charge = (await api.simulator.state())["charges"][-1]
    made = await api.simulator.refund(charge["id"], amount)
    if tell:
        await hook.send(event_of(made))
        await api.process()
    return made


async def held(api: Api, ada: Client, *, pay: str = "pm_ok") -> tuple[Json, str]:
    """Return a payment that is only held, or waits for its buyer, and its charge's id."""
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], capture="manual", payment_method=pay)).expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    return payment, charge["id"]


async def test_a_full_refund_is_adopted(api: Api, ada: Client, hook: Hook) -> None:
    payment = await bought(api, ada)
    await refund_in_dashboard(api, hook)
    [found] = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    assert (found["status"], found["amount"], found["origin"]) == ("succeeded", 1499, "provider")
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 1499
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "refunded"
    await api.deliver()
    assert await api.simulator.shelf("ada") == []
    assert api.counted('refunds_adopted_total{provider="simulator"}') == 1
    assert {row["outcome"] for row in await inbox(api.context.db)} == {"settled"}
    await api.sound()


async def test_an_api_refund_sees_what_is_left(api: Api, ada: Client, hook: Hook) -> None:
    payment = await bought(api, ada)
    await refund_in_dashboard(api, hook, 100)
    refund = (await ada.refund(payment["id"])).expect(201).body
    assert (refund["status"], refund["amount"], refund["origin"]) == ("succeeded", 1399, "api")
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "refunded"
    await api.deliver()
    assert await api.simulator.shelf("ada") == []
    await api.sound()


async def test_a_foreign_refund_that_is_the_last_revokes_the_game(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    (await ada.refund(payment["id"], amount=1000)).expect(201)
    await refund_in_dashboard(api, hook, 300)
    assert len(await api.simulator.shelf("ada")) == 1
    await refund_in_dashboard(api, hook, 199)
    await api.deliver()
    assert await api.simulator.shelf("ada") == []
    await api.sound()


async def test_any_event_of_the_charge_brings_all_of_its_refunds(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    await refund_in_dashboard(api, hook, 100, tell=False)
    await refund_in_dashboard(api, hook, 200)
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 300
    await api.sound()


async def test_twenty_deliveries_adopt_a_refund_once(api: Api, ada: Client, hook: Hook) -> None:
    payment = await bought(api, ada)
    made = await refund_in_dashboard(api, hook, 100, tell=False)
    await asyncio.gather(*(hook.send(event_of(made)) for _ in range(20)))
    await asyncio.gather(*(api.process() for _ in range(10)))
    for _ in range(4):
        api.clock.forward(seconds=60)
        await api.process()
    found = await ada.read(f"/v1/payments/{payment['id']}/refunds")
    assert [each["amount"] for each in found["items"]] == [100]
    assert {row["status"] for row in await inbox(api.context.db)} == {"processed"}
    await api.sound()


async def test_a_foreign_refund_waits_for_room_that_a_refund_of_ours_holds(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    await api.simulator.fault("provider.refund", "hold_before")
    ours = asyncio.create_task(ada.refund(payment["id"]))
    await api.simulator.until_held("provider.refund")
    await refund_in_dashboard(api, hook, 100)
    [row] = await inbox(api.context.db)
    assert row["status"] == "pending"
    await api.simulator.clear_faults()
    await api.simulator.release()
    assert (await ours).expect(201).body["status"] == "failed"  # the provider has 1399 left
    api.clock.forward(seconds=10)
    await api.process()
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 100
    await api.sound()


async def test_a_dashboard_refund_that_is_rejected_later_is_reversed(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    made = await refund_in_dashboard(api, hook)
    await hook.send(event_of(await api.simulator.fail_refund(made["id"])))
    await api.process()
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 0
    await api.sound()


async def test_a_refund_in_place_of_one_that_came_back_is_adopted(
    api: Api, ada: Client, hook: Hook
) -> None:
    """Both happen before we hear of either: the newer has no room before the older is reversed."""
    payment = await bought(api, ada)
    first = await refund_in_dashboard(api, hook)
    came_back = await api.simulator.fail_refund(first["id"])
    second = await refund_in_dashboard(api, hook, 100, tell=False)
    await hook.send(event_of(second))
    await hook.send(event_of(came_back))
    await api.process()
    assert {row["status"] for row in await inbox(api.context.db)} == {"processed"}
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 100
    await api.sound()


@pytest.mark.parametrize("amount", [700, None])
async def test_a_capture_in_the_dashboard_is_booked(
    api: Api, ada: Client, hook: Hook, amount: int | None
) -> None:
    payment, charge = await held(api, ada)
    await api.simulator.capture(charge, amount)
    await hook.send(await charge_event(api.simulator))
    await api.process()
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["captured"]) == ("succeeded", amount or 1499)
    assert await api.deliver() == 1
    await api.sound()


async def test_a_part_is_captured_and_refunded(api: Api, ada: Client) -> None:
    payment, _ = await held(api, ada)
    path, key = f"/v1/payments/{payment['id']}/capture", str(uuid4())
    too_much = await ada.call("POST", path, json={"amount": 1500}, key=str(uuid4()))
    assert (too_much.status, too_much.body["code"]) == (409, "capture_exceeds_authorized")
    captured = (await ada.call("POST", path, json={"amount": 700}, key=key)).expect(200)
    assert (captured.body["status"], captured.body["captured"]) == ("succeeded", 700)
    assert (await ada.call("POST", path, json={"amount": 700}, key=key)).expect(200).replayed
    assert (await ada.call("POST", path, json={"amount": 701}, key=key)).status == 422
    [charge] = (await api.simulator.state())["charges"]
    assert charge["amount_captured"] == 700
    refund = (await ada.refund(payment["id"])).expect(201).body
    assert (refund["status"], refund["amount"]) == ("succeeded", 700)
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "refunded"
    await api.sound()


@pytest.mark.impatient
@pytest.mark.parametrize("fault", ["timeout_after", "timeout_before"])
async def test_a_partial_capture_that_nobody_knew_of_keeps_its_amount(
    api: Api, ada: Client, fault: str
) -> None:
    payment, _ = await held(api, ada)
    await api.simulator.fault("provider.capture", fault, times=1)
    path = f"/v1/payments/{payment['id']}/capture"
    (await ada.call("POST", path, json={"amount": 700}, key=str(uuid4()))).expect(202)
    api.clock.forward(seconds=1)
    assert await api.complete() == 1
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["captured"]) == ("succeeded", 700)
    await api.sound()


@pytest.mark.parametrize("paid", ["before", "at_once"])
async def test_what_is_paid_while_it_is_given_up_is_booked(
    api: Api, ada: Client, paid: str
) -> None:
    """The buyer pays as the order runs out, and the webhook is lost: no person is needed."""
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    if paid == "before":
        await api.simulator.complete(charge["id"])
    else:
        await api.simulator.fault("provider.cancel", "hold_before", times=1)
    api.clock.forward(seconds=3600)
    await api.expire()
    completed = asyncio.create_task(api.complete())
    if paid == "at_once":
        await api.simulator.until_held("provider.cancel")
        await api.simulator.complete(charge["id"])
        await api.simulator.release()
    await completed
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["captured"]) == ("succeeded", 1499)
    await api.deliver()
    assert (await ada.read(f"/v1/orders/{order['id']}"))["status"] == "fulfilled"
    await api.sound()


async def test_a_cancellation_that_comes_after_a_capture_books_it(api: Api, ada: Client) -> None:
    payment, charge = await held(api, ada)
    await api.simulator.capture(charge)
    canceled = await ada.call("POST", f"/v1/payments/{payment['id']}/cancel", key=str(uuid4()))
    assert canceled.expect(200).body["status"] == "succeeded"
    await api.sound()


async def test_a_hold_that_was_captured_and_failed_before_we_heard_is_given_up(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment, charge = await held(api, ada)
    await api.simulator.capture(charge)
    await charge_fails(api, hook)
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "canceled"
    assert (await ada.pay(payment["order_id"])).expect(201).body["status"] == "succeeded"
    await api.sound()


@pytest.mark.parametrize("heard_of", ["event", "refund", "capture", "cancel", "expiry"])
async def test_a_hold_that_was_refunded_and_failed_before_we_heard_is_for_a_person(
    api: Api, ada: Client, hook: Hook, heard_of: str
) -> None:
    """The provider gave away what it never got: no book of ours may look as if nothing was."""
    payment, charge = await held(api, ada)
    await api.simulator.capture(charge)
    refund = await refund_in_dashboard(api, hook, 200, tell=False)
    await api.simulator.fail_charge(charge)
    match heard_of:
        case "event" | "refund":
            charged = await charge_event(api.simulator)
            await hook.send(charged if heard_of == "event" else event_of(refund))
            await api.process()
            assert [row["status"] for row in await inbox(api.context.db)] == ["processed"]
        case "expiry":
            api.clock.forward(days=8)
            await api.expire()
            await api.complete()
        case operation:
            path = f"/v1/payments/{payment['id']}/{operation}"
            (await ada.call("POST", path, key=str(uuid4()))).expect(202)
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["failure_code"]) == ("review", "refunded_and_failed")
    async with api.client("olga", ADMIN) as operator:
        refused = await resolve(operator, "payment", payment["id"], "succeeded")
        assert refused.expect(422).body["errors"][0]["field"] == "$.outcome"
        (await resolve(operator, "payment", payment["id"], "failed")).expect(200)
    await api.sound()


@pytest.mark.parametrize("error", [NotSentError("too busy"), OutcomeUnknownError("no answer")])
@pytest.mark.parametrize("heard_of", ["event", "capture", "lost_charge"])
async def test_a_failed_charge_is_not_settled_before_its_refunds_are_known(
    api: Api,
    ada: Client,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
    heard_of: str,
    error: Exception,
) -> None:
    """A charge that was never held takes the same way: its answer was lost, and it was captured."""
    asked = 0
    listed = SimulatorProvider.list_refunds

    async def fail_once(self: SimulatorProvider, charge_ref: str) -> list[ProviderRefund]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise error
        return await listed(self, charge_ref)

    if heard_of == "lost_charge":
        payment = await unknown_payment(api.simulator, ada)
        [charge] = [each["id"] for each in (await api.simulator.state())["charges"]]
    else:
        payment, charge = await held(api, ada)
        await api.simulator.capture(charge)
    await refund_in_dashboard(api, hook, 200, tell=False)
    await api.simulator.fail_charge(charge)
    monkeypatch.setattr(SimulatorProvider, "list_refunds", fail_once)
    match heard_of:
        case "event":
            await hook.send(await charge_event(api.simulator))
            await api.process()
        case "capture":
            path = f"/v1/payments/{payment['id']}/capture"
            (await ada.call("POST", path, key=str(uuid4()))).expect(202)
        case _:
            api.clock.forward(seconds=10)
            await api.complete()
    assert asked == 1
    assert (await status_of(ada, payment)) in ("authorized", "unknown")
    api.clock.forward(seconds=100)
    await api.complete()
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["failure_code"]) == ("review", "refunded_and_failed")
    await api.sound()


async def test_an_event_that_no_worker_saw_for_a_week_is_not_parked_at_first_sight(
    api: Api, ada: Client, hook: Hook
) -> None:
    """The provider does not answer just then: it is the first of many looks, and not the last."""
    payment, charge = await held(api, ada)
    await api.simulator.capture(charge)
    made = await refund_in_dashboard(api, hook, 200, tell=False)
    await hook.send(event_of(made))
    api.clock.forward(days=8)
    await api.expire()
    await api.simulator.fault("provider.find", "status", status=500, times=None)
    await api.process()
    await api.simulator.clear_faults()
    assert [row["status"] for row in await inbox(api.context.db)] == ["pending"]
    await api.complete()
    api.clock.forward(seconds=10)
    await api.process()
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["refunded"]) == ("succeeded", 200)
    await api.sound()


@pytest.mark.parametrize("action", ["capture", "cancel"])
async def test_an_operation_on_a_hold_that_has_failed_ends_it(
    api: Api, ada: Client, action: str
) -> None:
    payment, charge = await held(api, ada)
    await api.simulator.capture(charge)
    await api.simulator.fail_charge(charge)
    path = f"/v1/payments/{payment['id']}/{action}"
    ended = (await ada.call("POST", path, key=str(uuid4()))).expect(200).body
    assert (ended["status"], ended["captured"]) == ("canceled", 0)
    await api.sound()


async def test_a_buyer_who_failed_at_the_bank_lets_the_payment_expire(
    api: Api, ada: Client
) -> None:
    """The provider refuses to cancel what has failed: nothing is held, and no person is needed."""
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], "declined")
    api.clock.forward(seconds=3600)
    await api.expire()
    await api.complete()
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "expired"
    await api.sound()


@pytest.mark.parametrize("amount", [200, None])
async def test_a_refund_tells_of_a_capture_that_nobody_has_heard_of(
    api: Api, ada: Client, hook: Hook, amount: int | None
) -> None:
    payment, charge = await held(api, ada)
    await api.simulator.capture(charge)
    await refund_in_dashboard(api, hook, amount)
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["captured"], found["refunded"]) == (1499, amount or 1499)
    await api.deliver()
    await api.sound()


@pytest.mark.parametrize("first", ["charge", "refund"])
async def test_a_second_charge_that_was_refunded_in_the_dashboard_is_given_back(
    api: Api, ada: Client, hook: Hook, first: str
) -> None:
    payment = await bought(api, ada)
    other = await second_charge(api.simulator, payment)
    made = await api.simulator.refund(other["id"])
    events = [await charge_event(api.simulator), event_of(made)]
    for event in events if first == "charge" else reversed(events):
        await hook.send(event)
        await api.process()
    api.clock.forward(seconds=60)
    await api.process()
    [orphan] = await orphans(api.context.db)
    assert (orphan["status"], orphan["refund_ref"]) == ("refunded", made["id"])
    assert {row["status"] for row in await inbox(api.context.db)} == {"processed"}
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 0
    await hook.send(event_of(await api.simulator.fail_refund(made["id"])))
    await api.process()
    [orphan] = await orphans(api.context.db)
    assert orphan["status"] == "review"
    await api.sound()


@pytest.mark.parametrize("amount", [700, None])
async def test_a_capture_before_we_heard_of_the_hold_is_booked(
    api: Api, ada: Client, hook: Hook, amount: int | None
) -> None:
    """The buyer confirms at the bank, and the dashboard captures before any event has come."""
    payment, charge = await held(api, ada, pay="pm_requires_action")
    await api.simulator.complete(charge)
    await api.simulator.capture(charge, amount)
    await hook.send(await charge_event(api.simulator))
    await api.process()
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["captured"]) == ("succeeded", amount or 1499)
    await api.sound()
