"""SimPay: charges, captures, cancels and refunds."""

from typing import Any

import pytest

from tests.unit.simulator.conftest import MAX_RECORDS, Caller

Body = dict[str, Any]


async def charged(simpay: Caller, body: Body, key: str = "k1") -> Body:
    answer = await simpay("POST", "/charges", body, key=key)
    assert answer.status == 200
    charge: Body = answer.body
    return charge


async def test_a_charge_tells_everything(simpay: Caller, new_charge: Body) -> None:
    charge = await charged(simpay, new_charge)
    assert charge.pop("id").startswith("ch_")
    assert isinstance(charge.pop("created"), int)
    assert charge == {
        "object": "charge",
        "status": "succeeded",
        "amount": 1999,
        "currency": "EUR",
        "capture": True,
        "amount_captured": 1999,
        "amount_refunded": 0,
        "failure_code": None,
        "idempotency_key": "k1",
        "reference": new_charge["reference"],
    }


@pytest.mark.parametrize(
    ("method", "capture", "status", "failure_code", "captured"),
    [
        ("pm_ok", True, "succeeded", None, 1999),
        ("pm_ok", False, "authorized", None, 0),
        ("pm_declined", True, "declined", "card_declined", 0),
        ("pm_insufficient_funds", True, "declined", "insufficient_funds", 0),
        ("pm_requires_action", True, "requires_action", None, 0),
    ],
)
async def test_the_payment_method_decides(
    simpay: Caller,
    new_charge: Body,
    method: str,
    capture: bool,  # noqa: FBT001
    status: str,
    failure_code: str | None,
    captured: int,
) -> None:
    charge = await charged(simpay, {**new_charge, "payment_method": method, "capture": capture})
    told = (charge["status"], charge["failure_code"], charge["amount_captured"])
    assert told == (status, failure_code, captured)


async def test_the_same_key_and_body_is_one_charge(simpay: Caller, new_charge: Body) -> None:
    first = await simpay("POST", "/charges", new_charge, key="k1")
    again = await simpay("POST", "/charges", dict(reversed(new_charge.items())), key="k1")
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.body == first.body
    listed = await simpay("GET", "/charges")
    assert len(listed.body["data"]) == 1


async def test_the_same_key_with_another_body_is_refused(simpay: Caller, new_charge: Body) -> None:
    await charged(simpay, new_charge)
    answer = await simpay("POST", "/charges", {**new_charge, "amount": 1}, key="k1")
    assert (answer.status, answer.body["error"]["code"]) == (409, "idempotency_mismatch")


async def test_a_charge_is_found_by_key_and_reference(simpay: Caller, new_charge: Body) -> None:
    charge = await charged(simpay, new_charge)
    await charged(simpay, {**new_charge, "reference": "other"}, key="k2")
    for query in ({"idempotency_key": "k1"}, {"reference": new_charge["reference"]}):
        found = await simpay("GET", "/charges", params=query)
        assert found.body == {"data": [charge], "has_more": False}
    nothing = await simpay("GET", "/charges", params={"idempotency_key": "never"})
    assert nothing.body["data"] == []
    assert (await simpay("GET", f"/charges/{charge['id']}")).body == charge


async def test_pages_go_from_new_to_old(simpay: Caller, new_charge: Body) -> None:
    ids = [(await charged(simpay, new_charge, f"k{n}"))["id"] for n in range(5)]
    seen: list[str] = []
    query = {"limit": "2"}
    while True:
        page = (await simpay("GET", "/charges", params=query)).body
        seen += [charge["id"] for charge in page["data"]]
        if not page["has_more"]:
            break
        query["starting_after"] = seen[-1]
    assert seen == ids[::-1]
    unknown = await simpay("GET", "/charges", params={"starting_after": "ch_no"})
    assert unknown.body["error"]["code"] == "cursor_unknown"


async def test_an_authorization_is_captured_once(simpay: Caller, new_charge: Body) -> None:
    charge = await charged(simpay, {**new_charge, "capture": False})
    path = f"/charges/{charge['id']}/capture"
    over = await simpay("POST", path, {"amount": 2000}, key="c0")
    assert (over.status, over.body["error"]["code"]) == (400, "amount_too_large")
    part = await simpay("POST", path, {"amount": 1500}, key="c1")
    assert (part.body["status"], part.body["amount_captured"]) == ("succeeded", 1500)
    replay = await simpay("POST", path, {"amount": 1500}, key="c1")
    assert (replay.status, replay.body) == (200, part.body)
    again = await simpay("POST", path, {"amount": 499}, key="c2")
    assert (again.status, again.body["error"]["code"]) == (409, "charge_not_capturable")


