"""Merchants are told what happened: once an endpoint, signed, repeated until it is taken."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp import web

from scripts.platform.client import Client
from service.merchant_webhooks.catalog import CATALOG, Envelope, EventType, data_of
from service.store.merchant_webhook_deliveries import DueDelivery
from service.usecases.merchant_webhooks import SCHEDULE_S
from service.workers.merchant_webhooks import Sender, measure
from tests.integration.api.conftest import Api, Start
from tests.integration.api.operators import chains_hold
from tests.support.merchant import (
    TAKES_LOOPBACK,
    Json,
    Merchant,
    act,
    deliveries,
    merchant,
    register,
)
from tests.support.services import ADMIN

PAID = ["payment.succeeded", "order.fulfilled"]


@pytest.fixture
async def api(start_api: Start) -> Api:
    return await start_api(**TAKES_LOOPBACK)


@pytest.fixture
async def harness() -> AsyncIterator[Merchant]:
    async with merchant() as found:
        yield found


@pytest.fixture
async def operator(api: Api) -> AsyncIterator[Client]:
    async with api.client("olga", ADMIN) as client:
        yield client


class Counting(Sender):
    tries = 0

    def _begin(self, due: DueDelivery) -> None:
        self.tries += 1
        super()._begin(due)


async def tell(api: Api) -> int:
    """Send all that is due; return how many tries that took."""
    sender = Counting(api.context)
    while await sender.run_once():
        pass
    await sender.close(5)
    return sender.tries


async def buy(api: Api, customer: Client, game: str = "game-1") -> Json:
    """Buy a game and have it granted; return the payment."""
    order = await customer.order([game])
    payment: Json = (await customer.pay(order["id"])).expect(201).body
    await api.deliver()
    return payment


async def test_a_sale_is_told_in_the_words_of_the_catalogue(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    _, secret = await register(operator, harness.url)
    payment = await buy(api, ada)
    refund = (await ada.refund(payment["id"], 500)).expect(201).body
    await tell(api)
    assert sorted(harness.types) == sorted([*PAID, "refund.succeeded"])
    for message in harness.messages:
        envelope = msgspec.json.decode(message.body, type=Envelope)
        kind: EventType = envelope.type  # type: ignore[assignment]
        msgspec.json.decode(envelope.data, type=data_of(kind))  # nothing missing, nothing more
        assert message.verify(secret) == message.read()
        assert message.headers["content-type"] == "application/json"
    told = {message.type: message.read()["data"] for message in harness.messages}
    assert told["payment.succeeded"] == {
        **{name: payment[name] for name in ("order_id", "status", "provider", "capture")},
        **{name: payment[name] for name in ("currency", "amount", "captured", "failure_code")},
        "payment_id": payment["id"],
        "user_id": "ada",
        "refunded": 0,
    }
    assert told["refund.succeeded"]["refund_id"] == refund["id"]
    assert told["refund.succeeded"]["payment_refunded"] == 500
    assert told["order.fulfilled"]["payment_id"] == payment["id"]
    assert told["order.fulfilled"]["total"] == payment["amount"]


async def test_every_type_is_told_when_its_status_is_reached(
    api: Api, operator: Client, harness: Merchant
) -> None:
    endpoint, _ = await register(operator, harness.url)
    rows = await api.context.db.fetch("SELECT entity, status, type FROM webhook_event_types")
    assert set(rows) == {(*name.split("."), name) for name in CATALOG}
    assert set(endpoint["event_types"]) == set(CATALOG)


async def test_what_ends_otherwise_is_told_too(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    await register(operator, harness.url)
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
    await tell(api)
    assert Counter(harness.types) == {
        "payment.failed": 1,
        "payment.authorized": 2,
        "payment.canceled": 1,
        "payment.expired": 1,
    }


async def test_only_what_was_asked_for_and_only_from_then_on(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    await buy(api, ada, "game-1")
    assert await api.context.db.fetch("SELECT 1 FROM webhook_events") == []
    await register(operator, harness.url + "/orders", "order.fulfilled")
    await buy(api, ada, "game-2")
    await register(operator, harness.url + "/late")
    await tell(api)
    assert [(m.path, m.type) for m in harness.messages] == [("/hooks/orders", "order.fulfilled")]
    assert await api.context.db.fetch("SELECT type FROM webhook_events") == [("order.fulfilled",)]


async def test_a_try_that_fails_is_repeated_by_the_schedule_with_the_same_bytes(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    endpoint, _ = await register(operator, harness.url, "payment.succeeded")
    harness.always = 500
    await buy(api, ada)
    began = api.clock()
    assert await tell(api) == 1
    for number, wait in enumerate(SCHEDULE_S, 2):
        [row] = await deliveries(operator, endpoint)
        planned = datetime.fromisoformat(row["next_attempt_at"]) - api.clock()
        assert wait - 15 < planned.total_seconds() <= wait * 1.1
        assert await tell(api) == 0, "never earlier"
        api.clock.forward(seconds=wait * 1.1 + 1)
        assert await tell(api) == 1
        assert len(harness.messages) == number
    assert api.clock() - began > timedelta(hours=75)
    assert len({(m.id, m.body) for m in harness.messages}) == 1
    assert len({m.headers["webhook-timestamp"] for m in harness.messages}) == 10
    [row] = await deliveries(operator, endpoint, "exhausted")
    assert (row["attempts"], row["last_status"], row["last_error"]) == (10, 500, "status 500")
    api.clock.forward(days=3)
    assert await tell(api) == 0

    harness.always = None
    (await act(operator, endpoint, f"/deliveries/{row['id']}/redeliver")).expect(202)
    assert await tell(api) == 1
    [row] = await deliveries(operator, endpoint, "succeeded")
    assert (row["attempts"], row["webhook_id"]) == (11, harness.messages[0].id)
    await chains_hold(api)


@pytest.mark.parametrize("rest", ["120", "date"])
async def test_an_endpoint_may_ask_for_rest(
    api: Api, ada: Client, operator: Client, harness: Merchant, rest: str
) -> None:
    endpoint, _ = await register(operator, harness.url, "payment.succeeded")
    if rest == "date":
        at = datetime.now(UTC) + timedelta(seconds=120)
        rest = at.strftime("%a, %d %b %Y %H:%M:%S GMT")
    harness.answers.append(web.Response(status=429, headers={"Retry-After": rest}))
    harness.answers.append(web.Response(status=503, headers={"Retry-After": "99999999"}))
    await buy(api, ada)
    await tell(api)
    api.clock.forward(seconds=60)
    assert await tell(api) == 0
    api.clock.forward(seconds=61)
    assert await tell(api) == 1
    [row] = await deliveries(operator, endpoint)
    planned = datetime.fromisoformat(row["next_attempt_at"]) - api.clock()
    assert timedelta(hours=23, minutes=50) < planned <= timedelta(days=1), "a day at most"


async def test_a_rest_until_the_end_of_time_is_a_failed_try_like_any(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    endpoint, _ = await register(operator, harness.url, "payment.succeeded")
    never = "Mon, 1 Jan 99999999999 00:00:00 GMT"
    harness.answers.append(web.Response(status=503, headers={"Retry-After": never}))
    await buy(api, ada)
    assert await tell(api) == 1
    [row] = await deliveries(operator, endpoint)
    assert (row["attempts"], row["last_status"]) == (1, 503)


async def test_a_redirect_is_a_failure_and_is_not_followed(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    endpoint, _ = await register(operator, harness.url, "payment.succeeded")
    harness.answers.append(web.Response(status=308, headers={"Location": harness.url + "/other"}))
    await buy(api, ada)
    assert await tell(api) == 1
    assert [message.path for message in harness.messages] == ["/hooks"]
    [row] = await deliveries(operator, endpoint)
    assert (row["status"], row["last_status"]) == ("pending", 308)


async def test_one_that_is_gone_is_disabled_and_waits(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    endpoint, _ = await register(operator, harness.url)
    harness.answers.append(410)
    await buy(api, ada)
    await tell(api)
    found = await operator.read(f"/v1/admin/webhook-endpoints/{endpoint['id']}")
    assert (found["status"], found["disabled_reason"]) == ("disabled", "gone")
    count = len(harness.messages)
    await buy(api, ada, "game-2")
    api.clock.forward(hours=1)
    assert await tell(api) == 0
    await measure(api.context)
    (await act(operator, endpoint, "", status="enabled")).expect(200)
    await tell(api)
    assert len(harness.messages) > count, "what was pending goes on"
    assert len({message.id for message in harness.messages}) == 2, (
        "what happened meanwhile does not"
    )
    actions = await api.context.db.fetch(
        "SELECT actor, action FROM admin_actions WHERE subject = 'webhook_endpoint' ORDER BY seq"
    )
    assert actions == [("olga", "register"), ("worker", "disable"), ("olga", "change")]


async def test_one_that_fails_for_days_is_disabled(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    endpoint, _ = await register(operator, harness.url, "payment.succeeded")
    harness.always = 500
    await buy(api, ada)
    await tell(api)
    api.clock.forward(days=4, hours=23)
    await tell(api)
    found = await operator.read(f"/v1/admin/webhook-endpoints/{endpoint['id']}")
    assert (found["status"], found["failing_since"] is None) == ("enabled", False)
    api.clock.forward(hours=2)
    await tell(api)
    found = await operator.read(f"/v1/admin/webhook-endpoints/{endpoint['id']}")
    assert (found["status"], found["disabled_reason"]) == ("disabled", "failing")
    assert "merchant_webhook_endpoints_disabled_total" in api.context.metrics.exposition().decode()


async def test_a_success_makes_it_well_again(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    endpoint, _ = await register(operator, harness.url, "payment.succeeded")
    harness.answers.append(500)
    await buy(api, ada)
    await tell(api)
    api.clock.forward(minutes=1)
    await tell(api)
    found = await operator.read(f"/v1/admin/webhook-endpoints/{endpoint['id']}")
    assert (found["status"], found["failing_since"]) == ("enabled", None)


async def test_after_a_rotation_both_secrets_verify_for_a_day(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    endpoint, old = await register(operator, harness.url, "payment.succeeded")
    made = (await act(operator, endpoint, "/rotate")).expect(200).body
    assert made["secret"] != old
    await buy(api, ada, "game-1")
    await tell(api)
    [message] = harness.messages
    assert len(message.headers["webhook-signature"].split(" ")) == 2
    assert message.verify(old) == message.verify(made["secret"])
    api.clock.forward(hours=25)
    await buy(api, ada, "game-2")
    await tell(api)
    assert len(harness.messages[1].headers["webhook-signature"].split(" ")) == 1


async def test_a_slow_endpoint_keeps_nobody_else_waiting(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    """It holds its own places, however much is due to it; the others are told meanwhile."""
    await register(operator, harness.url, "payment.succeeded")
    limit = api.context.settings.webhook_endpoint_requests
    async with merchant() as slow:
        slow.open.clear()
        await register(operator, slow.url, "payment.succeeded")
        for number in range(limit + 2):
            await buy(api, ada, f"game-{number + 1}")
        sender = Sender(api.context)
        async with asyncio.timeout(15):
            while len(harness.messages) < limit + 2 or slow.under_way < limit:
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
        shops = [one, two, three]
        endpoints = [(await register(operator, each.url))[0] for each in shops]
        for number in range(6):
            await buy(api, ada, f"game-{number + 1}")
        await asyncio.gather(tell(api), tell(api))
        for each, endpoint in zip(shops, endpoints, strict=True):
            assert len(each.messages) == 12
            assert len({message.id for message in each.messages}) == 12
            rows = await deliveries(operator, endpoint)
            assert [(row["status"], row["attempts"]) for row in rows] == [("succeeded", 1)] * 12
        assert {message.id for message in one.messages} == {m.id for m in two.messages}


async def test_the_correlation_id_goes_from_the_request_to_the_delivery(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    endpoint, _ = await register(operator, harness.url, "payment.succeeded")
    payment = await buy(api, ada)
    timeline = await ada.read(f"/v1/payments/{payment['id']}/timeline")
    await tell(api)
    [row] = await deliveries(operator, endpoint)
    assert row["correlation_id"] == timeline["items"][0]["correlation_id"]
    assert row["payment_id"] == payment["id"]


async def test_a_test_event_is_sent_to_one_endpoint(
    api: Api, operator: Client, harness: Merchant
) -> None:
    endpoint, secret = await register(operator, harness.url + "/a", "refund.failed")
    await register(operator, harness.url + "/b")
    (await act(operator, endpoint, "/test")).expect(202)
    await tell(api)
    [message] = harness.messages
    assert message.path == "/hooks/a"
    assert message.verify(secret) | {"timestamp": ""} == {
        "type": "webhook.test",
        "timestamp": "",
        "data": {"endpoint_id": endpoint["id"]},
    }


async def test_a_closed_endpoint_is_sent_nothing_and_its_url_is_free(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    endpoint, _ = await register(operator, harness.url, "payment.succeeded")
    body = {"url": harness.url, "note": "again"}
    taken = await operator.call("POST", "/v1/admin/webhook-endpoints", json=body)
    assert (taken.status, taken.body["code"]) == (409, "webhook_url_taken")
    await buy(api, ada)
    assert (await act(operator, endpoint, "/close")).expect(200).body["status"] == "closed"
    assert await tell(api) == 0
    [row] = await deliveries(operator, endpoint)
    assert row["status"] == "canceled"
    for what in ("/close", "/rotate", ""):
        assert (await act(operator, endpoint, what)).status == 404
    assert (await act(operator, endpoint, "/test")).status == 409
    assert (await act(operator, endpoint, f"/deliveries/{row['id']}/redeliver")).status == 409
    await register(operator, harness.url)


async def test_pages_lead_through_all_deliveries(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    endpoint, _ = await register(operator, harness.url)
    for number in range(2):
        await buy(api, ada, f"game-{number + 1}")
    await tell(api)
    path = f"/v1/admin/webhook-endpoints/{endpoint['id']}/deliveries?limit=3"
    first = await operator.read(path)
    rest = await operator.read(f"{path}&cursor={first['next_cursor']}")
    ids = [row["id"] for row in (*first["items"], *rest["items"])]
    assert (len(ids), ids, rest["next_cursor"]) == (4, sorted(ids, reverse=True), None)


async def test_without_a_scope_or_a_key_there_is_nothing(
    ada: Client, operator: Client, harness: Merchant, start_api: Start
) -> None:
    endpoint, _ = await register(operator, harness.url)
    for method, path in (
        ("GET", ""),
        ("GET", f"/{endpoint['id']}"),
        ("GET", f"/{endpoint['id']}/deliveries"),
        ("POST", f"/{endpoint['id']}/rotate"),
    ):
        reply = await ada.call(method, f"/v1/admin/webhook-endpoints{path}")
        assert (reply.status, reply.body["code"]) == (403, "scope_missing")
    bare = await start_api()
    async with bare.client("olga", ADMIN) as client:
        body = {"url": "https://shop.example/", "note": "x"}
        reply = await client.call("POST", "/v1/admin/webhook-endpoints", json=body)
        assert (reply.status, reply.body["code"]) == (409, "webhooks_not_set_up")


async def test_a_missing_master_key_is_no_attempt(
    api: Api, ada: Client, operator: Client, harness: Merchant, start_api: Start
) -> None:
    endpoint, secret = await register(operator, harness.url, "payment.succeeded")
    await buy(api, ada)
    other = await start_api(
        **{**TAKES_LOOPBACK, "WEBHOOK_MASTER_KEYS": "m2:another-master-key-of-32-characters"}
    )
    await tell(other)
    [row] = await deliveries(operator, endpoint)
    assert (row["status"], row["attempts"]) == ("pending", 0)
    assert "master key m1 is not in WEBHOOK_MASTER_KEYS" in row["last_error"]
    api.clock.forward(minutes=6)
    await tell(api)
    harness.messages[0].read()
    assert harness.messages[0].id == row["webhook_id"]
    assert secret.startswith("whsec_")


async def test_old_events_are_forgotten(
    api: Api, ada: Client, operator: Client, harness: Merchant
) -> None:
    endpoint, _ = await register(operator, harness.url, "payment.succeeded")
    await buy(api, ada)
    await tell(api)
    api.clock.forward(days=29)
    await api.expire()
    assert len(await deliveries(operator, endpoint)) == 1
    api.clock.forward(days=2)
    await api.expire()
    assert await deliveries(operator, endpoint) == []
