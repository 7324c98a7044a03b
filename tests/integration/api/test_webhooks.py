"""Webhooks in: kept once, believed never, settled once whoever else is at it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from scripts.client import Client
from simulator.webhooks import signature
from tests.integration.api.conftest import Api, Start
from tests.support.services import ADMIN, SIMULATOR_SECRETS

SECRET = SIMULATOR_SECRETS["SIMULATOR_WEBHOOK_SECRETS"]
Json = dict[str, Any]


@dataclass
class Hook:
    """Sends what a provider would send, and what a forger would."""

    api: Api
    session: aiohttp.ClientSession

    async def send(
        self,
        event: Json | bytes,
        *,
        secret: str = SECRET,
        age_s: float = 0,
        headers: Mapping[str, str] | None = None,
        provider: str = "simulator",
    ) -> tuple[int, Json]:
        """Deliver an event and return status and body; without `headers`, signed."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        signed = {"Stripe-Signature": signature(secret, int(time.time() - age_s), body)}
        url = f"{self.api.url}/v1/webhooks/{provider}"
        async with self.session.post(
            url, data=body, headers=signed if headers is None else headers
        ) as answer:
            return answer.status, await answer.json(content_type=None)


@pytest.fixture
async def hook(api: Api) -> AsyncIterator[Hook]:
    async with aiohttp.ClientSession() as session:
        yield Hook(api, session)


async def charge_event(api: Api, **changes: Any) -> Json:
    """Return an event of the simulator's last charge."""
    charge = (await api.simulator.state())["charges"][-1]
    return event_of(charge, **changes)


def event_of(record: Json, **changes: Any) -> Json:
    """Return an event of a record; an `id` of None leaves it out."""
    kind = f"{record['object']}.{record['status']}"
    event = {"id": f"evt_{uuid4().hex}", "type": kind, "data": {"object": record}, **changes}
    return {name: value for name, value in event.items() if value is not None}


async def inbox(api: Api) -> list[Json]:
    """Return the inbox."""
    rows = await api.context.db.fetch(
        "SELECT row_to_json(w)::text FROM webhook_inbox w ORDER BY received_at"
    )
    return [json.loads(row[0]) for row in rows]


async def orphans(api: Api) -> list[Json]:
    """Return the orphan captures."""
    rows = await api.context.db.fetch("SELECT row_to_json(o)::text FROM orphan_captures o")
    return [json.loads(row[0]) for row in rows]


async def unknown_payment(api: Api, ada: Client) -> Json:
    """Return a payment whose charge went through and whose answer was lost."""
    await api.simulator.fault("provider.charge", "reset_after")
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(202).body
    assert payment["status"] == "unknown"
    return payment


async def status_of(ada: Client, payment: Json) -> str:
    return str((await ada.read(f"/v1/payments/{payment['id']}"))["status"])


async def test_a_webhook_settles_what_nobody_knew(api: Api, ada: Client, hook: Hook) -> None:
    payment = await unknown_payment(api, ada)
    event = await charge_event(api)
    assert await hook.send(event) == (200, {"outcome": "accepted", "event_id": event["id"]})
    assert await status_of(ada, payment) == "unknown"  # acknowledged, not processed
    assert await api.process() == 1
    assert await status_of(ada, payment) == "succeeded"
    assert [row["outcome"] for row in await inbox(api)] == ["settled"]
    assert await api.complete() == 0  # nothing is left for the completer
    await api.sound()


async def test_an_event_is_not_believed(api: Api, ada: Client, hook: Hook) -> None:
    """It says succeeded, with a million; the provider says declined."""
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    event = await charge_event(api, type="charge.succeeded")
    event["data"]["object"] |= {"status": "succeeded", "amount": 1, "amount_captured": 10**8}
    assert (await hook.send(event))[0] == 200
    await api.process()
    assert await status_of(ada, payment) == "requires_action"
    await api.simulator.complete(event["data"]["object"]["id"], "declined")
    assert (await hook.send(event | {"id": "evt_2"}))[0] == 200
    await api.process()
    assert await status_of(ada, payment) == "failed"
    await api.sound()


