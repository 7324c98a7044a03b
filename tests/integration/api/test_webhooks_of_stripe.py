"""Stripe's events over the same endpoint: PaymentIntents, charges, refunds."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api, Start
from tests.support.recorded import Recorded, intent, page, recorded_server, refund
from tests.support.webhooks import Hook, Json, inbox, orphans, status_of

STRIPE_SECRET = "whsec_of_the_tests_of_stripe"


@pytest.fixture
async def stripe() -> AsyncIterator[Recorded]:
    async with recorded_server() as recorded:
        yield recorded


@pytest.fixture
async def api(start_api: Start, stripe: Recorded) -> Api:
    """Give an API that speaks to Stripe too, and takes its webhooks."""
    return await start_api(
        PROVIDERS="simulator,stripe",
        STRIPE_API_KEY="sk_test_x",
        STRIPE_URL=stripe.url,
        STRIPE_WEBHOOK_SECRETS=STRIPE_SECRET,
    )


@pytest.fixture
async def send_event(api: Api) -> AsyncIterator["EventSender"]:
    """Give a sender of Stripe's events."""
    async with aiohttp.ClientSession() as session:
        yield EventSender(api, Hook(api.url, session))


class EventSender:
    """Sends an event as Stripe does, and lets the worker process it."""

    def __init__(self, api: Api, hook: Hook) -> None:
        self._api, self._hook, self._number = api, hook, 0

    async def __call__(self, kind: str, record: Json) -> None:
        self._number += 1
        event: Json = {
            "id": f"evt_{self._number}",
            "object": "event",
            "api_version": "2026-08-26.dahlia",
        }
        event |= {"type": kind, "livemode": False, "data": {"object": record}}
        answer = await self._hook.send(event, provider="stripe", secret=STRIPE_SECRET)
        assert answer[0] == 200, answer
        assert await self._api.process() > 0


async def pay(ada: Client, stripe: Recorded, status: str, **more: Any) -> tuple[Json, Json]:
    """Pay by Stripe; return the payment and the PaymentIntent as it stands then."""
    order = await ada.order(["game-1"])
    made = of(order["total"], status, **more)
    stripe.will((200, made))
    payment = (await ada.pay(order["id"], provider="stripe", payment_method="pm_x")).expect(201)
    sent = stripe.asked[-1].form
    named = {name: sent[f"metadata[{name}]"] for name in ("payment_id", "attempt_id")}
    return payment.body, made | {"metadata": named}


def of(minor: int, status: str, **more: Any) -> Json:
    received = minor if status == "succeeded" else 0
    return intent(status, amount=minor, amount_received=received, **more)


async def test_a_buyer_confirms_at_stripe(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender
) -> None:
    payment, made = await pay(ada, stripe, "requires_action")
    assert payment["status"] == "requires_action"
    done = made | {"status": "succeeded", "amount_received": made["amount"]}
    stripe.will((200, done))
    await send_event("payment_intent.succeeded", done)
    assert (stripe.asked[-1].method, stripe.asked[-1].path) == (
        "GET",
        f"/v1/payment_intents/{made['id']}",
    )
    assert await status_of(ada, payment) == "succeeded"
    await api.sound()


async def test_what_stripe_says_now_counts_and_not_its_event(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender
) -> None:
    payment, made = await pay(ada, stripe, "requires_action")
    stripe.will((200, made))
    await send_event("payment_intent.succeeded", made | {"status": "succeeded"})
    assert await status_of(ada, payment) == "requires_action"
    await api.sound()


async def test_an_event_tells_of_a_charge_whose_answer_was_lost(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender
) -> None:
    """Stripe's search lags behind; the event names the PaymentIntent at once."""
    order = await ada.order(["game-1"])
    stripe.will("reset")
    paying = await ada.pay(order["id"], provider="stripe", payment_method="pm_x")
    payment = paying.expect(202).body
    sent = stripe.asked[-1].form
    named = {name: sent[f"metadata[{name}]"] for name in ("payment_id", "attempt_id")}
    done = of(order["total"], "succeeded", metadata=named)
    stripe.will((200, done))
    await send_event("payment_intent.succeeded", done)
    assert await status_of(ada, payment) == "succeeded"
    await api.sound()


async def test_an_event_of_a_charge_finds_the_payment_by_its_intent(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender
) -> None:
    payment, made = await pay(ada, stripe, "requires_action")
    stripe.will((200, made | {"status": "canceled"}))
    record = {"id": "ch_1", "object": "charge", "payment_intent": made["id"], "status": "failed"}
    await send_event("charge.failed", record)
    assert await status_of(ada, payment) == "canceled"
    await api.sound()


