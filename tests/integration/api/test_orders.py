"""Orders over HTTP."""

import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api


async def test_an_order_has_the_catalogs_prices(ada: Client) -> None:
    body = {
        "currency": "JPY",
        "items": [{"game_id": "game-2", "quantity": 3}, {"game_id": "game-1"}],
    }
    reply = (await ada.call("POST", "/v1/orders", json=body)).expect(201)
    order = reply.body
    assert reply.headers["Location"] == f"/v1/orders/{order['id']}"
    assert order["total"] == sum(i["unit_price"] * i["quantity"] for i in order["items"])
    assert [item["game_id"] for item in order["items"]] == ["game-1", "game-2"]
    assert await ada.read(f"/v1/orders/{order['id']}") == order


@pytest.mark.parametrize(
    ("items", "status", "field"),
    [
        ([{"game_id": "nothing-like-it"}], 422, "$.items[0].game_id"),
        ([{"game_id": "game-1"}, {"game_id": "game-0"}], 422, "$.items[1].game_id"),
        ([{"game_id": "game-1"}, {"game_id": "game-1"}], 422, "$.items[0].game_id"),
        ([{"game_id": "game-1", "quantity": 11}], 422, "$.items[0].quantity"),
        ([{"game_id": "../admin"}], 422, "$.items[0].game_id"),
        ([], 422, "$.items"),
    ],
)
async def test_what_cannot_be_ordered(
    ada: Client, items: list[object], status: int, field: str
) -> None:
    body = {"currency": "EUR", "items": items}
    reply = (await ada.call("POST", "/v1/orders", json=body)).expect(status)
    assert reply.body["errors"][0]["field"] == field


async def test_orders_are_listed_by_pages_and_by_status(api: Api, ada: Client) -> None:
    made = [(await ada.order([f"game-{n}"]))["id"] for n in range(1, 8)]
    await ada.call("POST", f"/v1/orders/{made[0]}/cancel")
    seen: list[str] = []
    path = "/v1/orders?limit=3"
    while True:
        page = await ada.read(path)
        seen += [order["id"] for order in page["items"]]
        if page["next_cursor"] is None:
            break
        path = f"/v1/orders?limit=3&cursor={page['next_cursor']}"
    assert seen == made[::-1]
    canceled = (await ada.read("/v1/orders?status=canceled"))["items"]
    assert [order["id"] for order in canceled] == made[:1]
    async with api.client("bob") as bob:
        assert (await bob.read("/v1/orders"))["items"] == []


async def test_an_order_that_nobody_pays_expires(api: Api, ada: Client) -> None:
    order = await ada.order(["game-1"])
    api.clock.forward(hours=1)
    refused = (await ada.pay(order["id"])).expect(409)
    assert refused.body["code"] == "order_not_payable"
    assert await api.expire() == 1
    assert (await ada.read(f"/v1/orders/{order['id']}"))["status"] == "expired"
    cancel = (await ada.call("POST", f"/v1/orders/{order['id']}/cancel")).expect(409)
    assert cancel.body["code"] == "illegal_transition"


async def test_an_order_is_counted_when_all_of_it_is_given_back(api: Api, ada: Client) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    for amount, counted in ((100, 0), (None, 1)):
        (await ada.refund(payment["id"], amount)).expect(201)
        assert api.counted('orders_total{status="refunded"}') == counted
    assert (await ada.refund(payment["id"])).expect(409)
    assert api.counted('orders_total{status="refunded"}') == 1


async def test_another_users_order_is_not_there(api: Api, ada: Client) -> None:
    order = await ada.order(["game-1"])
    async with api.client("mallory") as mallory:
        assert (await mallory.call("GET", f"/v1/orders/{order['id']}")).status == 404
        assert (await mallory.call("POST", f"/v1/orders/{order['id']}/cancel")).status == 404
        assert (await mallory.pay(order["id"])).expect(404).body["code"] == "not_found"
    assert (await ada.read(f"/v1/orders/{order['id']}"))["status"] == "pending"


async def test_a_failing_catalog_is_reported(api: Api, ada: Client) -> None:
    await api.simulator.fault("catalog.get", "status", status=500)
    body = {"currency": "EUR", "items": [{"game_id": "game-77"}]}
    reply = (await ada.call("POST", "/v1/orders", json=body)).expect(503)
    assert reply.body["code"] == "integration_unavailable"
    assert "Retry-After" in reply.headers


async def test_an_answer_is_kept_for_three_days(api: Api, ada: Client) -> None:
    order = await ada.order(["game-1"])
    paid = (await ada.pay(order["id"], key="k")).expect(201)
    api.clock.forward(days=2.9)
    await api.expire()
    assert (await ada.pay(order["id"], key="k")).replayed
    api.clock.forward(days=0.2)
    await api.expire()
    again = (await ada.pay(order["id"], key="k")).expect(409)
    assert again.body["code"] == "live_payment_exists"
    assert (await ada.read(f"/v1/payments/{paid.body['id']}"))["status"] == "succeeded"