async def test_fifty_deliveries_at_once_are_one_event(api: Api, ada: Client, hook: Hook) -> None:
    payment = await unknown_payment(api, ada)
    event = await charge_event(api)
    replies = await asyncio.gather(*(hook.send(event) for _ in range(50)))
    outcomes = [body["outcome"] for status, body in replies if status == 200]
    assert sorted(outcomes) == ["accepted"] + ["duplicate"] * 49
    await asyncio.gather(*(api.process() for _ in range(5)))
    assert await status_of(ada, payment) == "succeeded"
    entries = await api.context.db.fetch("SELECT count(*) FROM ledger_transactions")
    assert (len(await inbox(api)), entries) == (1, [(1,)])
    await api.sound()


async def test_fifty_different_events_of_one_charge_settle_it_once(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await unknown_payment(api, ada)
    event = await charge_event(api)
    api.clock.forward(seconds=1)
    await asyncio.gather(*(hook.send(event | {"id": f"evt_{n}"}) for n in range(50)))
    await asyncio.gather(*(api.process() for _ in range(3)), api.complete())
    for _ in range(8):  # what met another in mid-way is put off and then finds it done
        api.clock.forward(seconds=10)
        await api.process()
    assert await status_of(ada, payment) == "succeeded"
    assert {row["status"] for row in await inbox(api)} == {"processed"}
    assert await api.context.db.fetch("SELECT count(*) FROM ledger_transactions") == [(1,)]
    await api.sound()


async def test_a_replay_and_a_newly_signed_repeat_change_nothing(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await unknown_payment(api, ada)
    event = await charge_event(api)
    await hook.send(event)
    await api.process()
    before = await inbox(api)
    assert (await hook.send(event))[1]["outcome"] == "duplicate"
    assert (await hook.send(event, age_s=60))[1]["outcome"] == "duplicate"
    assert await api.process() == 0
    assert await inbox(api) == before
    assert await status_of(ada, payment) == "succeeded"


@pytest.mark.parametrize("age_s", [-400, 301, 86_400])
async def test_a_delivery_of_another_time_is_refused(api: Api, hook: Hook, age_s: float) -> None:
    status, body = await hook.send({"id": "evt_1"}, age_s=age_s)
    assert (status, body["code"]) == (400, "webhook_refused")
    assert await inbox(api) == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "t=1,v1=" + "0" * 64},
        {"Stripe-Signature": f"t={int(time.time())},v0=" + "0" * 64},
        {"Authorization": "Bearer x"},
    ],
)
async def test_what_is_not_signed_is_refused_and_said_in_no_detail(
    api: Api, hook: Hook, headers: Mapping[str, str]
) -> None:
    status, body = await hook.send({"id": "evt_1"}, headers=headers)
    assert (status, body["code"]) == (400, "webhook_refused")
    assert body["detail"] == body["title"]
    assert await inbox(api) == []


async def test_secrets_are_rotated_without_a_gap(start_api: Start) -> None:
    old, new = "the-old-webhook-secret", "the-new-webhook-secret"
    api = await start_api(SIMULATOR_WEBHOOK_SECRETS=f"{new}, {old}")
    async with aiohttp.ClientSession() as session, api.client() as ada:
        hook = Hook(api, session)
        (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201)
        event = await charge_event(api)
        for number, secret in enumerate((old, new)):
            status, body = await hook.send(event | {"id": f"evt_{number}"}, secret=secret)
            assert (status, body["outcome"]) == (200, "accepted")
        assert (await hook.send(event, secret="a-retired-webhook-secret"))[0] == 400


