"""An id is a UUID and no text: in upper case it names the same thing, wherever it stands."""

from uuid import uuid4

from scripts.platform.client import Client
from tests.integration.api.conftest import Api


async def test_upper_case_ids_name_the_same_things(ada: Client) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    upper, of_order = payment["id"].upper(), order["id"].upper()
    assert await ada.read(f"/v1/payments/{upper}") == payment
    assert (await ada.read(f"/v1/orders/{of_order}"))["id"] == order["id"]
    assert await ada.read(f"/v1/payments/{upper}/timeline")
    found = await ada.read(f"/v1/payments?order_id={of_order}")
    assert [each["id"] for each in found["items"]] == [payment["id"]]
    assert (await ada.read(f"/v1/payments?cursor={upper}"))["items"] == []


async def test_a_key_stands_for_one_request_however_its_ids_are_written(
    api: Api, ada: Client
) -> None:
    order = await ada.order(["game-1"])
    key = str(uuid4())
    first = (await ada.pay(order["id"], key=key)).expect(201)
    again = (await ada.pay(order["id"].upper(), key=key)).expect(201)
    assert again.replayed
    assert again.body == first.body
    refund = f"/v1/payments/{first.body['id']}/refunds"
    upper = f"/v1/payments/{first.body['id'].upper()}/refunds"
    body, key = {"amount": 100, "reason": "x"}, str(uuid4())
    made = (await ada.call("POST", refund, json=body, key=key)).expect(201)
    again = (await ada.call("POST", upper, json=body, key=key)).expect(201)
    assert again.replayed
    assert again.body == made.body
    other = await ada.call("POST", refund, json={**body, "amount": 101}, key=key)
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    await api.sound()


async def test_a_key_does_not_stand_for_another_path(ada: Client) -> None:
    payments = [(await ada.pay((await ada.order([game]))["id"])).expect(201).body["id"]
                for game in ("game-1", "game-2")]  # fmt: skip
    key, body = str(uuid4()), {"amount": 100, "reason": "x"}
    await ada.call("POST", f"/v1/payments/{payments[0]}/refunds", json=body, key=key)
    for path in (f"{payments[1]}/refunds", f"{payments[0]}/cancel"):
        sent = body if path.endswith("refunds") else {}
        other = await ada.call("POST", f"/v1/payments/{path}", json=sent, key=key)
        assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
