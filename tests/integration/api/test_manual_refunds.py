"""Money that could not be refunded, and parked events: an operator decides."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from scripts.platform.client import Client, Reply
from service.usecases import admin_inbox
from tests.integration.api.conftest import Api, Start
from tests.integration.api.operators import audited, chains_hold
from tests.support.services import ADMIN
from tests.support.webhooks import Hook, charge_event, event_of, inbox, orphans, second_charge

Json = dict[str, Any]
NOTE = {"note": "their support says try again"}
TRANSFER = {"evidence": {"note": "paid by transfer", "provider_ref": "transfer-2026-17"}}


@pytest.fixture
async def api(start_api: Start) -> Api:
    return await start_api(BREAKER_FAILURES="1000")  # hours pass on a clock that it does not read


@pytest.fixture
async def operator(api: Api) -> AsyncIterator[Client]:
    async with api.client("olga", ADMIN) as client:
        yield client


async def orphan_in_review(api: Api, ada: Client, hook: Hook, game: str = "game-1") -> Json:
    """Return an orphan capture whose refund the provider refuses."""
    order = await ada.order([game])
    (await ada.pay(order["id"], payment_method="pm_declined")).expect(201)
    charge = (await api.simulator.state())["charges"][-1]
    await api.simulator.complete(charge["id"], late=True)
    await api.simulator.fault("provider.refund", "status", status=400, times=1)
    await hook.send(await charge_event(api.simulator))
    await api.process()
    orphan = (await orphans(api.context.db))[-1]
    assert orphan["status"] == "review"
    return orphan


async def ungranted(api: Api, ada: Client) -> Json:
    """Return the failed refund of a paid order that can't be granted."""
    payment = (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201).body
    await api.simulator.fault("library.grant", "status", status=422, times=1)
    await api.simulator.fault("provider.refund", "status", status=400, times=1)
    await api.deliver()
    assert await api.complete() == 1
    [refund] = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    assert (refund["status"], refund["reason"]) == ("failed", "grant_failed")
    return dict(refund)


async def decide(
    operator: Client, what: str, subject_id: str, action: str, body: Json, *, key: str = ""
) -> Reply:
    path = f"/v1/admin/{what}/{subject_id}/{action}"
    return await operator.call("POST", path, json=body, key=key or str(uuid4()))


async def queue(operator: Client) -> list[tuple[str, str, int]]:
    items = (await operator.read("/v1/admin/review"))["items"]
    return [(item["kind"], item["id"], item["amount"]) for item in items]


async def test_an_orphans_refund_is_tried_again(
    api: Api, ada: Client, hook: Hook, operator: Client
) -> None:
    orphan = await orphan_in_review(api, ada, hook)
    assert await queue(operator) == [("orphan_capture", orphan["id"], orphan["amount_minor"])]
    key = str(uuid4())
    reply = await decide(operator, "orphan-captures", orphan["id"], "retry", NOTE, key=key)
    assert reply.expect(202).body["status"] == "pending"
    again = await decide(operator, "orphan-captures", orphan["id"], "retry", NOTE, key=key)
    assert (again.replayed, again.body) == (True, reply.body)

    await api.process()

    [ended] = await orphans(api.context.db)
    [refund] = (await api.simulator.state())["refunds"]
    assert (ended["status"], ended["refund_ref"]) == ("refunded", refund["id"])
    assert [refund["idempotency_key"]] == ended["retry_keys"]  # a refusal may stick to a key
    assert await queue(operator) == []
    assert await audited(operator, orphan["payment_id"]) == [("olga", "orphan_capture", "retry")]
    detail = await operator.read(f"/v1/admin/payments/{orphan['payment_id']}")
    assert [event["event"] for event in detail["events"]][-2:] == [
        "orphan_capture_retried",
        "orphan_capture_refunded",
    ]
    assert [o["status"] for o in detail["orphans"]] == ["refunded"]
    await chains_hold(api)
    await api.sound()


@pytest.mark.impatient
async def test_a_refund_that_was_made_after_all_is_found_and_not_made_again(
    api: Api, ada: Client, hook: Hook, operator: Client
) -> None:
    orphan = await orphan_in_review(api, ada, hook)
    # the provider had made it, whatever it answered
    await api.simulator.fault("provider.refund", "timeout_after", times=1)
    (await decide(operator, "orphan-captures", orphan["id"], "retry", NOTE)).expect(202)
    await api.process()
    await api.context.db.fetch("UPDATE orphan_captures SET status = 'review'")
    (await decide(operator, "orphan-captures", orphan["id"], "retry", NOTE)).expect(202)
    await api.process()
    [ended] = await orphans(api.context.db)
    [refund] = (await api.simulator.state())["refunds"]
    assert (ended["status"], ended["refund_ref"]) == ("refunded", refund["id"])
    assert refund["idempotency_key"] == ended["retry_keys"][0]
    assert len(ended["retry_keys"]) == 2