async def test_a_provider_without_secrets_has_no_webhooks(hook: Hook) -> None:
    for provider in ("stripe", "paypal"):
        status, body = await hook.send({"id": "evt_1"}, provider=provider)
        assert (status, body["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 60_000, b'{"data": {"object": {"object": "charge"}}}', b"\xff"]
)
async def test_what_is_signed_and_no_event_is_refused(hook: Hook, body: bytes) -> None:
    status, problem = await hook.send(body)
    assert (status, problem["code"]) == (400, "malformed_request")


async def test_a_body_that_is_too_large_is_refused(hook: Hook) -> None:
    assert (await hook.send(b" " * 70_000))[0] == 413


async def test_events_of_other_things_are_acknowledged_and_forgotten(api: Api, hook: Hook) -> None:
    event = {"id": "evt_1", "type": "customer.created", "data": {"object": {"object": "customer"}}}
    assert await hook.send(event) == (200, {"outcome": "ignored", "event_id": None})
    assert await inbox(api) == []


async def test_the_same_news_without_an_id_is_one_event(api: Api, ada: Client, hook: Hook) -> None:
    (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201)
    event = await charge_event(api, id=None)
    first, again = [(await hook.send(event))[1] for _ in range(2)]
    assert (first["outcome"], again["outcome"]) == ("accepted", "duplicate")
    assert first["event_id"].startswith("derived:")


async def test_a_buyer_who_acts_at_the_provider_gets_the_game(api: Api, ada: Client) -> None:
    await api.simulator.send_webhooks(f"{api.url}/v1/webhooks/simulator", SECRET)
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    await api.simulator.until("webhooks", 1)
    await api.process()
    assert await status_of(ada, payment) == "requires_action"

    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"])
    await api.simulator.until("webhooks", 2)
    assert await api.process() == 1
    assert await status_of(ada, payment) == "succeeded"
    events = (await ada.read(f"/v1/payments/{payment['id']}/timeline"))["events"]
    assert [event["event"] for event in events] == [
        "payment_created",
        "payment_requires_action",
        "payment_processing",
        "payment_succeeded",
    ]
    assert await api.deliver() == 1
    await api.sound()


@pytest.mark.parametrize(
    ("capture", "outcome", "end"),
    [
        ("automatic", "declined", "failed"),
        ("automatic", "canceled", "canceled"),
        ("manual", "succeeded", "authorized"),
    ],
)
async def test_other_ends_of_an_action(
    api: Api, ada: Client, hook: Hook, capture: str, outcome: str, end: str
) -> None:
    order = await ada.order(["game-1"])
    paying = await ada.pay(order["id"], payment_method="pm_requires_action", capture=capture)
    payment = paying.expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], outcome)
    await hook.send(await charge_event(api))
    await api.process()
    assert await status_of(ada, payment) == end
    await api.sound()


async def test_a_crash_after_the_action_is_taken_up_by_the_completer(
    api: Api, ada: Client, hook: Hook
) -> None:
    """The attempt is there, and the process dies before it settles."""
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"])
    await hook.send(await charge_event(api))
    submit = api.context.settle_payments.submit

    async def die(_: object) -> None:
        raise asyncio.CancelledError

    api.context.settle_payments.submit = die  # type: ignore[method-assign, assignment]
    with pytest.raises(asyncio.CancelledError):
        await api.process()
    api.context.settle_payments.submit = submit  # type: ignore[method-assign]
    assert await status_of(ada, payment) == "processing"

    api.clock.forward(minutes=5)
    assert await api.complete() == 1
    assert await status_of(ada, payment) == "succeeded"
    assert await api.process() == 1  # the event is due again, and finds nothing to do
    assert [row["outcome"] for row in await inbox(api)] == ["no_news"]
    await api.sound()


