"""Stripe's events of what was taken back, and of what was done in its dashboard."""

import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api
from tests.integration.api.test_webhooks_of_stripe import (
    EventSender,
    api,
    of,
    pay,
    send_event,
    stripe,
)
from tests.support.recorded import Recorded, page, refund
from tests.support.webhooks import Json

__all__ = ["api", "send_event", "stripe"]


async def refunded(ada: Client, stripe: Recorded, payment: Json, made: Json, minor: int) -> Json:
    """Refund by the API; return Stripe's refund."""
    number = len(stripe.asked)
    given = refund("succeeded", id=f"re_{number}", amount=minor, payment_intent=made["id"])
    stripe.will((200, given))
    answer = (await ada.refund(payment["id"], minor)).expect(201).body
    assert answer["status"] == "succeeded"
    return given | {"metadata": {"refund_id": answer["id"]}}


@pytest.mark.parametrize("kind", ["refund.failed", "refund.updated", "charge.refund.updated"])
async def test_a_refund_that_the_buyers_bank_sends_back_is_reversed(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender, kind: str
) -> None:
    payment, made = await pay(ada, stripe, "succeeded")
    given = await refunded(ada, stripe, payment, made, made["amount"])
    back = given | {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    stripe.will((200, page(back)))
    await send_event(kind, back)
    [found] = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    assert (found["status"], found["failure_code"]) == ("failed", "expired_or_canceled_card")
    now = await ada.read(f"/v1/payments/{payment['id']}")
    assert (now["refunded"], now["refund_pending"]) == (0, 0)
    await refunded(ada, stripe, payment, made, made["amount"])
    await api.sound()


async def test_a_refund_in_the_dashboard_is_adopted(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender
) -> None:
    payment, made = await pay(ada, stripe, "succeeded")
    given = refund("succeeded", id="re_dash", amount=100, payment_intent=made["id"])
    stripe.will((200, page(given)))
    await send_event("refund.created", given)
    stripe.will((200, page(given)))
    charged = {"id": "ch_1", "object": "charge", "payment_intent": made["id"]}
    await send_event("charge.refunded", charged | {"status": "succeeded", "amount_refunded": 100})
    [found] = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    assert (found["amount"], found["origin"], found["status"]) == (100, "provider", "succeeded")
    rest = await refunded(ada, stripe, payment, made, made["amount"] - 100)
    assert stripe.asked[-1].form["amount"] == str(rest["amount"])
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "refunded"
    await api.sound()


@pytest.mark.parametrize("kind", ["charge.failed", "payment_intent.payment_failed"])
async def test_a_debit_that_fails_after_it_succeeded_is_reversed(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender, kind: str
) -> None:
    payment, made = await pay(ada, stripe, "succeeded")
    trouble = {"type": "card_error", "code": "debit_not_authorized"}
    failed = made | {
        "status": "requires_payment_method",
        "amount_received": 0,
        "last_payment_error": trouble,
    }
    charged = {"id": "ch_1", "object": "charge", "payment_intent": made["id"], "status": "failed"}
    stripe.will((200, failed))
    await send_event(kind, charged if kind.startswith("charge") else failed)
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["failure_code"]) == ("reversed", "debit_not_authorized")
    await api.sound()


async def test_a_part_that_is_captured_in_the_dashboard_is_booked(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender
) -> None:
    order = await ada.order(["game-1"])
    stripe.will((200, of(order["total"], "requires_capture")))
    options = {"provider": "stripe", "payment_method": "pm_x", "capture": "manual"}
    payment = (await ada.pay(order["id"], **options)).expect(201).body
    sent = stripe.asked[-1].form
    named = {name: sent[f"metadata[{name}]"] for name in ("payment_id", "attempt_id")}
    done = of(order["total"], "succeeded", metadata=named) | {"amount_received": 700}
    stripe.will((200, done))
    await send_event("payment_intent.succeeded", done)
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["captured"]) == ("succeeded", 700)
    await api.sound()


async def test_a_part_is_captured_by_its_amount(api: Api, ada: Client, stripe: Recorded) -> None:
    order = await ada.order(["game-1"])
    held = of(order["total"], "requires_capture")
    stripe.will((200, held))
    options = {"provider": "stripe", "payment_method": "pm_x", "capture": "manual"}
    payment = (await ada.pay(order["id"], **options)).expect(201).body
    stripe.will((200, held | {"status": "succeeded", "amount_received": 700}))
    captured = (await ada.capture(payment["id"], 700)).expect(200).body
    assert stripe.asked[-1].form == {"amount_to_capture": "700"}
    assert (captured["status"], captured["captured"]) == ("succeeded", 700)
    await api.sound()


async def test_what_a_partial_capture_lets_go_is_no_refund(
    api: Api, ada: Client, stripe: Recorded, send_event: EventSender
) -> None:
    """Stripe lists it as a refund that has moved nothing on our balance."""
    order = await ada.order(["game-1"])
    held = of(order["total"], "requires_capture")
    stripe.will((200, held))
    options = {"provider": "stripe", "payment_method": "pm_x", "capture": "manual"}
    payment = (await ada.pay(order["id"], **options)).expect(201).body
    stripe.will((200, held | {"status": "succeeded", "amount_received": 1000}))
    (await ada.capture(payment["id"], 1000)).expect(200)
    rest = order["total"] - 1000
    let_go = refund("succeeded", id="re_rest", amount=rest, balance_transaction=None)
    let_go["payment_intent"] = held["id"]
    for kind in ("refund.created", "charge.refunded"):
        stripe.will((200, page(let_go)))
        await send_event(kind, let_go)
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["captured"], found["refunded"]) == (1000, 0)
    made = {"id": held["id"], **held}
    assert (await refunded(ada, stripe, payment, made, 1000))["status"] == "succeeded"
    await api.sound()