async def test_the_webhook_of_a_tried_again_refund_is_known(
    api: Api, ada: Client, hook: Hook, operator: Client
) -> None:
    orphan = await orphan_in_review(api, ada, hook)
    (await decide(operator, "orphan-captures", orphan["id"], "retry", NOTE)).expect(202)
    await api.process()
    [refund] = (await api.simulator.state())["refunds"]
    await hook.send(event_of(refund))
    await api.process()
    assert [row["outcome"] for row in await inbox(api.context.db)][-1] == "no_news"


async def test_an_orphan_is_recorded_as_given_back_with_evidence(
    api: Api, ada: Client, hook: Hook, operator: Client
) -> None:
    orphan = await orphan_in_review(api, ada, hook)
    bare = await decide(
        operator, "orphan-captures", orphan["id"], "record", {"evidence": {"note": "x"}}
    )
    assert bare.expect(422).body["errors"][0]["field"] == "$.evidence.provider_ref"
    wrong = {"evidence": {**TRANSFER["evidence"], "amount": orphan["amount_minor"] - 1}}
    other = await decide(operator, "orphan-captures", orphan["id"], "record", wrong)
    assert other.expect(422).body["errors"][0]["field"] == "$.evidence.amount"

    done = await decide(operator, "orphan-captures", orphan["id"], "record", TRANSFER)
    assert done.expect(200).body["refund_ref"] == "transfer-2026-17"
    assert await queue(operator) == []
    await api.process()
    assert (await api.simulator.state())["refunds"] == []
    detail = await operator.read(f"/v1/admin/payments/{orphan['payment_id']}")
    [action] = detail["actions"]
    assert (action["actor"], action["action"], action["reason"], action["evidence"]) == (
        "olga", "record", "paid by transfer", TRANSFER["evidence"],
    )  # fmt: skip
    await chains_hold(api)


async def test_one_transfer_gives_one_charge_back(
    api: Api, ada: Client, hook: Hook, operator: Client
) -> None:
    first = await orphan_in_review(api, ada, hook)
    refund = await ungranted(api, ada)
    (await decide(operator, "orphan-captures", first["id"], "record", TRANSFER)).expect(200)
    taken = await decide(operator, "refunds", refund["id"], "record", TRANSFER)
    assert taken.expect(422).body["errors"][0]["field"] == "$.evidence.provider_ref"
    second = await orphan_in_review(api, ada, hook, "game-2")
    taken = await decide(operator, "orphan-captures", second["id"], "record", TRANSFER)
    assert taken.expect(422).body["errors"][0]["field"] == "$.evidence.provider_ref"
    assert len(await queue(operator)) == 2
    await api.sound()


async def test_of_operators_at_once_one_decides_on_an_orphan(
    api: Api, ada: Client, hook: Hook, operator: Client
) -> None:
    orphan = await orphan_in_review(api, ada, hook)
    actions: list[tuple[str, Json]] = [("retry", NOTE), ("record", TRANSFER)] * 6
    replies = await asyncio.gather(
        *(decide(operator, "orphan-captures", orphan["id"], *action) for action in actions)
    )
    assert sorted(reply.status for reply in replies)[1:] == [409] * 11
    assert {r.body["code"] for r in replies if r.status == 409} == {"illegal_transition"}
    assert len(await audited(operator, orphan["payment_id"])) == 1
    await chains_hold(api)


async def test_a_refund_of_what_cannot_be_granted_is_tried_again(
    api: Api, ada: Client, operator: Client
) -> None:
    failed = await ungranted(api, ada)
    assert await queue(operator) == [("grant_refund", failed["id"], failed["amount"])]
    key = str(uuid4())
    reply = (await decide(operator, "refunds", failed["id"], "retry", NOTE, key=key)).expect(202)
    assert (reply.body["status"], reply.body["amount"]) == ("pending", failed["amount"])
    assert await queue(operator) == []
    again = await decide(operator, "refunds", failed["id"], "retry", NOTE, key=key)
    assert (again.replayed, again.body) == (True, reply.body)
    assert (await decide(operator, "refunds", failed["id"], "retry", NOTE)).status == 409

    assert await api.complete() == 1
    await api.deliver()

    found = await ada.read(f"/v1/payments/{failed['payment_id']}")
    assert (found["refunded"], found["refund_pending"]) == (failed["amount"], 0)
    assert (await ada.read(f"/v1/orders/{found['order_id']}"))["status"] == "refunded"
    [refund] = (await api.simulator.state())["refunds"]
    assert refund["idempotency_key"] == reply.body["id"]
    assert (await decide(operator, "refunds", failed["id"], "retry", NOTE)).status == 409
    assert await audited(operator, failed["payment_id"]) == [("olga", "refund", "retry")]
    await chains_hold(api)
    await api.sound()


