"""Many at once over HTTP: the money comes out right."""

import asyncio
from uuid import uuid4

from scripts.platform.client import Client
from tests.integration.api.conftest import Api


async def test_twelve_refunds_of_60_of_100_percent(api: Api, ada: Client) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    share = payment["amount"] * 6 // 10
    replies = await asyncio.gather(*(ada.refund(payment["id"], share) for _ in range(12)))
    assert sorted(reply.status for reply in replies) == [201] + [409] * 11
    codes = {reply.body["code"] for reply in replies if reply.status == 409}
    assert codes == {"refund_exceeds_captured"}
    assert len((await api.simulator.state())["refunds"]) == 1
    await api.sound()


async def test_fifty_requests_under_one_key_make_one_payment(api: Api, ada: Client) -> None:
    order, key = await ada.order(["game-1"]), str(uuid4())
    replies = await asyncio.gather(*(ada.pay(order["id"], key=key) for _ in range(50)))
    made = [reply for reply in replies if reply.status == 201 and not reply.replayed]
    others = [reply for reply in replies if reply not in made]
    assert len(made) == 1
    assert {r.status for r in others} <= {201, 409}
    assert all(r.replayed for r in others if r.status == 201)
    assert all("Retry-After" in r.headers for r in others if r.status == 409)
    assert len((await api.simulator.state())["charges"]) == 1
    await api.sound()


async def test_fifty_payments_of_one_order_make_one_live_payment(api: Api, ada: Client) -> None:
    order = await ada.order(["game-1"])
    replies = await asyncio.gather(*(ada.pay(order["id"]) for _ in range(50)))
    assert sorted(reply.status for reply in replies) == [201] + [409] * 49
    assert len((await api.simulator.state())["charges"]) == 1
    await api.sound()


async def test_one_game_in_many_orders_is_sold_once(api: Api, ada: Client) -> None:
    orders = [await ada.order(["game-1", f"game-{n}"]) for n in range(2, 12)]
    replies = await asyncio.gather(*(ada.pay(order["id"]) for order in orders))
    paid = [r for r in replies if r.status == 201 and r.body["status"] == "succeeded"]
    assert len(paid) == 1
    assert len((await api.simulator.state())["charges"]) == 1
    await api.deliver()
    shelf = [grant["game_id"] for grant in await api.simulator.shelf("ada")]
    assert shelf.count("game-1") == 1
    await api.sound()


async def test_cancel_and_pay_race_for_an_order(api: Api, ada: Client) -> None:
    for game in range(10, 22):
        order = await ada.order([f"game-{game}"])
        paying, canceling = await asyncio.gather(
            ada.pay(order["id"]), ada.call("POST", f"/v1/orders/{order['id']}/cancel")
        )
        assert sorted((paying.status // 100, canceling.status // 100)) == [2, 4]
    await api.sound()


async def test_a_key_stands_for_one_request(api: Api, ada: Client) -> None:
    first, second = await ada.order(["game-1"]), await ada.order(["game-2"])
    key = str(uuid4())
    (await ada.pay(first["id"], key=key)).expect(201)
    reused = (await ada.pay(second["id"], key=key)).expect(422)
    assert reused.body["code"] == "idempotency_key_reused"
    async with api.client("bob") as bob:  # keys belong to their caller
        order = await bob.order(["game-1"])
        (await bob.pay(order["id"], key=key)).expect(201)
    await api.sound()
