"""Webhooks in: kept once before the answer, believed never, refused without detail."""

import asyncio
import time
from collections.abc import Mapping

import aiohttp
import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api, Start
from tests.support.webhooks import Hook, Json, charge_event, inbox, status_of, unknown_payment


async def test_a_webhook_records_an_unknown_outcome(api: Api, ada: Client, hook: Hook) -> None:
    payment = await unknown_payment(api.simulator, ada)
    event = await charge_event(api.simulator)
    assert await hook.send(event) == (200, {"outcome": "accepted", "event_id": event["id"]})
    assert await status_of(ada, payment) == "unknown"  # acknowledged, not processed
    assert await api.process() == 1
    assert await status_of(ada, payment) == "succeeded"
    assert [row["outcome"] for row in await inbox(api.context.db)] == ["settled"]
    assert await api.complete() == 0  # nothing is left for the completer
    await api.sound()


async def test_an_event_is_not_believed(api: Api, ada: Client, hook: Hook) -> None:
    """It says succeeded, with a million; the provider says declined."""
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    event = await charge_event(api.simulator, type="charge.succeeded")
    event["data"]["object"] |= {"status": "succeeded", "amount": 1, "amount_captured": 10**8}
    assert (await hook.send(event))[0] == 200
    await api.process()
    assert await status_of(ada, payment) == "requires_action"
    await api.simulator.complete(event["data"]["object"]["id"], "declined")
    assert (await hook.send(event | {"id": "evt_2"}))[0] == 200
    await api.process()
    assert await status_of(ada, payment) == "failed"
    await api.sound()


async def test_fifty_deliveries_at_once_are_one_event(api: Api, ada: Client, hook: Hook) -> None:
    payment = await unknown_payment(api.simulator, ada)
    event = await charge_event(api.simulator)
    replies = await asyncio.gather(*(hook.send(event) for _ in range(50)))
    outcomes = [body["outcome"] for status, body in replies if status == 200]
    assert sorted(outcomes) == ["accepted"] + ["duplicate"] * 49
    await asyncio.gather(*(api.process() for _ in range(5)))
    assert await status_of(ada, payment) == "succeeded"
    entries = await api.context.db.fetch("SELECT count(*) FROM ledger_transactions")
    assert (len(await inbox(api.context.db)), entries) == (1, [(1,)])
    await api.sound()


async def test_fifty_different_events_of_one_charge_record_it_once(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await unknown_payment(api.simulator, ada)
    event = await charge_event(api.simulator)
    api.clock.forward(seconds=1)
    await asyncio.gather(*(hook.send(event | {"id": f"evt_{n}"}) for n in range(50)))
    await asyncio.gather(*(api.process() for _ in range(3)), api.complete())
    for _ in range(8):  # what met another in mid-way is put off and then finds it done
        api.clock.forward(seconds=10)
        await api.process()
    assert await status_of(ada, payment) == "succeeded"
    assert {row["status"] for row in await inbox(api.context.db)} == {"processed"}
    assert await api.context.db.fetch("SELECT count(*) FROM ledger_transactions") == [(1,)]
    await api.sound()


async def test_a_replay_and_a_newly_signed_repeat_change_nothing(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await unknown_payment(api.simulator, ada)
    event = await charge_event(api.simulator)
    await hook.send(event)
    await api.process()
    before = await inbox(api.context.db)
    assert (await hook.send(event))[1]["outcome"] == "duplicate"
    assert (await hook.send(event, age_s=60))[1]["outcome"] == "duplicate"
    assert await api.process() == 0
    assert await inbox(api.context.db) == before
    assert await status_of(ada, payment) == "succeeded"


@pytest.mark.parametrize("age_s", [-400, 301, 86_400])
async def test_a_delivery_of_another_time_is_refused(api: Api, hook: Hook, age_s: float) -> None:
    status, body = await hook.send({"id": "evt_1"}, age_s=age_s)
    assert (status, body["code"]) == (400, "webhook_refused")
    assert await inbox(api.context.db) == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "t=1,v1=" + "0" * 64},
        {"Stripe-Signature": f"t={int(time.time())},v0=" + "0" * 64},
        {"Authorization": "Bearer x"},
    ],
)
async def test_what_is_not_signed_is_refused_and_said_in_no_detail(
    api: Api, hook: Hook, headers: Mapping[str, str]
) -> None:
    status, body = await hook.send({"id": "evt_1"}, headers=headers)
    assert (status, body["code"]) == (400, "webhook_refused")
    assert body["detail"] == body["title"]
    assert await inbox(api.context.db) == []


async def test_secrets_are_rotated_without_a_gap(start_api: Start) -> None:
    old, new = "the-old-webhook-secret", "the-new-webhook-secret"
    api = await start_api(SIMULATOR_WEBHOOK_SECRETS=f"{new}, {old}")
    async with aiohttp.ClientSession() as session, api.client() as ada:
        hook = Hook(api.url, session)
        (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201)
        event = await charge_event(api.simulator)
        for number, secret in enumerate((old, new)):
            status, body = await hook.send(event | {"id": f"evt_{number}"}, secret=secret)
            assert (status, body["outcome"]) == (200, "accepted")
        assert (await hook.send(event, secret="a-retired-webhook-secret"))[0] == 400


async def test_a_provider_without_secrets_has_no_webhooks(hook: Hook) -> None:
    for provider in ("stripe", "paypal"):
        status, body = await hook.send({"id": "evt_1"}, provider=provider)
        assert (status, body["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 60_000, b'{"data": {"object": {"object": "charge"}}}', b"\xff"]
)
async def test_what_is_signed_and_no_event_is_refused(hook: Hook, body: bytes) -> None:
    status, problem = await hook.send(body)
    assert (status, problem["code"]) == (400, "malformed_request")


async def test_a_body_that_is_too_large_is_refused(hook: Hook) -> None:
    assert (await hook.send(b" " * 70_000))[0] == 413


async def test_events_of_other_things_are_acknowledged_and_forgotten(api: Api, hook: Hook) -> None:
    event = {"id": "evt_1", "type": "customer.created", "data": {"object": {"object": "customer"}}}
    assert await hook.send(event) == (200, {"outcome": "ignored", "event_id": None})
    assert await inbox(api.context.db) == []


@pytest.mark.parametrize(
    "event",
    [
        {"type": "ping"},
        {"id": "evt_1", "object": "v2.core.event", "type": "v1.x", "related_object": {"id": "m"}},
        {"id": "evt_1", "object": "event", "type": "webhook.test", "data": {}},
    ],
)
async def test_thin_events_and_pings_are_acknowledged(api: Api, hook: Hook, event: Json) -> None:
    assert await hook.send(event) == (200, {"outcome": "ignored", "event_id": None})
    assert await inbox(api.context.db) == []
    counted = 'webhook_requests_total{outcome="ignored",provider="simulator"}'
    assert api.counted(counted) == 1


async def test_the_same_news_without_an_id_is_one_event(api: Api, ada: Client, hook: Hook) -> None:
    (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201)
    event = await charge_event(api.simulator, id=None)
    first, again = [(await hook.send(event))[1] for _ in range(2)]
    assert (first["outcome"], again["outcome"]) == ("accepted", "duplicate")
    assert first["event_id"].startswith("derived:")
