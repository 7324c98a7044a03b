"""Stripe's refunds, and the lists that reconciliation reads, answer by answer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.money import Money
from service.domain.payment import ChargeOutcome
from service.ids import new_id
from service.providers.port import (
    OutcomeUnknownError,
    RefundResult,
)
from service.providers.stripe.adapter import StripeProvider
from tests.integration.providers.test_stripe import PI, PRICE, a_refund, provider, server
from tests.support.recorded import (
    Recorded,
    error,
    intent,
    page,
    refund,
)

__all__ = ["provider", "server"]


async def test_a_refund_is_made_and_found(provider: StripeProvider, server: Recorded) -> None:
    request = a_refund()
    ours = refund("succeeded", metadata={"refund_id": str(request.refund_id)})
    others = [refund("succeeded", id=f"re_{n}") for n in range(2)]
    server.will(
        (200, ours),
        (200, page(*others, has_more=True)),
        (200, page(ours)),
        (200, page(*others)),
    )
    done = RefundResult(
        succeeded=True, provider_ref="re_3PgafyB7WZ01zgkW", amount=Money(500, "EUR")
    )
    assert await provider.refund(request) == done
    assert server.asked[0].form == {
        "payment_intent": PI,
        "amount": "500",
        "metadata[refund_id]": str(request.refund_id),
    }
    assert await provider.find_refund(request) == done
    assert server.asked[2].query["starting_after"] == "re_1"
    assert await provider.find_refund(request) is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((400, error("invalid_request_error", "charge_already_refunded")),
         "charge_already_refunded"),
        ((200, refund("failed", failure_reason="expired_or_canceled_card")),
         "expired_or_canceled_card"),
        ((200, refund("canceled")), "canceled"),
    ],
)  # fmt: skip
async def test_a_refund_that_failed_says_why(
    provider: StripeProvider, server: Recorded, answer: tuple[int, Any], code: str
) -> None:
    server.will(answer)
    result = await provider.refund(a_refund())
    assert (result.succeeded, result.failure_code) == (False, code)


@pytest.mark.parametrize("status", ["pending", "requires_action", None])
async def test_a_pending_refund_is_not_recorded(
    provider: StripeProvider, server: Recorded, status: str | None
) -> None:
    server.will((200, refund(status)))
    with pytest.raises(OutcomeUnknownError):
        await provider.refund(a_refund())


async def test_the_list_for_reconciliation(provider: StripeProvider, server: Recorded) -> None:
    payment_id = new_id()
    since = datetime(2026, 9, 1, 0, 0, 0, 500_000, UTC)
    refunded = intent(
        "succeeded",
        metadata={"payment_id": str(payment_id)},
        latest_charge={"id": "ch_1", "amount_refunded": 500},
    )
    foreign = intent("processing", id="pi_2", currency="chf", latest_charge="ch_2")
    server.will((200, page(refunded, has_more=True)), (200, page(foreign)))
    found = [c async for c in provider.list_charges(since, since + timedelta(days=1))]
    assert [(c.provider_ref, c.payment_id, c.outcome, c.amount) for c in found] == [
        (PI, payment_id, ChargeOutcome.SUCCEEDED, PRICE),
        ("pi_2", None, None, None),
    ]
    assert [(c.captured_minor, c.refunded_minor) for c in found] == [(1999, 500), (0, 0)]
    assert server.asked[0].query == {
        "created[gte]": str(int(since.timestamp()) + 1),  # whole seconds, and not before `since`
        "created[lt]": str(int(since.timestamp()) + 86_401),
        "expand[]": "data.latest_charge",
        "limit": "100",
    }
    assert server.asked[1].query["starting_after"] == PI


async def test_older_charges_that_changed_are_listed_by_their_refunds_and_disputes(
    provider: StripeProvider, server: Recorded
) -> None:
    payment_id = new_id()
    since = datetime(2026, 9, 28, tzinfo=UTC)
    at = int(since.timestamp())

    def old(**more: Any) -> dict[str, Any]:
        latest = {"id": "ch_1", "amount_refunded": 500}
        return intent("succeeded", **{"created": at - 3_000_000, "latest_charge": latest, **more})

    ours = old(metadata={"payment_id": str(payment_id)})
    young = old(id="pi_2", created=at)  # in the other list
    server.will(
        (200, page(
            refund("succeeded", created=at + 9, payment_intent=ours),
            refund("succeeded", created=at + 8, payment_intent=ours),
            refund("succeeded", created=at + 7, payment_intent=young), has_more=True)),
        (200, page(
            refund("succeeded", id="re_2", created=at + 6, payment_intent="pi_3"),
            refund("succeeded", id="re_3", created=at + 5, payment_intent=None))),
        (200, old(id="pi_3")),
        (200, page({"id": "du_1", "created": at + 4, "payment_intent": old(id="pi_4")})),
    )  # fmt: skip
    found = [c async for c in provider.list_changed(since, since + timedelta(days=1))]
    assert [(c.provider_ref, c.payment_id, c.refunded_minor) for c in found] == [
        (PI, payment_id, 500),
        ("pi_3", None, 500),
        ("pi_4", None, 500),
    ]
    changed = [since + timedelta(seconds=seconds) for seconds in (9, 6, 4)]
    assert [charge.changed_at for charge in found] == changed
    window = {"created[gte]": str(at), "created[lt]": str(at + 86_400), "limit": "100"}
    expand = {"expand[]": "data.payment_intent.latest_charge"}
    assert [(asked.path, asked.query) for asked in server.asked] == [
        ("/v1/refunds", window | expand),
        ("/v1/refunds", window | expand | {"starting_after": "re_3PgafyB7WZ01zgkW"}),
        ("/v1/payment_intents/pi_3", {"expand[]": "latest_charge"}),
        ("/v1/disputes", window | expand),
    ]


async def test_what_was_never_captured_was_not_given_back(
    provider: StripeProvider, server: Recorded
) -> None:
    since = datetime(2026, 9, 1, tzinfo=UTC)
    latest = {"id": "ch_1", "amount_refunded": 1499}
    part = intent("succeeded", amount_received=1000, latest_charge=latest)
    server.will((200, page(part)))
    [found] = [c async for c in provider.list_charges(since, since + timedelta(days=1))]
    assert (found.captured_minor, found.refunded_minor) == (1000, 500)