async def test_only_what_is_not_captured_is_canceled(simpay: Caller, new_charge: Body) -> None:
    held = await charged(simpay, {**new_charge, "capture": False})
    canceled = await simpay("POST", f"/charges/{held['id']}/cancel", key="x1")
    assert (canceled.status, canceled.body["status"]) == (200, "canceled")
    taken = await charged(simpay, new_charge, "k2")
    refused = await simpay("POST", f"/charges/{taken['id']}/cancel", key="x2")
    assert (refused.status, refused.body["error"]["code"]) == (409, "charge_not_cancelable")


async def test_refunds_add_up_to_the_capture_and_no_further(
    simpay: Caller, new_charge: Body
) -> None:
    charge = await charged(simpay, new_charge)
    path = f"/charges/{charge['id']}/refunds"
    first = await simpay("POST", path, {"amount": 1000}, key="r1")
    assert first.body["id"].startswith("re_")
    assert (first.body["charge"], first.body["status"]) == (charge["id"], "succeeded")
    over = await simpay("POST", path, {"amount": 1000}, key="r2")
    assert (over.status, over.body["error"]["code"]) == (400, "amount_too_large")
    assert (await simpay("POST", path, {"amount": 999}, key="r3")).status == 200
    assert (await simpay("GET", f"/charges/{charge['id']}")).body["amount_refunded"] == 1999
    found = await simpay("GET", "/refunds", params={"idempotency_key": "r1"})
    assert found.body["data"] == [first.body]
    both = await simpay("GET", "/refunds", params={"charge": charge["id"]})
    assert [refund["amount"] for refund in both.body["data"]] == [999, 1000]


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"amount": "1999"},
        {"amount": True},
        {"currency": "eur"},
        {"capture": "yes"},
        {"payment_method": "pm_of_nobody"},
        {"reference": ""},
        {"surprise": 1},
    ],
)
async def test_wrong_bodies_are_refused(simpay: Caller, new_charge: Body, change: Body) -> None:
    answer = await simpay("POST", "/charges", {**new_charge, **change}, key="k1")
    assert answer.status == 400
    assert answer.body["error"]["message"]
    assert (await simpay("GET", "/charges")).body["data"] == []


async def test_what_a_request_lacks_is_said(simpay: Caller, new_charge: Body) -> None:
    keyless = await simpay("POST", "/charges", new_charge)
    assert keyless.body["error"]["code"] == "idempotency_key_missing"
    broken = await simpay("POST", "/charges", key="k1", data=b"{")
    assert (broken.status, broken.body["error"]["code"]) == (400, "malformed_json")
    missing = await simpay("GET", "/charges/ch_no")
    assert (missing.status, missing.body["error"]["code"]) == (404, "charge_not_found")
    limit = await simpay("GET", "/charges", params={"limit": "1000"})
    assert (limit.status, limit.body["error"]["code"]) == (400, "invalid_query")
    nowhere = await simpay("GET", "/nowhere")
    assert (nowhere.status, nowhere.body["error"]["code"]) == (404, "not_found")
    huge = await simpay("POST", "/charges", {**new_charge, "reference": "x" * 70_000}, key="k1")
    assert huge.status == 413


async def test_without_the_key_nothing_is_told(simpay: Caller, new_charge: Body) -> None:
    stranger = Caller(simpay._session, "/provider/v1", "guess")
    for method, path in (("POST", "/charges"), ("GET", "/charges"), ("GET", "/refunds")):
        answer = await stranger(method, path, new_charge if method == "POST" else None, key="k")
        assert (answer.status, answer.body["error"]["code"]) == (401, "unauthorized")


async def test_a_full_simulator_forgets_nothing(simpay: Caller, new_charge: Body) -> None:
    for number in range(MAX_RECORDS):
        await charged(simpay, new_charge, f"k{number}")
    refused = await simpay("POST", "/charges", new_charge, key="one more")
    assert (refused.status, refused.body["error"]["code"]) == (429, "simulator_full")
    replay = await simpay("POST", "/charges", new_charge, key="k0")
    assert replay.headers["Idempotent-Replayed"] == "true"
