"""Amounts that no provider takes are refused when the order is made, and routing knows them."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from scripts.platform.client import Client, Reply
from tests.integration.api.conftest import Api, Start
from tests.support.recorded import Recorded, paid, recorded_server

STRIPE = {"PROVIDERS": "stripe", "DEFAULT_PROVIDER": "stripe", "STRIPE_API_KEY": "sk_test_x"}
BOTH = {**STRIPE, "PROVIDERS": "stripe,simulator"}
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
async def stripe() -> AsyncIterator[Recorded]:
    async with recorded_server() as recorded:
        recorded.otherwise = paid
        yield recorded


async def order(
    api: Api, buyer: Client, minor: int, currency: str = "EUR", quantity: int = 1
) -> Reply:
    """Order a game of this price."""
    game = await api.simulator.sell(f"priced-{uuid4().hex}", **{currency: minor})
    body = {"currency": currency, "items": [{"game_id": game, "quantity": quantity}]}
    return await buyer.call("POST", "/v1/orders", json=body)


@pytest.mark.parametrize(
    ("currency", "least"), [("EUR", 50), ("GBP", 30), ("JPY", 50), ("USD", 50)]
)
async def test_stripes_limits_hold_for_the_order(
    start_api: Start, currency: str, least: int
) -> None:
    api = await start_api(**STRIPE)
    async with api.client() as ada:
        for minor, status in ((least - 1, 422), (least, 201), (99_999_999, 201), (10**8, 422)):
            reply = (await order(api, ada, minor, currency)).expect(status)
            if status == 422:
                assert reply.body["code"] == "amount_not_payable"
                assert currency in reply.body["detail"]


@pytest.mark.parametrize(
    ("minor", "quantity"), [(10**8, 1), (10**13, 1), (10**7, 10), (10**30, 10), (2**63, 1)]
)
async def test_an_amount_that_nobody_takes_is_refused(
    api: Api, ada: Client, minor: int, quantity: int
) -> None:
    reply = (await order(api, ada, minor, quantity=quantity)).expect(422)
    assert reply.body["code"] == "amount_not_payable"
    assert "0.01 EUR to 999999.99 EUR" in reply.body["detail"]


async def test_the_total_counts_and_not_the_price(start_api: Start) -> None:
    api = await start_api(**STRIPE)
    async with api.client() as ada:
        (await order(api, ada, 10, quantity=4)).expect(422)
        (await order(api, ada, 10, quantity=5)).expect(201)


@pytest.mark.parametrize(
    ("minor", "detail"),
    [
        (0, "costs nothing in EUR, and what is free is not sold here"),
        (-1, "is not for sale in EUR"),
    ],
)
async def test_what_costs_nothing_is_refused_with_words(
    api: Api, ada: Client, minor: int, detail: str
) -> None:
    reply = (await order(api, ada, minor)).expect(422)
    assert reply.body["code"] == "game_unavailable"
    assert reply.body["errors"] == [{"field": "$.items[0].game_id", "detail": detail}]


async def test_routing_leaves_out_a_provider_that_does_not_take_the_amount(
    start_api: Start, stripe: Recorded
) -> None:
    api = await start_api(**BOTH, STRIPE_URL=stripe.url)
    async with api.client() as ada:
        made = (await order(api, ada, 30)).expect(201).body
        asked = (await ada.pay(made["id"], provider="stripe", key="k")).expect(422)
        assert asked.body["code"] == "amount_not_payable"
        payment = (await ada.pay(made["id"])).expect(201).body
        assert (payment["provider"], payment["status"]) == ("simulator", "succeeded")
        found = await ada.read(f"/v1/payments?order_id={made['id']}")
        assert len(found["items"]) == 1
        usual = (await order(api, ada, 1999)).expect(201).body
        # The refused request has left its key free.
        assert (await ada.pay(usual["id"], key="k")).expect(201).body["provider"] == "stripe"
    assert len(stripe.asked) == 1
    await api.sound()


async def test_a_payment_is_not_handed_to_a_provider_that_does_not_take_it(
    start_api: Start, stripe: Recorded
) -> None:
    api = await start_api(
        **{**BOTH, "DEFAULT_PROVIDER": "simulator"}, STRIPE_URL=stripe.url, SIMULATOR_URL=NOBODY
    )
    async with api.client() as ada:
        made = (await order(api, ada, 30)).expect(201).body
        payment = (await ada.pay(made["id"])).expect(201).body
        assert (payment["status"], payment["failure_code"]) == ("failed", "provider_unavailable")
    assert not stripe.asked
    await api.sound()


@pytest.mark.parametrize(
    ("currency", "minor", "counted"),
    [("EUR", 49_999, 0), ("EUR", 50_000, 1), ("JPY", 79_999, 0), ("JPY", 80_000, 1)],
)
async def test_a_failure_is_of_high_value_by_its_currency(
    start_api: Start, currency: str, minor: int, counted: int
) -> None:
    api = await start_api(SIMULATOR_URL=NOBODY)
    async with api.client() as ada:
        made = (await order(api, ada, minor, currency)).expect(201).body
        assert (await ada.pay(made["id"])).expect(201).body["status"] == "failed"
    series = 'payment_high_value_failures_total{provider="simulator"}'
    assert api.counted(series) == counted
