"""The life of a merchant's endpoint: disabled, enabled, rotated, tested, closed."""

from scripts.platform.client import Client
from service.workers.merchant_webhooks import measure
from tests.integration.api.conftest import Api, Start
from tests.integration.api.merchant_webhooks.sending import buy, send_due
from tests.support.merchant import (
    Merchant,
    act,
    deliveries,
    register,
)
from tests.support.services import ADMIN


async def test_one_that_is_gone_is_disabled_and_waits(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    endpoint, _ = await register(operator, receiver.url)
    receiver.answers.append(410)
    await buy(api, ada)
    await send_due(api)
    found = await operator.read(f"/v1/admin/webhook-endpoints/{endpoint['id']}")
    assert (found["status"], found["disabled_reason"]) == ("disabled", "gone")
    count = len(receiver.messages)
    await buy(api, ada, "game-2")
    api.clock.forward(hours=1)
    assert await send_due(api) == 0
    await measure(api.context)
    (await act(operator, endpoint, "", status="enabled")).expect(200)
    await send_due(api)
    assert len(receiver.messages) > count, "what was pending goes on"
    assert len({message.id for message in receiver.messages}) == 2, (
        "what happened meanwhile does not"
    )
    actions = await api.context.db.fetch(
        "SELECT actor, action FROM admin_actions WHERE subject = 'webhook_endpoint' ORDER BY seq"
    )
    assert actions == [("olga", "register"), ("worker", "disable"), ("olga", "change")]


async def test_one_that_fails_for_days_is_disabled(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    endpoint, _ = await register(operator, receiver.url, "payment.succeeded")
    receiver.always = 500
    await buy(api, ada)
    await send_due(api)
    api.clock.forward(days=4, hours=23)
    await send_due(api)
    found = await operator.read(f"/v1/admin/webhook-endpoints/{endpoint['id']}")
    assert (found["status"], found["failing_since"] is None) == ("enabled", False)
    api.clock.forward(hours=2)
    await send_due(api)
    found = await operator.read(f"/v1/admin/webhook-endpoints/{endpoint['id']}")
    assert (found["status"], found["disabled_reason"]) == ("disabled", "failing")
    assert "merchant_webhook_endpoints_disabled_total" in api.context.metrics.exposition().decode()


async def test_a_success_makes_it_well_again(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    endpoint, _ = await register(operator, receiver.url, "payment.succeeded")
    receiver.answers.append(500)
    await buy(api, ada)
    await send_due(api)
    api.clock.forward(minutes=1)
    await send_due(api)
    found = await operator.read(f"/v1/admin/webhook-endpoints/{endpoint['id']}")
    assert (found["status"], found["failing_since"]) == ("enabled", None)


async def test_after_a_rotation_both_secrets_verify_for_a_day(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    endpoint, old = await register(operator, receiver.url, "payment.succeeded")
    made = (await act(operator, endpoint, "/rotate")).expect(200).body
    assert made["secret"] != old
    await buy(api, ada, "game-1")
    await send_due(api)
    [message] = receiver.messages
    assert len(message.headers["webhook-signature"].split(" ")) == 2
    assert message.verify(old) == message.verify(made["secret"])
    api.clock.forward(hours=25)
    await buy(api, ada, "game-2")
    await send_due(api)
    assert len(receiver.messages[1].headers["webhook-signature"].split(" ")) == 1


async def test_a_test_event_is_sent_to_one_endpoint(
    api: Api, operator: Client, receiver: Merchant
) -> None:
    endpoint, secret = await register(operator, receiver.url + "/a", "refund.failed")
    await register(operator, receiver.url + "/b")
    (await act(operator, endpoint, "/test")).expect(202)
    await send_due(api)
    [message] = receiver.messages
    assert message.path == "/hooks/a"
    assert message.verify(secret) | {"timestamp": ""} == {
        "type": "webhook.test",
        "timestamp": "",
        "data": {"endpoint_id": endpoint["id"]},
    }


async def test_a_closed_endpoint_is_sent_nothing_and_its_url_is_free(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    endpoint, _ = await register(operator, receiver.url, "payment.succeeded")
    body = {"url": receiver.url, "note": "again"}
    taken = await operator.call("POST", "/v1/admin/webhook-endpoints", json=body)
    assert (taken.status, taken.body["code"]) == (409, "webhook_url_taken")
    await buy(api, ada)
    assert (await act(operator, endpoint, "/close")).expect(200).body["status"] == "closed"
    assert await send_due(api) == 0
    [row] = await deliveries(operator, endpoint)
    assert row["status"] == "canceled"
    for what in ("/close", "/rotate", ""):
        assert (await act(operator, endpoint, what)).status == 404
    assert (await act(operator, endpoint, "/test")).status == 409
    assert (await act(operator, endpoint, f"/deliveries/{row['id']}/redeliver")).status == 409
    await register(operator, receiver.url)


async def test_pages_lead_through_all_deliveries(
    api: Api, ada: Client, operator: Client, receiver: Merchant
) -> None:
    endpoint, _ = await register(operator, receiver.url)
    for number in range(2):
        await buy(api, ada, f"game-{number + 1}")
    await send_due(api)
    path = f"/v1/admin/webhook-endpoints/{endpoint['id']}/deliveries?limit=3"
    first = await operator.read(path)
    rest = await operator.read(f"{path}&cursor={first['next_cursor']}")
    ids = [row["id"] for row in (*first["items"], *rest["items"])]
    assert (len(ids), ids, rest["next_cursor"]) == (4, sorted(ids, reverse=True), None)


async def test_without_a_scope_or_a_key_there_is_nothing(
    ada: Client, operator: Client, receiver: Merchant, start_api: Start
) -> None:
    endpoint, _ = await register(operator, receiver.url)
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
