"""What one user can learn of another's things, and what words can do to the database: nothing."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from scripts.platform.client import Client, Reply
from tests.integration.api.conftest import Api

WORDS = [
    "'; DROP TABLE payments; --",
    "x' OR '1'='1",
    "%s %(name)s {0} %",
    "\\'; SELECT pg_sleep(9); --",
    '"; $$ \\\\ /* ',
    "Robert\u2019); \U0001f3ae \u202e",
]


@pytest.fixture
async def mallory(api: Api) -> AsyncIterator[Client]:
    async with api.client("mallory") as client:
        yield client


def visible(reply: Reply) -> tuple[int, dict[str, Any], set[str]]:
    """Return all that an answer says but the id of its request."""
    body = {name: value for name, value in reply.body.items() if name != "correlation_id"}
    return reply.status, body, set(reply.headers)


async def test_another_users_things_are_as_absent_as_those_that_never_were(
    ada: Client, mallory: Client
) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    for path, identifier in (
        ("/v1/orders/{}", order["id"]),
        ("/v1/payments/{}", payment["id"]),
        ("/v1/payments/{}/timeline", payment["id"]),
        ("/v1/payments/{}/refunds", payment["id"]),
    ):
        foreign = await mallory.call("GET", path.format(identifier))
        missing = await mallory.call("GET", path.format(uuid4()))
        assert visible(foreign) == visible(missing)
        assert (foreign.status, foreign.body["code"]) == (404, "not_found")


async def test_another_users_things_cannot_be_acted_on(ada: Client, mallory: Client) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    assert visible(await mallory.pay(order["id"])) == visible(await mallory.pay(str(uuid4())))
    assert visible(await mallory.refund(payment["id"], 1)) == visible(
        await mallory.refund(str(uuid4()), 1)
    )
    for act in (mallory.capture, mallory.cancel):
        foreign, missing = await act(payment["id"]), await act(str(uuid4()))
        assert visible(foreign) == visible(missing)
        assert foreign.status == 404
    after = await ada.read(f"/v1/payments/{payment['id']}")
    assert after == payment


async def test_lists_hold_only_what_is_ones_own(ada: Client, mallory: Client) -> None:
    order = await ada.order(["game-1"])
    await ada.pay(order["id"])
    assert (await mallory.read("/v1/orders"))["items"] == []
    assert (await mallory.read("/v1/payments"))["items"] == []
    assert (await mallory.read(f"/v1/payments?order_id={order['id']}"))["items"] == []


@pytest.mark.parametrize("words", WORDS, ids=range(len(WORDS)))
async def test_words_stay_words(api: Api, words: str) -> None:
    async with api.client(words.replace("\u202e", "")) as client:
        order = await client.order(["game-1"])
        payment = (await client.pay(order["id"], key=str(uuid4()))).expect(201).body
        refund = await client.call(
            "POST",
            f"/v1/payments/{payment['id']}/refunds",
            json={"reason": words},
            key=str(uuid4()),
        )
        assert refund.expect(201).body["reason"] == words
        listed = await client.read(f"/v1/payments/{payment['id']}/refunds")
        assert [each["reason"] for each in listed["items"]] == [words]
    await api.sound()


@pytest.mark.parametrize("words", WORDS[:5], ids=range(5))
async def test_words_in_other_places_are_refused(ada: Client, words: str) -> None:
    body = {"currency": "EUR", "items": [{"game_id": words, "quantity": 1}]}
    assert (await ada.call("POST", "/v1/orders", json=body)).status == 422
    for name in ("status", "cursor", "limit"):
        assert (await ada.call("GET", f"/v1/orders?{urlencode({name: words})}")).status == 422
