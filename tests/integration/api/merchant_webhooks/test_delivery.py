"""Merchants' events: one delivery an endpoint, signed, repeated until it is accepted."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp import web

from scripts.platform.client import Client
from service.merchant_webhooks.catalog import CATALOG, Envelope, EventType, data_of
from service.usecases.merchant_webhooks import SCHEDULE_S
from service.workers.merchant_webhooks import Sender
from tests.integration.api.conftest import Api, Start
from tests.integration.api.merchant_webhooks.sending import buy, send_due
from tests.integration.api.operators import chains_hold
from tests.support.merchant import (
    TAKES_LOOPBACK,
    Merchant,
    act,
    deliveries,
    merchant,
    register,
)

PAID = ["payment.succeeded", "order.fulfilled"]


async def test_a_sale_is_sent_as_the_catalog_says(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    _, secret = await register(operator, receiver.url)
    payment = await buy(api, ada)
    refund = (await ada.refund(payment["id"], 500)).expect(201).body
    await send_due(api)
    assert sorted(receiver.types) == sorted([*PAID, "refund.succeeded"])
    for message in receiver.messages:
        envelope = msgspec.json.decode(message.body, type=Envelope)
        kind: EventType = envelope.type  # type: ignore[assignment]
        msgspec.json.decode(envelope.data, type=data_of(kind))  # nothing missing, nothing more
        assert message.verify(secret) == message.read()
        assert message.headers["content-type"] == "application/json"
    sent = {message.type: message.read()["data"] for message in receiver.messages}
    assert sent["payment.succeeded"] == {
        **{name: payment[name] for name in ("order_id", "status", "provider", "capture")},
        **{name: payment[name] for name in ("currency", "amount", "captured", "failure_code")},
        "payment_id": payment["id"],
        "user_id": "ada",
        "refunded": 0,
    }
    assert sent["refund.succeeded"]["refund_id"] == refund["id"]
    assert sent["refund.succeeded"]["payment_refunded"] == 500
    assert sent["order.fulfilled"]["payment_id"] == payment["id"]
    assert sent["order.fulfilled"]["total"] == payment["amount"]


async def test_every_type_is_told_when_its_status_is_reached(
    api: Api, operator: Client, receiver: Merchant
) -> None:
    endpoint, _ = await register(operator, receiver.url)
    rows = await api.context.db.fetch("SELECT entity, status, type FROM webhook_event_types")
    assert set(rows) == {(*name.split("."), name) for name in CATALOG}
    assert set(endpoint["event_types"]) == set(CATALOG)


async def test_what_ends_otherwise_is_told_too(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    await register(operator, receiver.url)
    order = await ada.order(["game-2"])
    (await ada.pay(order["id"], payment_method="pm_declined")).expect(201)
    held = (await ada.pay(order["id"], capture="manual")).expect(201).body
    (await ada.cancel(held["id"])).expect(200)
    again = (await ada.pay(order["id"], capture="manual")).expect(201).body
    api.clock.forward(days=7)
    await api.expire()
    api.clock.forward(seconds=60)
    await api.complete()
    assert (await ada.read(f"/v1/payments/{again['id']}"))["status"] == "expired"
    await send_due(api)
    assert Counter(receiver.types) == {
        "payment.failed": 1,
        "payment.authorized": 2,
        "payment.canceled": 1,
        "payment.expired": 1,
    }


async def test_only_what_was_asked_for_and_only_from_then_on(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    await buy(api, ada, "game-1")
    assert await api.context.db.fetch("SELECT 1 FROM webhook_events") == []
    await register(operator, receiver.url + "/orders", "order.fulfilled")
    await buy(api, ada, "game-2")
    await register(operator, receiver.url + "/late")
    await send_due(api)
    assert [(m.path, m.type) for m in receiver.messages] == [("/hooks/orders", "order.fulfilled")]
    assert await api.context.db.fetch("SELECT type FROM webhook_events") == [("order.fulfilled",)]


async def test_a_try_that_fails_is_repeated_by_the_schedule_with_the_same_bytes(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    endpoint, _ = await register(operator, receiver.url, "payment.succeeded")
    receiver.always = 500
    await buy(api, ada)
    began = api.clock()
    assert await send_due(api) == 1
    for number, wait in enumerate(SCHEDULE_S, 2):
        [row] = await deliveries(operator, endpoint)
        planned = datetime.fromisoformat(row["next_attempt_at"]) - api.clock()
        assert wait - 15 < planned.total_seconds() <= wait * 1.1
        assert await send_due(api) == 0, "never earlier"
        api.clock.forward(seconds=wait * 1.1 + 1)
        assert await send_due(api) == 1
        assert len(receiver.messages) == number
    assert api.clock() - began > timedelta(hours=75)
    assert len({(m.id, m.body) for m in receiver.messages}) == 1
    assert len({m.headers["webhook-timestamp"] for m in receiver.messages}) == 10
    [row] = await deliveries(operator, endpoint, "exhausted")
    assert (row["attempts"], row["last_status"], row["last_error"]) == (10, 500, "status 500")
    api.clock.forward(days=3)
    assert await send_due(api) == 0

    receiver.always = None
    (await act(operator, endpoint, f"/deliveries/{row['id']}/redeliver")).expect(202)
    assert await send_due(api) == 1
    [row] = await deliveries(operator, endpoint, "succeeded")
    assert (row["attempts"], row["webhook_id"]) == (11, receiver.messages[0].id)
    await chains_hold(api)


@pytest.mark.parametrize("rest", ["120", "date"])
async def test_an_endpoint_may_ask_for_rest(
    api: Api, ada: Client, operator: Client, receiver: Merchant, rest: str
) -> None:
    endpoint, _ = await register(operator, receiver.url, "payment.succeeded")
    if rest == "date":
        at = datetime.now(UTC) + timedelta(seconds=120)
        rest = at.strftime("%a, %d %b %Y %H:%M:%S GMT")
    receiver.answers.append(web.Response(status=429, headers={"Retry-After": rest}))
    receiver.answers.append(web.Response(status=503, headers={"Retry-After": "99999999"}))
    await buy(api, ada)
    await send_due(api)
    api.clock.forward(seconds=60)
    assert await send_due(api) == 0
    api.clock.forward(seconds=61)
    assert await send_due(api) == 1
    [row] = await deliveries(operator, endpoint)
    planned = datetime.fromisoformat(row["next_attempt_at"]) - api.clock()
    assert timedelta(hours=23, minutes=50) < planned <= timedelta(days=1), "a day at most"


async def test_a_rest_until_the_end_of_time_is_a_failed_try_like_any(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    endpoint, _ = await register(operator, receiver.url, "payment.succeeded")
    never = "Mon, 1 Jan 99999999999 00:00:00 GMT"
    receiver.answers.append(web.Response(status=503, headers={"Retry-After": never}))
    await buy(api, ada)
    assert await send_due(api) == 1
    [row] = await deliveries(operator, endpoint)
    assert (row["attempts"], row["last_status"]) == (1, 503)


async def test_a_redirect_is_a_failure_and_is_not_followed(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    endpoint, _ = await register(operator, receiver.url, "payment.succeeded")
    receiver.answers.append(web.Response(status=308, headers={"Location": receiver.url + "/other"}))
    await buy(api, ada)
    assert await send_due(api) == 1
    assert [message.path for message in receiver.messages] == ["/hooks"]
    [row] = await deliveries(operator, endpoint)
    assert (row["status"], row["last_status"]) == ("pending", 308)


async def test_a_slow_endpoint_keeps_nobody_else_waiting(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    """It holds its own places, however much is due to it; the others are sent meanwhile."""
    await register(operator, receiver.url, "payment.succeeded")
    limit = api.context.settings.webhook_endpoint_requests
    async with merchant() as slow:
        slow.open.clear()
        await register(operator, slow.url, "payment.succeeded")
        for number in range(limit + 2):
            await buy(api, ada, f"game-{number + 1}")
        sender = Sender(api.context)
        async with asyncio.timeout(15):
            while len(receiver.messages) < limit + 2 or slow.under_way < limit:
                await sender.run_once()
        assert slow.most_under_way == limit
        assert len(slow.messages) == limit
        slow.open.set()
        async with asyncio.timeout(15):
            while await sender.run_once():
                pass
        await sender.close(5)
        assert len(slow.messages) == limit + 2
        assert slow.most_under_way == limit


async def test_two_workers_tell_each_endpoint_each_event_once(
    api: Api, ada: Client, operator: Client
) -> None:
    async with merchant() as one, merchant() as two, merchant() as three:
        receivers = [one, two, three]
        endpoints = [(await register(operator, each.url))[0] for each in receivers]
        for number in range(6):
            await buy(api, ada, f"game-{number + 1}")
        await asyncio.gather(send_due(api), send_due(api))
        for each, endpoint in zip(receivers, endpoints, strict=True):
            assert len(each.messages) == 12
            assert len({message.id for message in each.messages}) == 12
            rows = await deliveries(operator, endpoint)
            assert [(row["status"], row["attempts"]) for row in rows] == [("succeeded", 1)] * 12
        assert {message.id for message in one.messages} == {m.id for m in two.messages}


async def test_the_correlation_id_goes_from_the_request_to_the_delivery(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    endpoint, _ = await register(operator, receiver.url, "payment.succeeded")
    payment = await buy(api, ada)
    timeline = await ada.read(f"/v1/payments/{payment['id']}/timeline")
    await send_due(api)
    [row] = await deliveries(operator, endpoint)
    assert row["correlation_id"] == timeline["items"][0]["correlation_id"]
    assert row["payment_id"] == payment["id"]


async def test_a_missing_master_key_is_no_attempt(
    api: Api, ada: Client, operator: Client, receiver: Merchant, start_api: Start
) -> None:
    endpoint, secret = await register(operator, receiver.url, "payment.succeeded")
    await buy(api, ada)
    other = await start_api(
        **{**TAKES_LOOPBACK, "WEBHOOK_MASTER_KEYS": "m2:another-master-key-of-32-characters"}
    )
    await send_due(other)
    [row] = await deliveries(operator, endpoint)
    assert (row["status"], row["attempts"]) == ("pending", 0)
    assert "master key m1 is not in WEBHOOK_MASTER_KEYS" in row["last_error"]
    api.clock.forward(minutes=6)
    await send_due(api)
    receiver.messages[0].read()
    assert receiver.messages[0].id == row["webhook_id"]
    assert secret.startswith("whsec_")


async def test_old_events_are_forgotten(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    endpoint, _ = await register(operator, receiver.url, "payment.succeeded")
    await buy(api, ada)
    await send_due(api)
    api.clock.forward(days=29)
    await api.expire()
    assert len(await deliveries(operator, endpoint)) == 1
    api.clock.forward(days=2)
    await api.expire()
    assert await deliveries(operator, endpoint) == []