async def test_a_crash_between_the_ack_and_the_work_loses_nothing(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await unknown_payment(api, ada)
    await hook.send(await charge_event(api))
    await api.simulator.fault("provider.find", "timeout_before", times=1)
    await api.process()  # the provider is silent: as good as dead
    assert await status_of(ada, payment) == "unknown"
    api.clock.forward(seconds=5)
    assert await api.process() == 1
    assert await status_of(ada, payment) == "succeeded"
    await api.sound()


async def test_an_event_that_comes_before_its_payment_waits_for_it(
    api: Api, ada: Client, hook: Hook
) -> None:
    """The charge is known here only by an id that no payment has yet."""
    payment = await unknown_payment(api, ada)
    event = await charge_event(api)
    stranger = json.loads(json.dumps(event))
    stranger["data"]["object"] |= {"reference": str(uuid4()), "idempotency_key": str(uuid4())}
    await hook.send(stranger)
    await api.process()
    [row] = await inbox(api)
    assert (row["status"], row["last_error"]) == ("pending", "no payment of ours")
    api.clock.forward(seconds=1)
    assert await api.complete() == 1  # now the payment knows the name of its charge
    api.clock.forward(seconds=5)
    assert await api.process() == 1
    assert [row["outcome"] for row in await inbox(api)] == ["no_news"]
    assert await status_of(ada, payment) == "succeeded"


async def test_an_event_without_a_payment_is_left_to_people_after_days(
    api: Api, hook: Hook
) -> None:
    record = {"id": "ch_x", "object": "charge", "status": "succeeded"}
    await hook.send(event_of(record))
    looks = 0
    for _ in range(200):
        looks += await api.process()
        api.clock.forward(hours=1)
    assert 15 < looks < 40  # seconds apart at first, hours at last
    async with api.client("auditor", ADMIN) as auditor:
        [parked] = (await auditor.read("/v1/admin/webhooks/parked"))["events"]
    assert (parked["charge_ref"], parked["last_error"]) == ("ch_x", "no payment of ours")


async def test_parked_events_are_for_operators(ada: Client) -> None:
    assert (await ada.call("GET", "/v1/admin/webhooks/parked")).status == 403


async def test_late_money_for_a_canceled_payment_is_given_back(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], payment_method="pm_requires_action")).expect(201).body
    (await ada.cancel(payment["id"])).expect(200)
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], late=True)
    await hook.send(await charge_event(api))
    await api.process()

    assert await status_of(ada, payment) == "canceled"  # never flipped
    [orphan] = await orphans(api)
    assert (orphan["status"], orphan["amount_minor"]) == ("refunded", order["total"])
    [refund] = (await api.simulator.state())["refunds"]
    assert (refund["idempotency_key"], refund["amount"]) == (orphan["id"], order["total"])
    events = (await ada.read(f"/v1/payments/{payment['id']}/timeline"))["events"]
    assert [event["event"] for event in events][-2:] == [
        "orphan_capture_recorded",
        "orphan_capture_refunded",
    ]
    assert (await ada.pay(order["id"])).expect(201).body["status"] == "succeeded"
    await api.sound()


@pytest.mark.parametrize("fault", ["timeout_after", "reset_after", "timeout_before"])
async def test_an_orphan_is_refunded_once_whatever_happens(
    api: Api, ada: Client, hook: Hook, fault: str
) -> None:
    order = await ada.order(["game-1"])
    (await ada.pay(order["id"], payment_method="pm_declined")).expect(201)
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], late=True)
    event = await charge_event(api)
    await asyncio.gather(*(hook.send(event | {"id": f"evt_{n}"}) for n in range(5)))
    await api.simulator.fault("provider.refund", fault, times=1)
    for _ in range(6):
        await asyncio.gather(api.process(), api.process())
        api.clock.forward(minutes=1)
    [orphan] = await orphans(api)
    assert orphan["status"] == "refunded"
    assert len((await api.simulator.state())["refunds"]) == 1
    await api.sound()


async def test_an_orphan_that_cannot_be_refunded_is_left_to_people(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    (await ada.pay(order["id"], payment_method="pm_declined")).expect(201)
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], late=True)
    await api.simulator.fault("provider.refund", "status", status=400, times=None)
    await hook.send(await charge_event(api))
    await api.process()
    [orphan] = await orphans(api)
    assert (orphan["status"], orphan["last_error"]) == ("review", "scripted_fault")
    await api.sound()


