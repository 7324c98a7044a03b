"""Authorized first: captured, given up, or expired, each exactly once."""

import asyncio
from uuid import uuid4

import pytest

from scripts.platform.client import Client, Reply
from tests.integration.api.conftest import Api, Start


async def held(ada: Client, game: str = "game-1") -> dict[str, str]:
    """Return an authorized payment."""
    order = await ada.order([game])
    payment = (await ada.pay(order["id"], capture="manual")).expect(201).body
    assert (payment["status"], payment["captured"]) == ("authorized", 0)
    return payment


async def act(ada: Client, payment_id: str, action: str, key: str | None = None) -> Reply:
    """Capture or cancel."""
    path = f"/v1/payments/{payment_id}/{action}"
    return await ada.call("POST", path, key=key or str(uuid4()))


async def test_a_captured_payment_is_booked_and_granted(api: Api, ada: Client) -> None:
    payment = await held(ada)
    assert await api.deliver() == 0  # nothing is granted for a promise
    key = str(uuid4())
    captured = (await act(ada, payment["id"], "capture", key)).expect(200)
    assert captured.body["status"] == "succeeded"
    again = (await act(ada, payment["id"], "capture", key)).expect(200)
    assert again.replayed
    assert again.body == captured.body
    assert await api.deliver() == 1
    assert len(await api.simulator.shelf("ada")) == 1
    await api.sound()


async def test_a_canceled_payment_gives_the_order_free(api: Api, ada: Client) -> None:
    payment = await held(ada)
    assert (await act(ada, payment["id"], "cancel")).expect(200).body["status"] == "canceled"
    [charge] = (await api.simulator.state())["charges"]
    assert charge["status"] == "canceled"
    assert (await ada.pay(payment["order_id"])).expect(201).body["status"] == "succeeded"
    await api.sound()


async def test_capture_and_cancel_race_for_one_payment(api: Api, ada: Client) -> None:
    payment = await held(ada)
    replies = await asyncio.gather(
        *(act(ada, payment["id"], action) for action in ["capture", "cancel"] * 6)
    )
    assert sorted(reply.status for reply in replies) == [200] + [409] * 11
    assert {r.body["code"] for r in replies if r.status == 409} == {"illegal_transition"}
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert found["status"] in {"succeeded", "canceled"}
    await api.sound()


@pytest.mark.impatient
@pytest.mark.parametrize(
    ("action", "fault", "end"),
    [
        ("capture", "timeout_after", "succeeded"),
        ("capture", "timeout_before", "succeeded"),
        ("cancel", "timeout_after", "canceled"),
        ("cancel", "timeout_before", "canceled"),
    ],
)
async def test_an_unknown_operation_leaves_the_payment_held_until_it_is_known(
    api: Api, ada: Client, action: str, fault: str, end: str
) -> None:
    payment = await held(ada)
    await api.simulator.fault(f"provider.{action}", fault, times=1)
    pending = (await act(ada, payment["id"], action)).expect(202).body
    assert pending["status"] == "authorized"
    assert (await act(ada, payment["id"], "capture")).status == 409  # one thing at a time
    api.clock.forward(seconds=1)
    assert await api.complete() == 1
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == end
    await api.sound()


async def test_a_refused_capture_leaves_the_payment_held(api: Api, ada: Client) -> None:
    payment = await held(ada)
    await api.simulator.fault("provider.capture", "status", status=409, times=1)
    refused = (await act(ada, payment["id"], "capture")).expect(200).body
    assert refused["status"] == "authorized"
    assert refused["failure_code"]
    assert (await act(ada, payment["id"], "capture")).expect(200).body["status"] == "succeeded"
    await api.sound()


async def test_an_operation_that_was_surely_not_sent_may_be_sent_again_under_its_key(
    start_api: Start,
) -> None:
    api = await start_api()
    cut_off = await start_api(SIMULATOR_URL="http://127.0.0.1:1")
    key = str(uuid4())
    async with api.client() as ada, cut_off.client() as same:
        payment = await held(ada)
        refused = await act(same, payment["id"], "capture", key)
        assert (refused.status, refused.body["code"]) == (503, "provider_unavailable")
        assert (await act(ada, payment["id"], "capture", key)).expect(200).body[
            "status"
        ] == "succeeded"
    await api.sound()


async def test_a_payment_that_nobody_captures_expires(api: Api, ada: Client) -> None:
    payment = await held(ada)
    assert await api.expire() == 0
    api.clock.forward(days=7)
    assert await api.expire() > 0
    assert await api.expire() == 0
    assert await api.complete() == 1
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "expired"
    [charge] = (await api.simulator.state())["charges"]
    assert charge["status"] == "canceled"
    await api.expire()
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "expired"
    await api.sound()


async def test_only_a_held_payment_is_captured(api: Api, ada: Client) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    for action in ("capture", "cancel"):
        refused = (await act(ada, payment["id"], action)).expect(409)
        assert refused.body["code"] == "illegal_transition"
    async with api.client("mallory") as mallory:
        assert (await act(mallory, payment["id"], "cancel")).status == 404
