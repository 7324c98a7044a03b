"""Orders under an Idempotency-Key: one order for each key, and the answer of the first request."""

import asyncio
from typing import Any

import aiohttp
import pytest

from scripts.platform.client import Client, Reply
from tests.integration.api.conftest import Api, Start

BODY = {"currency": "EUR", "items": [{"game_id": "game-11"}, {"game_id": "game-12"}]}


async def order(buyer: Client, key: str | None, body: Any = BODY) -> Reply:
    return await buyer.call("POST", "/v1/orders", json=body, key=key)


async def orders_of(buyer: Client) -> list[str]:
    return [each["id"] for each in (await buyer.read("/v1/orders?limit=100"))["items"]]


async def test_fifty_requests_at_once_make_one_order(ada: Client) -> None:
    replies = await asyncio.gather(*(order(ada, "the-cart") for _ in range(50)))
    assert [reply.status for reply in replies] == [201] * 50
    [made] = await orders_of(ada)
    assert {reply.body["id"] for reply in replies} == {made}
    assert {reply.headers["Location"] for reply in replies} == {f"/v1/orders/{made}"}
    assert [reply.replayed for reply in replies].count(False) == 1


async def test_two_processes_make_one_order(ada: Client, start_api: Start) -> None:
    other = await start_api()
    async with other.client() as elsewhere:
        replies = await asyncio.gather(*(order(who, "k") for who in (ada, elsewhere) * 10))
        assert {reply.status for reply in replies} == {201}
        assert len(await orders_of(elsewhere)) == 1


async def test_a_repeat_gets_the_first_answer_whatever_has_changed(api: Api, ada: Client) -> None:
    first = (await order(ada, "k")).expect(201)
    assert not first.replayed
    await ada.call("POST", f"/v1/orders/{first.body['id']}/cancel")
    await api.simulator.fault("catalog.get", "status", status=500, times=100)
    again = (await order(ada, "k", {**BODY, "items": list(BODY["items"])})).expect(201)
    assert again.replayed
    assert again.body == first.body
    assert again.headers["Location"] == first.headers["Location"]


async def test_a_key_belongs_to_one_body_and_one_caller(api: Api, ada: Client) -> None:
    first = (await order(ada, "k")).expect(201)
    other = {"currency": "EUR", "items": [{"game_id": "game-13"}]}
    assert (await order(ada, "k", other)).expect(422).body["code"] == "idempotency_key_reused"
    assert (await ada.pay(first.body["id"], key="k")).status == 422
    async with api.client("bob") as bob:
        mine = (await order(bob, "k")).expect(201)
        assert not mine.replayed
        assert mine.body["id"] != first.body["id"]
    assert len(await orders_of(ada)) == 1


async def test_a_payments_key_makes_no_order(ada: Client) -> None:
    paid = (await order(ada, None)).expect(201)
    (await ada.pay(paid.body["id"], key="k")).expect(201)
    assert (await order(ada, "k")).expect(422).body["code"] == "idempotency_key_reused"


async def test_a_refused_order_leaves_its_key_free(ada: Client) -> None:
    unknown = {"currency": "EUR", "items": [{"game_id": "no-such-game"}]}
    assert (await order(ada, "k", unknown)).status == 422
    assert (await order(ada, "k")).status == 201


async def test_without_a_key_each_request_makes_an_order(ada: Client) -> None:
    replies = [await order(ada, None) for _ in range(2)]
    assert len({reply.expect(201).body["id"] for reply in replies}) == 2
    assert not any(reply.replayed for reply in replies)


@pytest.mark.parametrize("key", ["k" * 256, "a b", "ü"])
async def test_a_key_that_cannot_be_one(ada: Client, key: str) -> None:
    reply = await order(ada, key)
    assert reply.expect(400).body["code"] == "idempotency_key_invalid"


async def test_an_answer_is_kept_for_three_days(api: Api, ada: Client) -> None:
    first = (await order(ada, "k")).expect(201)
    api.clock.forward(days=2.9)
    await api.expire()
    assert (await order(ada, "k")).body == first.body
    api.clock.forward(days=0.2)
    await api.expire()
    assert (await order(ada, "k")).expect(201).body["id"] != first.body["id"]


async def test_the_document_tells_it(api: Api) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{api.url}/openapi.json") as reply:
        document = await reply.json()
    create = document["paths"]["/v1/orders"]["post"]
    names = [each["$ref"].rsplit("/", 1)[1] for each in create["parameters"] if "$ref" in each]
    assert names == ["OptionalIdempotencyKey", "CorrelationId"]
    parameter = document["components"]["parameters"]["OptionalIdempotencyKey"]
    assert (parameter["name"], parameter["required"]) == ("Idempotency-Key", False)
    assert "Idempotent-Replayed" in create["responses"]["201"]["headers"]
    assert "idempotency_key_invalid" in examples(create, "400")
    assert "idempotency_key_missing" not in examples(create, "400")
    assert "idempotency_key_in_flight" in examples(create, "409")
    assert "idempotency_key_reused" in examples(create, "422")


def examples(operation: dict[str, Any], status: str) -> dict[str, Any]:
    found: dict[str, Any] = operation["responses"][status]["content"]["application/problem+json"]
    return dict(found["examples"])