async def test_a_hold_for_a_closed_payment_is_released(api: Api, ada: Client, hook: Hook) -> None:
    order = await ada.order(["game-1"])
    paying = await ada.pay(order["id"], payment_method="pm_declined", capture="manual")
    payment = paying.expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], late=True)
    await hook.send(await charge_event(api))
    await api.process()
    assert [c["status"] for c in (await api.simulator.state())["charges"]] == ["canceled"]
    assert await status_of(ada, payment) == "failed"
    assert await orphans(api) == []


async def test_an_authorization_that_the_provider_gives_up_frees_the_order(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], capture="manual")).expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.complete(charge["id"], "canceled", late=True)
    await hook.send(await charge_event(api))
    await api.process()
    assert await status_of(ada, payment) == "canceled"
    assert (await ada.pay(order["id"])).expect(201).body["status"] == "succeeded"
    await api.sound()


async def test_a_capture_that_nobody_asked_for_goes_to_review(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], capture="manual")).expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    headers = {"Authorization": f"Bearer {SIMULATOR_SECRETS['SIMULATOR_API_KEY']}"}
    async with aiohttp.ClientSession(headers=headers) as other:
        url = f"{api.simulator.url}/provider/v1/charges/{charge['id']}/capture"
        async with other.post(url, json={}, headers={"Idempotency-Key": "x"}) as answer:
            assert answer.status == 200
    await hook.send(await charge_event(api))
    await api.process()
    assert await status_of(ada, payment) == "review"
    await api.sound()


async def test_a_refund_event_settles_an_unknown_refund(api: Api, ada: Client, hook: Hook) -> None:
    payment = (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201).body
    await api.simulator.fault("provider.refund", "reset_after")
    refund = (await ada.refund(payment["id"], 100)).expect(202).body
    assert refund["status"] == "unknown"
    [made] = (await api.simulator.state())["refunds"]
    for number in range(3):
        await hook.send(event_of(made, id=f"evt_{number}"))
    await asyncio.gather(api.process(), api.process())
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["refunded"], found["refund_pending"]) == (100, 0)
    await api.sound()


async def test_a_webhook_before_the_answer_and_the_request_settle_once(
    api: Api, ada: Client
) -> None:
    """The provider's event is processed while the request still waits for the provider."""
    await api.simulator.send_webhooks(f"{api.url}/v1/webhooks/simulator", SECRET)
    await api.simulator.fault("provider.webhook", "before_answer")
    await api.simulator.fault("provider.charge", "hold_after")
    order = await ada.order(["game-1"])
    paying = asyncio.create_task(ada.pay(order["id"]))
    await api.simulator.until_held("provider.charge")
    assert await api.process() == 1
    found = (await ada.read(f"/v1/payments?order_id={order['id']}"))["payments"]
    assert [payment["status"] for payment in found] == ["succeeded"]
    await api.simulator.release()
    answer = (await paying).expect(201)
    assert answer.body["status"] == "succeeded"
    assert await api.context.db.fetch("SELECT count(*) FROM ledger_transactions") == [(1,)]
    await api.sound()


@pytest.mark.parametrize("fault", ["duplicate", "reorder", "delay", "drop", "wrong_signature"])
async def test_whatever_the_provider_does_to_its_webhooks(
    api: Api, ada: Client, fault: str
) -> None:
    await api.simulator.send_webhooks(f"{api.url}/v1/webhooks/simulator", SECRET)
    await api.simulator.fault("provider.webhook", fault, times=1)
    await api.simulator.fault("provider.charge", "reset_after")
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(202).body
    if fault in ("drop", "wrong_signature"):
        api.clock.forward(seconds=1)
        assert await api.complete() == 1  # without webhooks the completer finds out
    else:
        await api.simulator.until("webhooks", 2 if fault == "duplicate" else 1)
        assert await api.process() == 1
    assert await status_of(ada, payment) == "succeeded"
    await api.sound()