async def test_a_refund_of_what_cannot_be_granted_is_recorded(
    api: Api, ada: Client, operator: Client
) -> None:
    failed = await ungranted(api, ada)
    key = str(uuid4())
    body = {"evidence": {**TRANSFER["evidence"], "amount": failed["amount"]}}
    done = await decide(operator, "refunds", failed["id"], "record", body, key=key)
    assert done.expect(200).body["status"] == "succeeded"
    again = await decide(operator, "refunds", failed["id"], "record", body, key=key)
    assert (again.replayed, again.body) == (True, done.body)
    await api.deliver()
    assert await api.complete() == 0
    assert (await api.simulator.state())["refunds"] == []
    found = await ada.read(f"/v1/payments/{failed['payment_id']}")
    assert (found["refunded"], found["refund_pending"]) == (failed["amount"], 0)
    assert (await ada.read(f"/v1/orders/{found['order_id']}"))["status"] == "refunded"
    assert api.counted('orders_total{status="refunded"}') == 1
    assert await queue(operator) == []
    await chains_hold(api)
    await api.sound()


async def test_of_operators_at_once_one_refunds(api: Api, ada: Client, operator: Client) -> None:
    failed = await ungranted(api, ada)
    actions: list[tuple[str, Json]] = [("retry", NOTE), ("record", TRANSFER)] * 6
    replies = await asyncio.gather(
        *(decide(operator, "refunds", failed["id"], *action) for action in actions)
    )
    assert sorted(reply.status for reply in replies)[1:] == [409] * 11
    await api.complete()
    found = await ada.read(f"/v1/payments/{failed['payment_id']}")
    assert (found["refunded"], found["refund_pending"]) == (failed["amount"], 0)
    await chains_hold(api)
    await api.sound()


async def test_only_what_cannot_be_granted_is_refunded_by_operators(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201).body
    await api.simulator.fault("provider.refund", "status", status=400, times=1)
    refund = (await ada.refund(payment["id"])).expect(201).body
    assert refund["status"] == "failed"
    for what, subject in (("refunds", refund["id"]), ("orphan-captures", str(uuid4()))):
        for action, body in (("retry", NOTE), ("record", TRANSFER)):
            assert (await decide(operator, what, subject, action, body)).status == 404
            assert (await decide(ada, what, subject, action, body)).status == 403


def lost_record() -> Json:
    """Return a charge whose payment isn't here."""
    record = {"id": "ch_x", "object": "charge", "status": "succeeded"}
    return record | {"reference": str(uuid4())}


async def parked(api: Api, hook: Hook, record: Json) -> str:
    """Return the id of an event that nobody could make sense of."""
    event = event_of(record)
    await hook.send(event)
    for _ in range(100):
        await api.process()
        api.clock.forward(hours=1)
    assert [row["status"] for row in await inbox(api.context.db)] == ["parked"]
    return str(event["id"])


async def on_event(operator: Client, action: str, event_id: str) -> Reply:
    body = {"provider": "simulator", "event_id": event_id, **NOTE}
    return await operator.call("POST", f"/v1/admin/webhooks/{action}", json=body)


async def event_audit(api: Api) -> list[tuple[str, ...]]:
    return await api.context.db.fetch(
        "SELECT subject_id, actor, action, reason FROM admin_actions"
        " WHERE subject = 'webhook_event' ORDER BY seq"
    )