async def test_a_late_success_at_stripe_is_given_back(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender
) -> None:
    """A declined PaymentIntent can be confirmed again, with another card."""
    trouble = {"type": "card_error", "code": "card_declined"}
    payment, made = await pay(ada, stripe, "requires_payment_method", last_payment_error=trouble)
    assert payment["status"] == "failed"
    done = made | {"status": "succeeded", "amount_received": made["amount"]}
    back = refund("succeeded", amount=made["amount"], payment_intent=made["id"])
    stripe.will((200, done), (200, page()), (200, page()), (200, back))
    await send_event("payment_intent.succeeded", done)
    [orphan] = await orphans(api.context.db)
    assert (orphan["status"], orphan["refund_ref"]) == ("refunded", back["id"])
    asked = stripe.asked[-1]
    assert (asked.method, asked.path) == ("POST", "/v1/refunds")
    assert asked.headers["Idempotency-Key"] == orphan["id"]
    assert asked.form["amount"] == str(made["amount"])
    assert await status_of(ada, payment) == "failed"
    await api.sound()


async def test_a_refund_that_takes_days_is_recorded_by_its_event(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender
) -> None:
    payment, made = await pay(ada, stripe, "succeeded")
    on_its_way = refund("pending", amount=100, payment_intent=made["id"])
    stripe.will((200, on_its_way))
    asked = (await ada.refund(payment["id"], 100)).expect(202).body
    assert asked["status"] == "unknown"
    done = on_its_way | {"status": "succeeded", "metadata": {"refund_id": asked["id"]}}
    stripe.will((200, page(done)))
    await send_event("refund.updated", done)
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["refunded"], found["refund_pending"]) == (100, 0)
    await api.sound()


async def test_the_simulators_secret_opens_nothing_of_stripe(
    api: Api, send_event: EventSender
) -> None:
    async with aiohttp.ClientSession() as session:
        event = {"id": "evt_1", "type": "x", "data": {"object": {"object": "charge", "id": "c"}}}
        status, body = await Hook(api.url, session).send(event, provider="stripe")
    assert (status, body["code"]) == (400, "webhook_refused")
    assert await inbox(api.context.db) == []
    await send_event("payment_intent.created", intent("processing"))  # and its own secret does


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("payment_intent.created", "requires_payment_method"),
        ("payment_intent.processing", "processing"),
        ("payment_intent.succeeded", "succeeded"),
    ],
)
@pytest.mark.parametrize("metadata", [{}, {"order_id": "6735"}, {"payment_id": "4711"}])
async def test_somebody_elses_intent_on_the_account(
    api: Api, stripe: Recorded, send_event: EventSender, kind: str, status: str, metadata: Json
) -> None:
    theirs = intent(status, id="pi_theirs", metadata=metadata)
    stripe.will((200, theirs))
    await send_event(kind, theirs)
    [row] = await inbox(api.context.db)
    assert (row["status"], row["outcome"], row["attempts"]) == ("processed", "foreign", 1)


async def test_an_event_without_names_finds_its_payment_by_stripes_record(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender
) -> None:
    """A charge's event names its PaymentIntent only, and we don't know that name yet."""
    order = await ada.order(["game-1"])
    stripe.will("reset")
    payment = (await ada.pay(order["id"], provider="stripe", payment_method="pm_x")).expect(202)
    sent = stripe.asked[-1].form
    named = {name: sent[f"metadata[{name}]"] for name in ("payment_id", "attempt_id")}
    done = of(order["total"], "succeeded", metadata=named)
    stripe.will((200, done), (200, done))
    record = {"id": "ch_1", "object": "charge", "payment_intent": done["id"]}
    await send_event("charge.succeeded", record)
    assert await status_of(ada, payment.body) == "succeeded"
    await api.sound()


async def test_an_event_that_puts_our_names_on_somebody_elses_intent(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender
) -> None:
    order = await ada.order(["game-1"])
    stripe.will("reset")
    payment = (await ada.pay(order["id"], provider="stripe", payment_method="pm_x")).expect(202)
    sent = stripe.asked[-1].form
    named = {name: sent[f"metadata[{name}]"] for name in ("payment_id", "attempt_id")}
    theirs = of(order["total"], "succeeded", id="pi_theirs", metadata={"order_id": "6735"})
    stripe.will((200, theirs))
    await send_event("payment_intent.succeeded", theirs | {"metadata": named})
    assert await status_of(ada, payment.body) == "unknown"
    assert [row["outcome"] for row in await inbox(api.context.db)] == ["mismatch"]
    assert [(asked.method, asked.path) for asked in stripe.asked][-1:] == [
        ("GET", "/v1/payment_intents/pi_theirs")
    ]
    await api.sound()
