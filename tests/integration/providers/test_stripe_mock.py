"""The Stripe adapter against stripe-mock, which checks each request against Stripe's OpenAPI.

It keeps no state, so what a request does is not looked at here: only that Stripe would take it and
that we can read its objects.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from service.domain.dispute import Dispute, DisputeStatus
from service.domain.money import Money
from service.domain.payment import ChargeOutcome
from service.ids import new_id
from service.providers.port import (
    ChargeRequest,
    HeldRequest,
    OutcomeUnknownError,
    RefundRequest,
)
from service.providers.stripe import adapter
from service.providers.stripe.adapter import StripeProvider
from tests.integration.providers.conftest import Calls, Connect
from tests.support.stripe_mock import stripe_mock

PRICE = Money(1999, "EUR")


@pytest.fixture(scope="module")
def mock_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stripe_mock(tmp_path_factory.mktemp("stripe-mock")) as url:
        yield url


@pytest.fixture(scope="module")
def paid_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("stripe-mock-paid")
    with stripe_mock(folder, intent={"status": "succeeded", "amount_received": 1999}) as url:
        yield url


def a_charge(*, capture: bool = True) -> ChargeRequest:
    return ChargeRequest(new_id(), new_id(), PRICE, capture, "pm_card_visa")


@pytest.mark.parametrize("return_url", ["", "https://shop.example/back"])
@pytest.mark.parametrize("capture", [True, False])
async def test_stripe_takes_our_charges(
    connect: Connect,
    mock_url: str,
    return_url: str,
    capture: bool,  # noqa: FBT001
) -> None:
    provider = StripeProvider(connect(mock_url, "sk_test_123"), return_url=return_url)
    charge = await provider.charge(a_charge(capture=capture))
    assert charge.outcome is ChargeOutcome.DECLINED  # the fixture has no payment method
    assert (charge.provider_ref or "").startswith("pi_")


async def test_stripe_takes_everything_else(connect: Connect, paid_url: str) -> None:
    provider = StripeProvider(connect(paid_url, "sk_test_123"))
    charge = await provider.charge(a_charge())
    assert (charge.outcome, charge.amount) == (ChargeOutcome.SUCCEEDED, PRICE)
    ref = charge.provider_ref or ""
    assert (await provider.get_charge(ref)).outcome is ChargeOutcome.SUCCEEDED
    assert (await provider.capture(HeldRequest(new_id(), ref, PRICE))).amount == PRICE
    await provider.cancel(HeldRequest(new_id(), ref, PRICE))
    refund = await provider.refund(RefundRequest(new_id(), ref, Money(500, "EUR")))
    assert refund.succeeded
    assert (refund.provider_ref or "").startswith("re_")


async def test_stripe_takes_our_look_ups(connect: Connect, paid_url: str) -> None:
    provider = StripeProvider(connect(paid_url, "sk_test_123"))
    assert await provider.find_charge(a_charge()) is None  # none of its objects is ours
    assert await provider.find_refund(RefundRequest(new_id(), "pi_1", PRICE)) is None
    assert {refund.refund_id for refund in await provider.list_refunds("pi_1")} == {None}
    now = datetime.now(UTC)
    found = [charge async for charge in provider.list_charges(now - timedelta(days=1), now)]
    assert [(charge.captured_minor, charge.refunded_minor) for charge in found] == [(1999, 500)]


async def test_stripe_takes_our_look_ups_of_disputes(connect: Connect, paid_url: str) -> None:
    provider = StripeProvider(connect(paid_url, "sk_test_123"))
    reported = await provider.get_dispute("dp_1")
    assert (reported.charge_ref, reported.reason) == ("pi_1", "fraudulent")
    due = datetime.fromtimestamp(1_790_600_000, UTC)
    assert reported.dispute == Dispute(DisputeStatus.NEEDS_RESPONSE, PRICE, 1999, 0, due)
    assert await provider.find_disputes("pi_1") == [reported]
    now = datetime.now(UTC)
    listed = [found async for found in provider.list_disputes(now - timedelta(days=1), now)]
    assert listed == [reported]
    warning = await provider.get_fraud_warning("issfr_1")
    assert (warning.charge_ref, warning.actionable) == ("pi_1", True)


async def test_a_reference_is_no_path(connect: Connect, paid_url: str, calls: Calls) -> None:
    provider = StripeProvider(connect(paid_url, "sk_test_123"))
    with pytest.raises(OutcomeUnknownError):
        await provider.get_dispute("../refunds/re_1")
    with pytest.raises(OutcomeUnknownError):
        await provider.get_fraud_warning("../../refunds/re_1")
    assert len(calls) == 2


async def test_stripe_takes_our_question_for_what_changed(connect: Connect, paid_url: str) -> None:
    provider = StripeProvider(connect(paid_url, "sk_test_123"))
    since = datetime.fromtimestamp(1_790_000_001, UTC)  # just after the fixture's charge
    found = [charge async for charge in provider.list_changed(since, since + timedelta(days=1))]
    assert [(c.provider_ref, c.captured_minor, c.refunded_minor) for c in found] == [
        ("pi_1", 1999, 500)
    ]
    assert found[0].changed_at is not None


async def test_the_version_is_checked_too(
    connect: Connect, mock_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above would fail with another version than the one that is pinned."""
    monkeypatch.setattr(adapter, "VERSION", "2011-01-01")
    charge = await StripeProvider(connect(mock_url, "sk_test_123")).charge(a_charge())
    assert charge.outcome is ChargeOutcome.REJECTED


async def test_stripe_mock_refuses_what_stripe_would(mock_url: str) -> None:
    """The tests above can fail: an unknown parameter is refused."""
    form = {"amount": "1", "currency": "eur", "wrong": "1"}
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer sk_test_123"}) as session,
        session.post(f"{mock_url}/v1/payment_intents", data=form) as answer,
    ):
        assert answer.status == 400
        assert "additional properties" in await answer.text()