async def test_a_parked_event_is_looked_at_again(
    api: Api, ada: Client, hook: Hook, operator: Client
) -> None:
    """The provider did not say anything about its charge for days."""
    payment = (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201).body
    await api.simulator.fault("provider.find", "status", status=500, times=None)
    event_id = await parked(api, hook, await second_charge(api.simulator, payment))
    (await on_event(operator, "replay", event_id)).expect(200)
    await api.process()
    [row] = await inbox(api.context.db)
    assert row["status"] == "parked"  # as before: one look, and back to people
    await api.simulator.clear_faults()

    assert (await on_event(operator, "replay", event_id)).expect(200).body["status"] == "pending"
    await api.process()

    [row] = await inbox(api.context.db)
    assert (row["status"], row["outcome"]) == ("processed", "orphan_recorded")
    assert (await on_event(operator, "replay", event_id)).status == 409
    entry = (f"simulator/{event_id}", "olga", "replay", NOTE["note"])
    assert await event_audit(api) == [entry, entry]
    await chains_hold(api)
    await api.sound()


async def test_a_parked_event_is_dismissed_for_good(api: Api, hook: Hook, operator: Client) -> None:
    record = lost_record()
    event_id = await parked(api, hook, record)
    replies = await asyncio.gather(
        *(on_event(operator, action, event_id) for action in ["dismiss", "dismiss", "dismiss"])
    )
    assert sorted(reply.status for reply in replies) == [200, 409, 409]
    assert (await operator.read("/v1/admin/webhooks/parked"))["items"] == []
    status, receipt = await hook.send(
        event_of(record, id=event_id), age_s=-api.clock.ahead.total_seconds()
    )
    assert (status, receipt["outcome"]) == (200, "duplicate")
    assert await api.process() == 0
    assert await event_audit(api) == [(f"simulator/{event_id}", "olga", "dismiss", NOTE["note"])]
    assert (await on_event(operator, "dismiss", "evt_nobody")).status == 404
    await chains_hold(api)


async def parked_long_ago(api: Api, event_id: str, kind: str, *, named: bool = False) -> None:
    """Park an event, as those of foreign charges were before they were recognized."""
    at = api.context.now() - timedelta(days=10)
    db = api.context.db
    await db.fetch(
        "INSERT INTO webhook_inbox (provider, event_id, kind, type, charge_ref, payment_id,"
        " next_attempt_at, correlation_id, received_at)"
        " VALUES ('simulator', %s, 'charge', %s, 'ch_x', %s, %s, 'c', %s)",
        (event_id, kind, uuid4() if named else None, at, at),
    )
    await db.fetch(
        "UPDATE webhook_inbox SET status = 'parked', ended_at = %s WHERE event_id = %s",
        (at, event_id),
    )


async def test_parked_events_are_dismissed_in_bulk(api: Api, operator: Client, ada: Client) -> None:
    for number in range(4):
        await parked_long_ago(api, f"evt_{number}", "charge.succeeded")
    await parked_long_ago(api, "evt_other", "charge.captured")
    await parked_long_ago(api, "evt_named", "charge.succeeded", named=True)

    async def dismiss(**which: Any) -> Json:
        body = {"provider": "simulator", **NOTE, **which}
        reply = await operator.call("POST", "/v1/admin/webhooks/dismiss-all", json=body)
        return dict(reply.expect(200).body)

    async def left() -> set[str]:
        events = (await operator.read("/v1/admin/webhooks/parked"))["items"]
        return {event["event_id"] for event in events}

    none = {"dismissed": 0, "more": False}
    assert await dismiss(parked_before="2020-01-01T00:00:00Z") == none
    assert await dismiss(provider="stripe") == none
    assert await dismiss(type="charge.succeeded") == {"dismissed": 4, "more": False}
    assert await left() == {"evt_other", "evt_named"}
    audited_events = {(entry[0], entry[2]) for entry in await event_audit(api)}
    assert audited_events == {(f"simulator/evt_{number}", "dismiss") for number in range(4)}
    assert await dismiss() == {"dismissed": 1, "more": False}
    assert await left() == {"evt_named"}
    assert (await dismiss(named=True))["dismissed"] == 1
    assert await left() == set()
    body = {"provider": "simulator", **NOTE}
    assert (await ada.call("POST", "/v1/admin/webhooks/dismiss-all", json=body)).status == 403
    await chains_hold(api)


async def test_two_operators_dismiss_each_event_once(
    api: Api, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_inbox, "DISMISSED_AT_ONCE", 5)
    for number in range(12):
        await parked_long_ago(api, f"evt_{number}", "t.x")
    body = {"provider": "simulator", **NOTE}
    replies = await asyncio.gather(
        *(operator.call("POST", "/v1/admin/webhooks/dismiss-all", json=body) for _ in range(4))
    )
    found = [reply.expect(200).body for reply in replies]
    assert sum(each["dismissed"] for each in found) == len(await event_audit(api)) == 12
    assert [each["more"] for each in found] == [each["dismissed"] == 5 for each in found]
