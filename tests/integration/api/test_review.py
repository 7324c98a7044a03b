"""What waits for a person, and the person's decision: booked like any other, and on record."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api, Start
from tests.integration.api.operators import (
    GIVE_UP_LOOKING,
    audited,
    chains_hold,
    payment_in_review,
    refund_in_review,
    resolve,
)
from tests.support.services import ADMIN


@pytest.fixture
async def api(start_api: Start) -> Api:
    return await start_api(**GIVE_UP_LOOKING)


@pytest.fixture
async def operator(api: Api) -> AsyncIterator[Client]:
    async with api.client("olga", ADMIN) as client:
        yield client


async def test_a_payment_that_succeeded_after_all_is_booked_and_granted(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = await payment_in_review(api, ada)
    queue = await operator.read("/v1/admin/review")
    assert [(item["kind"], item["id"]) for item in queue["items"]] == [("payment", payment["id"])]

    reply = (
        await resolve(operator, "payment", payment["id"], "succeeded", provider_ref="ch_1")
    ).expect(200)

    assert (reply.body["status"], reply.body["captured"]) == ("succeeded", payment["amount"])
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "paid"
    assert await api.deliver() == 1
    assert len(await api.simulator.shelf("ada")) == 1
    detail = await operator.read(f"/v1/admin/payments/{payment['id']}")
    assert sum(entry["amount"] for entry in detail["ledger"]) == 0
    assert len(detail["ledger"]) == 2
    assert [a["operation"] for a in detail["attempts"]] == ["charge", "review"]
    assert detail["provider_ref"] == "ch_1"
    [action] = detail["actions"]
    assert (action["actor"], action["action"]) == ("olga", "resolve_succeeded")
    assert action["evidence"] == {"note": "seen at the provider", "provider_ref": "ch_1"}
    assert (await operator.read("/v1/admin/review"))["items"] == []
    await chains_hold(api)
    await api.sound()


@pytest.mark.parametrize("outcome", ["failed", "canceled"])
async def test_a_payment_that_took_no_money_frees_its_order_and_games(
    api: Api, ada: Client, operator: Client, outcome: str
) -> None:
    payment = await payment_in_review(api, ada)
    found = (await resolve(operator, "payment", payment["id"], outcome)).expect(200).body
    assert (found["status"], found["failure_code"]) == (outcome, f"review_{outcome}")
    again = (await ada.pay(payment["order_id"])).expect(201).body
    assert again["status"] == "succeeded"
    await api.sound()


async def test_a_decision_is_made_once_for_a_key(api: Api, ada: Client, operator: Client) -> None:
    payment, key = await payment_in_review(api, ada), str(uuid4())
    first = (await resolve(operator, "payment", payment["id"], "failed", key=key)).expect(200)
    again = (await resolve(operator, "payment", payment["id"], "failed", key=key)).expect(200)
    assert (again.replayed, again.body) == (True, first.body)
    other = await resolve(operator, "payment", payment["id"], "canceled", key=key)
    assert other.expect(422).body["code"] == "idempotency_key_reused"
    assert await audited(operator, payment["id"]) == [("olga", "payment", "resolve_failed")]


async def test_of_operators_at_once_one_decides(api: Api, ada: Client, operator: Client) -> None:
    payment = await payment_in_review(api, ada)
    outcomes = ["succeeded", "failed"] * 6
    replies = await asyncio.gather(
        *(
            resolve(operator, "payment", payment["id"], outcome, provider_ref="ch_1")
            for outcome in outcomes
        )
    )
    assert sorted(reply.status for reply in replies) == [200] + [409] * 11
    assert {r.body["code"] for r in replies if r.status == 409} == {"illegal_transition"}
    assert len(await audited(operator, payment["id"])) == 1
    await chains_hold(api)
    await api.sound()


@pytest.mark.impatient
async def test_an_operator_and_the_completer_do_not_both_decide(
    api: Api, ada: Client, operator: Client
) -> None:
    """Only what is in review is an operator's; until then the completer looks."""
    await api.simulator.fault("provider.charge", "timeout_after", times=1)
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(202).body
    api.clock.forward(seconds=5)
    reply, found = await asyncio.gather(
        resolve(operator, "payment", payment["id"], "failed"), api.complete()
    )
    assert (reply.status, found) == (409, 1)
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "succeeded"
    await api.sound()


@pytest.mark.parametrize(
    ("evidence", "field"),
    [
        ({}, "$.evidence.provider_ref"),
        ({"provider_ref": "ch_1", "amount": 1}, "$.evidence.amount"),
        ({"provider_ref": "ch 1"}, "$.evidence.provider_ref"),
        ({"note": ""}, "$.evidence.note"),
    ],
)
async def test_success_needs_evidence(
    api: Api, ada: Client, operator: Client, evidence: dict[str, Any], field: str
) -> None:
    payment = await payment_in_review(api, ada)
    reply = (await resolve(operator, "payment", payment["id"], "succeeded", **evidence)).expect(422)
    assert [error["field"] for error in reply.body["errors"]] == [field]
    assert await audited(operator, payment["id"]) == []


