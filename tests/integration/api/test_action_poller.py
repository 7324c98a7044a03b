"""A payment that waits for its buyer goes on also when no webhook tells of it."""

import asyncio
from typing import Any

import pytest

from scripts.platform.client import Client
from service.workers import jobs
from tests.integration.api.conftest import Api


async def a_waiting_payment(ada: Client, **options: Any) -> dict[str, Any]:
    order = await ada.order(["game-1"])
    reply = await ada.pay(order["id"], payment_method="pm_requires_action", **options)
    payment: dict[str, Any] = reply.expect(201).body
    assert payment["status"] == "requires_action"
    return payment


async def the_charge(api: Api) -> str:
    (charge,) = (await api.simulator.state())["charges"]
    return str(charge["id"])


@pytest.mark.parametrize(
    ("end", "capture", "status"),
    [
        ("succeeded", "automatic", "succeeded"),
        ("succeeded", "manual", "authorized"),
        ("declined", "automatic", "failed"),
        ("canceled", "automatic", "canceled"),
    ],
)
async def test_it_becomes_what_the_provider_says(
    api: Api, ada: Client, end: str, capture: str, status: str
) -> None:
    payment = await a_waiting_payment(ada, capture=capture)
    await api.simulator.complete(await the_charge(api), end)
    await jobs.poll_actions(api.context)  # too early: the webhook may be on its way
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "requires_action"

    api.clock.forward(seconds=31)
    await asyncio.gather(*(jobs.poll_actions(api.context) for _ in range(5)))

    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert found["status"] == status
    assert found["captured"] == (found["amount"] if status == "succeeded" else 0)
    assert len((await api.simulator.state())["charges"]) == 1
    events = [
        event["event"]
        for event in (await ada.read(f"/v1/payments/{payment['id']}/timeline"))["items"]
    ]
    assert events.count(f"payment_{status}") == 1
    await api.sound()


@pytest.mark.impatient
@pytest.mark.parametrize("fault", ["status", "malformed", "timeout_before"])
async def test_it_goes_on_waiting_while_nothing_is_known(api: Api, ada: Client, fault: str) -> None:
    payment = await a_waiting_payment(ada)
    api.clock.forward(seconds=31)
    await jobs.poll_actions(api.context)  # the buyer has not acted
    await api.simulator.complete(await the_charge(api), "succeeded")
    await api.simulator.fault("provider.find", fault)
    await jobs.poll_actions(api.context)  # the provider does not say
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "requires_action"
    await jobs.poll_actions(api.context)
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "succeeded"
    await api.sound()


async def test_a_crash_after_the_news_is_finished_by_the_completer(
    api: Api, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reopened attempt asks for the charge by its name: no second one is made."""
    payment = await a_waiting_payment(ada)
    await api.simulator.complete(await the_charge(api), "succeeded")
    api.clock.forward(seconds=31)

    async def crash(*_: object) -> str:
        raise asyncio.CancelledError

    monkeypatch.setattr("service.usecases.inbox.record_provider_update", crash)
    with pytest.raises(asyncio.CancelledError):
        await jobs.poll_actions(api.context)
    monkeypatch.undo()
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "processing"

    api.clock.forward(seconds=61)
    assert await api.complete() == 1
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "succeeded"
    assert len((await api.simulator.state())["charges"]) == 1
    await api.sound()


async def test_nobody_asks_for_ever(api: Api, ada: Client) -> None:
    payment = await a_waiting_payment(ada)
    await api.simulator.complete(await the_charge(api), "succeeded")
    api.clock.forward(hours=1, seconds=1)
    await jobs.poll_actions(api.context)
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "requires_action"
