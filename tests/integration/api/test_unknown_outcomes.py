"""Nobody knows what the provider did: the payment says so, and is repaired by asking."""

import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api, Start

LOST_ANSWERS = ["timeout_after", "reset_after", "malformed"]
LOST_REQUESTS = ["timeout_before", "reset_before"]


@pytest.mark.impatient
@pytest.mark.parametrize("fault", [*LOST_ANSWERS, *LOST_REQUESTS])
async def test_an_unknown_charge_is_asked_for_and_made_once(
    api: Api, ada: Client, fault: str
) -> None:
    await api.simulator.fault("provider.charge", fault, times=1)
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(202).body
    assert payment["status"] == "unknown"
    assert await api.complete() == 0  # not due yet

    api.clock.forward(seconds=1)
    assert await api.complete() == 1

    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["captured"]) == ("succeeded", order["total"])
    assert len((await api.simulator.state())["charges"]) == 1
    await api.sound()


async def test_a_provider_that_fails_is_not_believed_to_have_failed_the_payment(
    api: Api, ada: Client
) -> None:
    await api.simulator.fault("provider.charge", "status", status=500, times=1)
    order = await ada.order(["game-1"])
    assert (await ada.pay(order["id"])).expect(202).body["status"] == "unknown"
    # the order is not free for another payment while this one may have taken money
    again = (await ada.pay(order["id"])).expect(409)
    assert again.body["code"] == "live_payment_exists"
    assert (await ada.call("POST", f"/v1/orders/{order['id']}/cancel")).status == 409
    await api.sound()


async def test_looks_go_on_by_schedule_until_a_person_decides(start_api: Start) -> None:
    api = await start_api(UNKNOWN_MAX_CHECKS="3", UNKNOWN_RETRY_S="1")
    await api.simulator.fault("provider.charge", "status", status=500, times=None)
    await api.simulator.fault("provider.find", "status", status=500, times=None)
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        payment = (await ada.pay(order["id"])).expect(202).body
        for wait_s in (1, 2, 4):
            api.clock.forward(seconds=wait_s * 0.5)
            assert await api.complete() == 0
            api.clock.forward(seconds=wait_s * 0.6)
            assert await api.complete() == 1
        found = await ada.read(f"/v1/payments/{payment['id']}")
        assert (found["status"], found["failure_code"]) == ("review", "outcome_unknown")
        api.clock.forward(days=1)
        assert await api.complete() == 0
    await api.sound()


async def test_an_amount_that_differs_goes_to_review(api: Api, ada: Client) -> None:
    await api.simulator.fault("provider.charge", "wrong_amount", times=1)
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(202).body
    assert (payment["status"], payment["failure_code"]) == ("review", "amount_mismatch")
    assert payment["captured"] == 0
    await api.sound()


async def test_a_provider_that_cannot_be_reached_has_surely_not_charged(
    start_api: Start,
) -> None:
    api = await start_api(SIMULATOR_URL="http://127.0.0.1:1")
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        payment = (await ada.pay(order["id"])).expect(201).body
        assert (payment["status"], payment["failure_code"]) == ("failed", "provider_unavailable")
        assert (await ada.read(f"/v1/orders/{order['id']}"))["status"] == "pending"
    await api.sound()


@pytest.mark.impatient
@pytest.mark.parametrize("fault", ["timeout_after", "timeout_before"])
async def test_an_unknown_refund_keeps_its_amount_and_is_asked_for(
    api: Api, ada: Client, fault: str
) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    await api.simulator.fault("provider.refund", fault, times=1)
    refund = (await ada.refund(payment["id"], 100)).expect(202).body
    assert refund["status"] == "unknown"
    pending = await ada.read(f"/v1/payments/{payment['id']}")
    assert (pending["refunded"], pending["refund_pending"]) == (0, 100)

    api.clock.forward(seconds=1)
    assert await api.complete() == 1

    done = await ada.read(f"/v1/payments/{payment['id']}")
    assert (done["refunded"], done["refund_pending"]) == (100, 0)
    assert len((await api.simulator.state())["refunds"]) == 1
    await api.sound()


async def test_a_refund_that_was_surely_not_sent_fails_and_frees_its_amount(
    start_api: Start,
) -> None:
    api = await start_api()
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        payment = (await ada.pay(order["id"])).expect(201).body
        cut_off = await start_api(SIMULATOR_URL="http://127.0.0.1:1")
        async with cut_off.client() as same:
            refund = (await same.refund(payment["id"])).expect(201).body
        assert (refund["status"], refund["failure_code"]) == ("failed", "provider_unavailable")
        assert (await ada.refund(payment["id"])).expect(201).body["status"] == "succeeded"
    await api.sound()
