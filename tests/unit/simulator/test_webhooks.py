"""The provider sends every change: signed, at least once, and with scripted faults."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from simulator.client import Control, ControlError
from tests.unit.simulator.conftest import Caller

SECRET = "a secret that the receiver knows"
Body = dict[str, Any]


@dataclass
class Receiver:
    """Takes deliveries; answers with the statuses in `answers`, and then with 200."""

    answers: list[int] = field(default_factory=list)
    taken: list[tuple[str, Body, bool]] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        at, _, given = request.headers["Stripe-Signature"].partition(",v1=")
        signed = at.removeprefix("t=").encode() + b"." + raw
        genuine = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest() == given
        event = json.loads(raw)
        async with self.arrived:
            self.taken.append((event["type"], event, genuine))
            self.arrived.notify_all()
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    async def until(self, count: int) -> list[str]:
        """Wait for so many deliveries; return their types."""
        async with asyncio.timeout(10), self.arrived:
            await self.arrived.wait_for(lambda: len(self.taken) >= count)
        return [kind for kind, _, _ in self.taken]


@pytest.fixture
async def receiver(control: Control) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        await control.send_webhooks(f"http://{host}:{port}/hook", SECRET)
        yield receiver
    finally:
        await runner.cleanup()


async def charge(simpay: Caller, order: Body, key: str = "k1", **changes: Any) -> Body:
    answer = await simpay("POST", "/charges", order | changes, key=key)
    assert answer.status == 200
    made: Body = answer.body
    return made


async def test_every_change_is_told_and_signed(
    simpay: Caller, receiver: Receiver, new_charge: Body
) -> None:
    made = await charge(simpay, new_charge, capture=False)
    await receiver.until(1)
    await simpay("POST", f"/charges/{made['id']}/capture", {}, key="k2")
    await receiver.until(2)
    await simpay("POST", f"/charges/{made['id']}/refunds", {"amount": 5}, key="k3")
    assert await receiver.until(3) == [
        "charge.authorized",
        "charge.succeeded",
        "refund.succeeded",
    ]
    assert all(genuine for _, _, genuine in receiver.taken)
    assert receiver.taken[0][1]["data"]["object"] == made
    assert len({event["id"] for _, event, _ in receiver.taken}) == 3


async def test_a_replayed_request_changes_nothing_and_is_not_told(
    simpay: Caller, receiver: Receiver, control: Control, new_charge: Body
) -> None:
    await charge(simpay, new_charge)
    await charge(simpay, new_charge)
    await control.until("webhooks", 1)
    assert (await control.webhooks())["waiting"] == 0
    assert len(receiver.taken) == 1


async def test_a_buyer_completes_a_charge(
    simpay: Caller, receiver: Receiver, control: Control, new_charge: Body
) -> None:
    made = await charge(simpay, new_charge, payment_method="pm_requires_action")
    done = await control.complete(made["id"])
    assert (done["status"], done["amount_captured"]) == ("succeeded", 1999)
    assert sorted(await receiver.until(2)) == ["charge.requires_action", "charge.succeeded"]
    with pytest.raises(ControlError, match="the charge is succeeded"):
        await control.complete(made["id"])


async def test_only_a_late_completion_ends_what_has_ended(
    simpay: Caller, control: Control, new_charge: Body
) -> None:
    made = await charge(simpay, new_charge, payment_method="pm_declined")
    with pytest.raises(ControlError, match="the charge is declined"):
        await control.complete(made["id"])
    assert (await control.complete(made["id"], late=True))["status"] == "succeeded"


async def test_a_delivery_is_tried_again_until_it_is_taken(
    simpay: Caller, receiver: Receiver, control: Control, new_charge: Body
) -> None:
    receiver.answers = [500, 404]
    await charge(simpay, new_charge)
    await control.until("webhooks", 1)
    assert len(receiver.taken) == 3
    assert len({event["id"] for _, event, _ in receiver.taken}) == 1
    [delivery] = (await control.webhooks())["deliveries"]
    assert (delivery["tries"], delivery["status"], delivery["delivered"]) == (3, 200, True)


async def test_a_duplicate_comes_twice(
    simpay: Caller, receiver: Receiver, control: Control, new_charge: Body
) -> None:
    await control.fault("provider.webhook", "duplicate")
    await charge(simpay, new_charge)
    await receiver.until(2)
    assert len({event["id"] for _, event, _ in receiver.taken}) == 1


async def test_a_reordered_event_comes_after_the_next(
    simpay: Caller, receiver: Receiver, control: Control, new_charge: Body
) -> None:
    await control.fault("provider.webhook", "reorder")
    made = await charge(simpay, new_charge, capture=False)
    await simpay("POST", f"/charges/{made['id']}/capture", {}, key="k2")
    assert await receiver.until(2) == ["charge.succeeded", "charge.authorized"]


async def test_a_dropped_event_never_comes(
    simpay: Caller, receiver: Receiver, control: Control, new_charge: Body
) -> None:
    await control.fault("provider.webhook", "drop")
    await charge(simpay, new_charge)
    await charge(simpay, new_charge, key="k2", payment_method="pm_declined")
    assert await receiver.until(1) == ["charge.declined"]
    assert (await control.webhooks())["lost"] == 1


async def test_a_wrong_signature_is_wrong(
    simpay: Caller, receiver: Receiver, control: Control, new_charge: Body
) -> None:
    await control.fault("provider.webhook", "wrong_signature")
    receiver.answers = [400]
    await charge(simpay, new_charge)
    await receiver.until(1)
    assert [genuine for _, _, genuine in receiver.taken] == [False]


async def test_an_event_can_arrive_before_the_answer(
    simpay: Caller, receiver: Receiver, control: Control, new_charge: Body
) -> None:
    await control.fault("provider.webhook", "before_answer")
    await charge(simpay, new_charge)
    assert [kind for kind, _, _ in receiver.taken] == ["charge.succeeded"]


async def test_an_event_can_be_held_until_a_test_lets_it_go(
    simpay: Caller, receiver: Receiver, control: Control, new_charge: Body
) -> None:
    await control.fault("provider.webhook", "hold_before")
    await charge(simpay, new_charge)
    await control.until_held("provider.webhook")
    assert receiver.taken == []
    await control.release()
    assert await receiver.until(1) == ["charge.succeeded"]


async def test_a_reset_sends_nothing_any_more(
    simpay: Caller, receiver: Receiver, control: Control, new_charge: Body
) -> None:
    await control.fault("provider.webhook", "hold_before")
    await charge(simpay, new_charge)
    await control.until_held("provider.webhook")
    await control.reset()
    await charge(simpay, new_charge)
    state = await control.webhooks()
    assert (state["url"], state["deliveries"]) == ("", [])
    assert receiver.taken == []


@pytest.mark.parametrize(
    ("target", "kind"), [("provider.charge", "duplicate"), ("provider.webhook", "wrong_amount")]
)
async def test_a_fault_that_cannot_happen_there_is_refused(
    control: Control, target: str, kind: str
) -> None:
    with pytest.raises(ControlError, match="cannot"):
        await control.fault(target, kind)


@pytest.mark.usefixtures("receiver")
async def test_the_secret_is_not_shown(control: Control) -> None:
    assert SECRET not in json.dumps(await control.webhooks())
