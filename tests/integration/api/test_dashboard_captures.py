"""Captures in the provider's dashboard, and holds that end in other ways, become ours."""

import asyncio
from uuid import uuid4

import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api
from tests.integration.api.dashboard import held
from tests.integration.api.test_reversals import charge_fails
from tests.support.webhooks import (
    Hook,
    charge_event,
)


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
