"""A customer's whole way over HTTP, against real processes."""

from typing import Any
from uuid import uuid4

import pytest

from scripts.platform.client import Client
from simulator.client import Control
from tests.support.services import ADMIN, Services


async def all_is_well(admin: Client) -> None:
    """Every money invariant holds, once nothing is under way any more."""
    money = await admin.until(
        "/v1/admin/invariants", lambda body: not any(body["pending"].values())
    )
    assert money["invariants"], "the invariants are counted"
    assert set(money["invariants"].values()) == {0}


def names(shelf: Any) -> list[str]:
    return sorted(grant["game_id"] for grant in shelf)


async def test_order_pay_grant_refund_revoke(start_service: Services, simulator: Control) -> None:
    api = await start_service("api")
    await start_service("worker")
    async with api.client("ada", ADMIN) as ada:
        order = await ada.order(["game-1", "game-2"])
        paid = (await ada.pay(order["id"])).expect(201).body
        assert (paid["status"], paid["amount"], paid["captured"]) == (
            "succeeded",
            order["total"],
            order["total"],
        )
        await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
        assert names(await simulator.shelf("ada")) == ["game-1", "game-2"]

        part = (await ada.refund(paid["id"], 100)).expect(201).body
        assert (part["status"], part["amount"]) == ("succeeded", 100)
        assert len(await simulator.shelf("ada")) == 2, "a part refunded takes no game away"

        rest = (await ada.refund(paid["id"])).expect(201).body
        assert rest["amount"] == order["total"] - 100
        await simulator.until("revoked", 2)
        assert await simulator.shelf("ada") == []
        assert (await ada.read(f"/v1/orders/{order['id']}"))["status"] == "refunded"

        await all_is_well(ada)
        entries = (await ada.read(f"/v1/admin/ledger?payment_id={paid['id']}"))["items"]
        assert sum(entry["amount"] for entry in entries) == 0
        assert len({entry["transaction_id"] for entry in entries}) == 3
    state = await simulator.state()
    assert [charge["amount_refunded"] for charge in state["charges"]] == [order["total"]]


async def test_a_repeated_request_gets_the_stored_answer(
    start_service: Services, simulator: Control
) -> None:
    api = await start_service("api")
    async with api.client("ada") as ada:
        order = await ada.order(["game-1"])
        key = str(uuid4())
        first = (await ada.pay(order["id"], key=key)).expect(201)
        again = (await ada.pay(order["id"], key=key)).expect(201)
        assert (first.replayed, again.replayed) == (False, True)
        assert again.body == first.body
        other = await ada.pay(order["id"], key=key, capture="manual")
        assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    assert (await simulator.state())["counts"]["charges"] == 1


@pytest.mark.parametrize("method", ["pm_declined", "pm_insufficient_funds"])
async def test_a_declined_payment_fails_and_the_order_can_be_paid_again(
    start_service: Services, simulator: Control, method: str
) -> None:
    api = await start_service("api")
    async with api.client("ada", ADMIN) as ada:
        order = await ada.order(["game-3"])
        declined = (await ada.pay(order["id"], payment_method=method)).expect(201).body
        assert (declined["status"], declined["captured"]) == ("failed", 0)
        assert declined["failure_code"] in ("card_declined", "insufficient_funds")
        assert (await ada.pay(order["id"])).expect(201).body["status"] == "succeeded"
    assert [c["status"] for c in (await simulator.state())["charges"]] == ["declined", "succeeded"]


async def test_another_users_payment_is_not_found(start_service: Services) -> None:
    api = await start_service("api")
    async with api.client("ada") as ada, api.client("eve") as eve:
        order = await ada.order(["game-1"])
        paid = (await ada.pay(order["id"])).expect(201).body
        assert (await eve.call("GET", f"/v1/payments/{paid['id']}")).status == 404
        assert (await eve.refund(paid["id"])).status == 404
        assert (await eve.pay(order["id"])).status == 404


async def test_a_held_payment_is_captured_or_let_go(
    start_service: Services, simulator: Control
) -> None:
    api = await start_service("api")
    await start_service("worker")
    async with api.client("ada", ADMIN) as ada:
        order = await ada.order(["game-8"])
        held = (await ada.pay(order["id"], capture="manual")).expect(201).body
        assert (held["status"], held["captured"]) == ("authorized", 0)
        assert await simulator.shelf("ada") == [], "no game before the money is there"
        let_go = (await ada.cancel(held["id"])).expect(200).body
        assert let_go["status"] == "canceled"

        held = (await ada.pay(order["id"], capture="manual")).expect(201).body
        taken = (await ada.capture(held["id"])).expect(200).body
        assert (taken["status"], taken["captured"]) == ("succeeded", order["total"])
        await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
        await all_is_well(ada)
    statuses = [charge["status"] for charge in (await simulator.state())["charges"]]
    assert statuses == ["canceled", "succeeded"]


async def test_one_correlation_id_runs_from_the_client_to_the_worker(
    start_service: Services,
) -> None:
    api, worker = await start_service("api"), await start_service("worker")
    async with api.client("ada") as ada:
        order = await ada.order(["game-9"])
        paid = await ada.call(
            "POST",
            "/v1/payments",
            json={"order_id": order["id"]},
            key=str(uuid4()),
            headers={"X-Correlation-ID": "from-the-till"},
        )
        assert paid.expect(201).headers["X-Correlation-ID"] == "from-the-till"
        await ada.until_status(f"/v1/orders/{order['id']}", "fulfilled")
        events = (await ada.read(f"/v1/payments/{paid.body['id']}/timeline"))["items"]
    assert {event["correlation_id"] for event in events} == {"from-the-till"}
    for service in (api, worker):
        said = [r for r in service.records() if r.get("correlation_id") == "from-the-till"]
        assert said, service.child.name
        assert any(record.get("payment_id") == paid.body["id"] for record in said)
