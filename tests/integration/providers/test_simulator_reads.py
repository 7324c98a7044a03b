"""What reconciliation and webhooks read at the simulator."""

from datetime import UTC, datetime, timedelta

import pytest

from service import call_results
from service.domain.money import Money
from service.domain.payment import ChargeOutcome
from service.ids import new_id
from service.providers.port import (
    ChargeRequest,
    HeldRequest,
    NoSuchChargeError,
    OutcomeUnknownError,
    ProviderCharge,
    RefundRequest,
)
from service.providers.simulator.adapter import SimulatorProvider
from simulator.client import Control

HOUR = timedelta(hours=1)


def a_charge(method: str = "pm_ok", *, capture: bool = True) -> ChargeRequest:
    return ChargeRequest(new_id(), new_id(), Money(1999, "EUR"), capture, method)


async def listed(
    provider: SimulatorProvider, since: datetime, until: datetime
) -> list[ProviderCharge]:
    return [charge async for charge in provider.list_charges(since, until)]


async def test_the_list_tells_what_reconciliation_compares(simpay: SimulatorProvider) -> None:
    paid, held, declined = a_charge(), a_charge(capture=False), a_charge("pm_declined")
    refs = [(await simpay.charge(request)).provider_ref for request in (paid, held, declined)]
    await simpay.refund(RefundRequest(new_id(), refs[0] or "", Money(500, "EUR")))
    now = datetime.now(UTC)

    found = await listed(simpay, now - HOUR, now + HOUR)

    assert [charge.provider_ref for charge in found] == refs[::-1]
    assert [charge.payment_id for charge in found] == [
        request.payment_id for request in (declined, held, paid)
    ]
    assert [(c.outcome, c.captured_minor, c.refunded_minor) for c in found] == [
        (ChargeOutcome.DECLINED, 0, 0),
        (ChargeOutcome.AUTHORIZED, 0, 0),
        (ChargeOutcome.SUCCEEDED, 1999, 500),
    ]
    assert {charge.amount for charge in found} == {Money(1999, "EUR")}
    assert all(abs(charge.created_at - now) < timedelta(minutes=1) for charge in found)


async def test_a_charge_is_whose_the_simulator_says_it_is(simpay: SimulatorProvider) -> None:
    request = a_charge()
    ref = (await simpay.charge(request)).provider_ref or ""
    charge = await simpay.get_charge(ref)
    assert (charge.payment_id, charge.attempt_id) == (request.payment_id, request.attempt_id)
    for missing in ("ch_x", f"{ref}?x=1", f"../charges/{ref}"):
        with pytest.raises(NoSuchChargeError):
            await simpay.get_charge(missing)


async def test_the_window_is_from_since_to_before_until(simpay: SimulatorProvider) -> None:
    await simpay.charge(a_charge())
    (charge,) = await listed(simpay, datetime.now(UTC) - HOUR, datetime.now(UTC) + HOUR)
    second = timedelta(seconds=1)
    at = charge.created_at
    assert await listed(simpay, at, at + second) == [charge]
    assert await listed(simpay, at - HOUR, at) == []
    assert await listed(simpay, at + second, at + HOUR) == []


async def test_pages_follow_one_another_and_new_charges_disturb_nothing(
    simpay: SimulatorProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_results, "PAGE", 3)
    refs = [(await simpay.charge(a_charge())).provider_ref for _ in range(8)]
    now, seen = datetime.now(UTC), []
    async for charge in simpay.list_charges(now - HOUR, now + HOUR):
        seen.append(charge.provider_ref)
        await simpay.charge(a_charge())  # while the list is read
    assert seen == refs[::-1]


async def test_older_charges_are_listed_when_they_change(
    simpay: SimulatorProvider, simulator: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_results, "PAGE", 2)
    requests = [a_charge() for _ in range(5)] + [a_charge(capture=False)]
    refs = [(await simpay.charge(request)).provider_ref or "" for request in requests]
    for ref in refs:
        await simulator.age(ref, days=40)
    young = (await simpay.charge(a_charge())).provider_ref or ""
    for ref in (*refs[:4], young):
        await simpay.refund(RefundRequest(new_id(), ref, Money(500, "EUR")))
    await simpay.capture(HeldRequest(new_id(), refs[5], Money(1999, "EUR")))
    now = datetime.now(UTC)

    async def changed(since: datetime, until: datetime) -> dict[str, ProviderCharge]:
        return {c.provider_ref: c async for c in simpay.list_changed(since, until)}

    found = await changed(now - HOUR, now + HOUR)
    assert list(found) == [refs[5], *refs[3::-1]]
    assert [charge.refunded_minor for charge in found.values()] == [0, 500, 500, 500, 500]
    for charge in found.values():
        assert now - charge.created_at > timedelta(days=39)
        assert charge.changed_at is not None
        assert abs(charge.changed_at - now) < timedelta(minutes=1)
    assert await changed(now - 2 * HOUR, now - HOUR) == {}
    assert await changed(now + HOUR, now + 2 * HOUR) == {}


async def test_a_charge_that_cannot_be_ours_is_listed_as_such(
    simpay: SimulatorProvider, simulator: Control
) -> None:
    foreign = {
        "amount": 100,
        "currency": "XXX",
        "capture": True,
        "payment_method": "pm_ok",
        "reference": "somebody else's",
    }
    await simpay._outbound.call(
        "charge", "POST", "/provider/v1/charges", body=foreign, headers={"Idempotency-Key": "k"}
    )
    (charge,) = await listed(simpay, datetime.now(UTC) - HOUR, datetime.now(UTC) + HOUR)
    assert (charge.payment_id, charge.amount, charge.captured_minor) == (None, None, 100)
    await simulator.fault("provider.list", "malformed")
    with pytest.raises(OutcomeUnknownError):
        await listed(simpay, datetime.now(UTC) - HOUR, datetime.now(UTC) + HOUR)


async def test_a_charge_is_read_again_by_the_provider_s_name_for_it(
    simpay: SimulatorProvider,
) -> None:
    held = await simpay.charge(a_charge(capture=False))
    assert await simpay.get_charge(held.provider_ref or "") == held
    with pytest.raises(OutcomeUnknownError):
        await simpay.get_charge("ch_no")