async def test_who_overrules_an_amount_names_it(api: Api, ada: Client, operator: Client) -> None:
    await api.simulator.fault("provider.charge", "wrong_amount", times=1)
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(202).body
    bare = (await resolve(operator, "payment", payment["id"], "succeeded")).expect(422)
    assert bare.body["errors"][0]["field"] == "$.evidence.amount"
    other = await resolve(operator, "payment", payment["id"], "succeeded", provider_ref="ch_x")
    assert other.expect(422).body["errors"][0]["field"] == "$.evidence.provider_ref"
    full = await resolve(operator, "payment", payment["id"], "succeeded", amount=payment["amount"])
    assert full.expect(200).body["captured"] == payment["amount"]
    await api.sound()


async def test_a_charge_pays_for_one_payment(api: Api, ada: Client, operator: Client) -> None:
    first, second = [await payment_in_review(api, ada, game) for game in ("game-1", "game-2")]
    (await resolve(operator, "payment", first["id"], "succeeded", provider_ref="ch_1")).expect(200)
    taken = await resolve(operator, "payment", second["id"], "succeeded", provider_ref="ch_1")
    assert taken.expect(422).body["errors"][0]["field"] == "$.evidence.provider_ref"
    assert await audited(operator, second["id"]) == []
    await api.sound()


@pytest.mark.parametrize(("outcome", "order"), [("succeeded", "refunded"), ("failed", "paid")])
async def test_a_refund_is_decided(
    api: Api, ada: Client, operator: Client, outcome: str, order: str
) -> None:
    refund = await refund_in_review(api, ada)
    queue = (await operator.read("/v1/admin/review"))["items"]
    assert [(item["kind"], item["id"]) for item in queue] == [("refund", refund["id"])]
    found = (await resolve(operator, "refund", refund["id"], outcome)).expect(200).body
    assert found["status"] == outcome
    payment = await ada.read(f"/v1/payments/{refund['payment_id']}")
    refunded = refund["amount"] if outcome == "succeeded" else 0
    assert (payment["refunded"], payment["refund_pending"]) == (refunded, 0)
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == order
    assert api.counted('orders_total{status="refunded"}') == (order == "refunded")
    assert await audited(operator, payment["id"]) == [("olga", "refund", f"resolve_{outcome}")]
    await chains_hold(api)
    await api.sound()


async def test_two_operators_on_one_refund(api: Api, ada: Client, operator: Client) -> None:
    refund = await refund_in_review(api, ada, 100)
    replies = await asyncio.gather(
        *(resolve(operator, "refund", refund["id"], o) for o in ["succeeded", "failed"] * 4)
    )
    assert sorted(reply.status for reply in replies) == [200] + [409] * 7
    await api.sound()


async def test_the_queue_is_read_page_by_page(api: Api, ada: Client, operator: Client) -> None:
    made = [(await payment_in_review(api, ada, f"game-{n}"))["id"] for n in (1, 2, 3)]
    first = await operator.read("/v1/admin/review?limit=2")
    assert [item["id"] for item in first["items"]] == made[:2]
    rest = await operator.read(f"/v1/admin/review?limit=2&cursor={first['next_cursor']}")
    assert ([item["id"] for item in rest["items"]], rest["next_cursor"]) == (made[2:], None)


async def test_only_operators_decide_and_look(api: Api, ada: Client) -> None:
    payment = await payment_in_review(api, ada)
    assert (await resolve(ada, "payment", payment["id"], "failed")).status == 403
    for path in (f"payments/{payment['id']}", "review", "outbox", "reconciliation/differences"):
        assert (await ada.call("GET", f"/v1/admin/{path}")).status == 403


@pytest.mark.parametrize("kind", ["payment", "refund"])
async def test_what_is_not_there_is_not_found(operator: Client, kind: str) -> None:
    missing = str(uuid4())
    assert (await resolve(operator, kind, missing, "failed")).status == 404
    assert (await operator.call("GET", f"/v1/admin/payments/{missing}")).status == 404


@pytest.mark.as_owner
async def test_the_trail_cannot_be_changed_and_a_change_would_show(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = await payment_in_review(api, ada)
    (await resolve(operator, "payment", payment["id"], "failed")).expect(200)
    db = api.context.db
    for change in ("UPDATE admin_actions SET actor = 'x'", "DELETE FROM admin_actions"):
        with pytest.raises(Exception, match="append-only"):
            await db.fetch(change)
    async with db.transaction() as transaction:
        await transaction.fetch("ALTER TABLE admin_actions DISABLE TRIGGER USER")
        await transaction.fetch("UPDATE admin_actions SET actor = 'x'")
    broken = await db.fetch("SELECT subject_id FROM invariant_broken_admin_chains")
    assert broken == [(payment["id"],)]


async def test_a_charge_on_its_way_back_pays_nothing(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = await payment_in_review(api, ada)
    await api.context.db.fetch(
        "INSERT INTO orphan_captures (id, provider, provider_ref, payment_id, amount_minor,"
        " currency, next_attempt_at, correlation_id, created_at, updated_at)"
        " VALUES (%s, 'simulator', 'ch_1', %s, 1, 'EUR', now(), '', now(), now())",
        (str(uuid4()), payment["id"]),
    )
    refused = await resolve(operator, "payment", payment["id"], "succeeded", provider_ref="ch_1")
    assert refused.expect(422).body["errors"][0]["field"] == "$.evidence.provider_ref"
    (await resolve(operator, "payment", payment["id"], "failed")).expect(200)
    await api.sound()
