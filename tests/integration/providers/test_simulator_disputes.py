"""What disputes look like at the simulator, and what the adapter makes of them."""

from datetime import UTC, datetime, timedelta

import pytest

from service import call_results
from service.domain.dispute import DisputeStatus
from service.domain.money import Money
from service.ids import new_id
from service.providers.port import ChargeRequest, OutcomeUnknownError, RefundRequest
from service.providers.simulator.adapter import SimulatorProvider
from simulator.client import Control, ControlError

PRICE = Money(1999, "EUR")
HOUR = timedelta(hours=1)


async def charged(simpay: SimulatorProvider) -> str:
    charge = await simpay.charge(ChargeRequest(new_id(), new_id(), PRICE, True, "pm_ok"))  # noqa: FBT003
    return charge.provider_ref or ""


async def test_a_chargeback_and_its_money(simpay: SimulatorProvider, simulator: Control) -> None:
    ref = await charged(simpay)
    dispute = await simulator.dispute(ref, reason="fraudulent")
    reported = await simpay.get_dispute(dispute["id"])
    assert (reported.charge_ref, reported.reason) == (ref, "fraudulent")
    assert reported.dispute is not None
    assert reported.dispute.status is DisputeStatus.NEEDS_RESPONSE
    assert (reported.dispute.amount, reported.dispute.withdrawn_minor) == (PRICE, PRICE.minor)
    assert reported.dispute.evidence_due_at is not None

    for action, status in (("submit", "under_review"), ("win", "won"), ("lose", "lost")):
        await simulator.change_dispute(dispute["id"], action)
        now = (await simpay.get_dispute(dispute["id"])).dispute
        assert now is not None
        assert now.status == status
    await simulator.change_dispute(dispute["id"], "reinstate")
    now = (await simpay.get_dispute(dispute["id"])).dispute
    assert now is not None
    assert now.reinstated_minor == PRICE.minor
    assert await simpay.find_disputes(ref) == [await simpay.get_dispute(dispute["id"])]
    assert await simpay.find_disputes("ch_no") == []


async def test_a_disputed_charge_is_not_refunded(
    simpay: SimulatorProvider, simulator: Control
) -> None:
    ref = await charged(simpay)
    await simulator.dispute(ref)
    result = await simpay.refund(RefundRequest(new_id(), ref, PRICE))
    assert (result.succeeded, result.failure_code) == (False, "charge_disputed")


async def test_the_list_is_by_window_and_page(
    simpay: SimulatorProvider, simulator: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_results, "PAGE", 2)
    made = [(await simulator.dispute(await charged(simpay)))["id"] for _ in range(5)]
    now = datetime.now(UTC)
    found = [each.provider_ref async for each in simpay.list_disputes(now - HOUR, now + HOUR)]
    assert found == made[::-1]
    assert [each async for each in simpay.list_disputes(now + HOUR, now + 2 * HOUR)] == []
    assert [each async for each in simpay.list_disputes(now - 2 * HOUR, now - HOUR)] == []


async def test_a_dispute_that_cannot_be_ours(simpay: SimulatorProvider, simulator: Control) -> None:
    dispute = await simulator.dispute(await charged(simpay), currency="XXX")
    reported = await simpay.get_dispute(dispute["id"])
    assert reported.dispute is None
    assert "XXX" in reported.unreadable
    for ref in ("dp_no", "../charges"):
        with pytest.raises(OutcomeUnknownError):
            await simpay.get_dispute(ref)


async def test_a_warning_helps_until_the_dispute(
    simpay: SimulatorProvider, simulator: Control
) -> None:
    ref = await charged(simpay)
    warning = await simulator.warn(ref, fraud_type="misc")
    reported = await simpay.get_fraud_warning(warning["id"])
    assert (reported.charge_ref, reported.fraud_type, reported.actionable) == (ref, "misc", True)
    await simulator.dispute(ref)
    assert not (await simpay.get_fraud_warning(warning["id"])).actionable


async def test_the_bank_does_nothing_twice(simpay: SimulatorProvider, simulator: Control) -> None:
    dispute = await simulator.dispute(await charged(simpay))
    with pytest.raises(ControlError, match="has the money"):
        await simulator.change_dispute(dispute["id"], "withdraw")
    await simulator.change_dispute(dispute["id"], "reinstate")
    with pytest.raises(ControlError, match="has no money"):
        await simulator.change_dispute(dispute["id"], "reinstate")
    with pytest.raises(ControlError, match="one of"):
        await simulator.change_dispute(dispute["id"], "dance")
