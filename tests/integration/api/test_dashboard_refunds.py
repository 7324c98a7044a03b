"""Refunds that somebody makes in the provider's dashboard become ours."""

import asyncio
from uuid import uuid4

import pytest

from scripts.platform.client import Client
from service.providers.port import NotSentError, OutcomeUnknownError, ProviderRefund
from service.providers.simulator.adapter import SimulatorProvider
from tests.integration.api.conftest import Api
from tests.integration.api.dashboard import held, refund_in_dashboard
from tests.integration.api.operators import resolve
from tests.integration.api.test_reversals import bought
from tests.support.services import ADMIN
from tests.support.webhooks import (
    Hook,
    charge_event,
    event_of,
    inbox,
    orphans,
    second_charge,
    status_of,
    unknown_payment,
)


async def test_a_full_refund_is_adopted(api: Api, ada: Client, hook: Hook) -> None:
    payment = await bought(api, ada)
    await refund_in_dashboard(api, hook)
    [found] = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    assert (found["status"], found["amount"], found["origin"]) == ("succeeded", 1499, "provider")
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 1499
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "refunded"
    await api.deliver()
    assert await api.simulator.shelf("ada") == []
    assert api.counted('refunds_adopted_total{provider="simulator"}') == 1
    assert {row["outcome"] for row in await inbox(api.context.db)} == {"settled"}
    await api.sound()


async def test_an_api_refund_sees_what_is_left(api: Api, ada: Client, hook: Hook) -> None:
    payment = await bought(api, ada)
    await refund_in_dashboard(api, hook, 100)
    refund = (await ada.refund(payment["id"])).expect(201).body
    assert (refund["status"], refund["amount"], refund["origin"]) == ("succeeded", 1399, "api")
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "refunded"
    await api.deliver()
    assert await api.simulator.shelf("ada") == []
    await api.sound()


async def test_a_foreign_refund_that_is_the_last_revokes_the_game(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    (await ada.refund(payment["id"], amount=1000)).expect(201)
    await refund_in_dashboard(api, hook, 300)
    assert len(await api.simulator.shelf("ada")) == 1
    await refund_in_dashboard(api, hook, 199)
    await api.deliver()
    assert await api.simulator.shelf("ada") == []
    await api.sound()


async def test_any_event_of_the_charge_brings_all_of_its_refunds(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    await refund_in_dashboard(api, hook, 100, tell=False)
    await refund_in_dashboard(api, hook, 200)
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 300
    await api.sound()


async def test_twenty_deliveries_adopt_a_refund_once(api: Api, ada: Client, hook: Hook) -> None:
    payment = await bought(api, ada)
    made = await refund_in_dashboard(api, hook, 100, tell=False)
    await asyncio.gather(*(hook.send(event_of(made)) for _ in range(20)))
    await asyncio.gather(*(api.process() for _ in range(10)))
    for _ in range(4):
        api.clock.forward(seconds=60)
        await api.process()
    found = await ada.read(f"/v1/payments/{payment['id']}/refunds")
    assert [each["amount"] for each in found["items"]] == [100]
    assert {row["status"] for row in await inbox(api.context.db)} == {"processed"}
    await api.sound()


async def test_a_foreign_refund_waits_for_room_that_a_refund_of_ours_holds(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    await api.simulator.fault("provider.refund", "hold_before")
    ours = asyncio.create_task(ada.refund(payment["id"]))
    await api.simulator.until_held("provider.refund")
    await refund_in_dashboard(api, hook, 100)
    [row] = await inbox(api.context.db)
    assert row["status"] == "pending"
    await api.simulator.clear_faults()
    await api.simulator.release()
    assert (await ours).expect(201).body["status"] == "failed"  # the provider has 1399 left
    api.clock.forward(seconds=10)
    await api.process()
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 100
    await api.sound()


async def test_a_dashboard_refund_that_is_rejected_later_is_reversed(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    made = await refund_in_dashboard(api, hook)
    await hook.send(event_of(await api.simulator.fail_refund(made["id"])))
    await api.process()
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 0
    await api.sound()


async def test_a_refund_in_place_of_one_that_came_back_is_adopted(
    api: Api, ada: Client, hook: Hook
) -> None:
    """Both happen before we hear of either: the newer has no room before the older is reversed."""
    payment = await bought(api, ada)
    first = await refund_in_dashboard(api, hook)
    came_back = await api.simulator.fail_refund(first["id"])
    second = await refund_in_dashboard(api, hook, 100, tell=False)
    await hook.send(event_of(second))
    await hook.send(event_of(came_back))
    await api.process()
    assert {row["status"] for row in await inbox(api.context.db)} == {"processed"}
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 100
    await api.sound()


@pytest.mark.parametrize("heard_of", ["event", "refund", "capture", "cancel", "expiry"])
async def test_a_hold_that_was_refunded_and_failed_before_we_heard_is_for_a_person(
    api: Api, ada: Client, hook: Hook, heard_of: str
) -> None:
    """The provider refunded money that it never got: our records must show it."""
    payment, charge = await held(api, ada)
    await api.simulator.capture(charge)
    refund = await refund_in_dashboard(api, hook, 200, tell=False)
    await api.simulator.fail_charge(charge)
    match heard_of:
        case "event" | "refund":
            charged = await charge_event(api.simulator)
            await hook.send(charged if heard_of == "event" else event_of(refund))
            await api.process()
            assert [row["status"] for row in await inbox(api.context.db)] == ["processed"]
        case "expiry":
            api.clock.forward(days=8)
            await api.expire()
            await api.complete()
        case operation:
            path = f"/v1/payments/{payment['id']}/{operation}"
            (await ada.call("POST", path, key=str(uuid4()))).expect(202)
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["failure_code"]) == ("review", "refunded_and_failed")
    async with api.client("olga", ADMIN) as operator:
        refused = await resolve(operator, "payment", payment["id"], "succeeded")
        assert refused.expect(422).body["errors"][0]["field"] == "$.outcome"
        (await resolve(operator, "payment", payment["id"], "failed")).expect(200)
    await api.sound()


@pytest.mark.parametrize("error", [NotSentError("too busy"), OutcomeUnknownError("no answer")])
@pytest.mark.parametrize("heard_of", ["event", "capture", "lost_charge"])
async def test_a_failed_charge_is_not_recorded_before_its_refunds_are_known(
    api: Api,
    ada: Client,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
    heard_of: str,
    error: Exception,
) -> None:
    """A charge that was never held takes the same way: its answer was lost, and it was captured."""
    asked = 0
    listed = SimulatorProvider.list_refunds

    async def fail_once(self: SimulatorProvider, charge_ref: str) -> list[ProviderRefund]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise error
        return await listed(self, charge_ref)

    if heard_of == "lost_charge":
        payment = await unknown_payment(api.simulator, ada)
        [charge] = [each["id"] for each in (await api.simulator.state())["charges"]]
    else:
        payment, charge = await held(api, ada)
        await api.simulator.capture(charge)
    await refund_in_dashboard(api, hook, 200, tell=False)
    await api.simulator.fail_charge(charge)
    monkeypatch.setattr(SimulatorProvider, "list_refunds", fail_once)
    match heard_of:
        case "event":
            await hook.send(await charge_event(api.simulator))
            await api.process()
        case "capture":
            path = f"/v1/payments/{payment['id']}/capture"
            (await ada.call("POST", path, key=str(uuid4()))).expect(202)
        case _:
            api.clock.forward(seconds=10)
            await api.complete()
    assert asked == 1
    assert (await status_of(ada, payment)) in ("authorized", "unknown")
    api.clock.forward(seconds=100)
    await api.complete()
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["failure_code"]) == ("review", "refunded_and_failed")
    await api.sound()


async def test_an_event_that_no_worker_saw_for_a_week_is_not_parked_at_first_sight(
    api: Api, ada: Client, hook: Hook
) -> None:
    """The provider does not answer just then: it is the first of many looks, and not the last."""
    payment, charge = await held(api, ada)
    await api.simulator.capture(charge)
    made = await refund_in_dashboard(api, hook, 200, tell=False)
    await hook.send(event_of(made))
    api.clock.forward(days=8)
    await api.expire()
    await api.simulator.fault("provider.find", "status", status=500, times=None)
    await api.process()
    await api.simulator.clear_faults()
    assert [row["status"] for row in await inbox(api.context.db)] == ["pending"]
    await api.complete()
    api.clock.forward(seconds=10)
    await api.process()
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["refunded"]) == ("succeeded", 200)
    await api.sound()


@pytest.mark.parametrize("amount", [200, None])
async def test_a_refund_tells_of_a_capture_that_nobody_has_heard_of(
    api: Api, ada: Client, hook: Hook, amount: int | None
) -> None:
    payment, charge = await held(api, ada)
    await api.simulator.capture(charge)
    await refund_in_dashboard(api, hook, amount)
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["captured"], found["refunded"]) == (1499, amount or 1499)
    await api.deliver()
    await api.sound()


@pytest.mark.parametrize("first", ["charge", "refund"])
async def test_a_second_charge_that_was_refunded_in_the_dashboard_is_given_back(
    api: Api, ada: Client, hook: Hook, first: str
) -> None:
    payment = await bought(api, ada)
    other = await second_charge(api.simulator, payment)
    made = await api.simulator.refund(other["id"])
    events = [await charge_event(api.simulator), event_of(made)]
    for event in events if first == "charge" else reversed(events):
        await hook.send(event)
        await api.process()
    api.clock.forward(seconds=60)
    await api.process()
    [orphan] = await orphans(api.context.db)
    assert (orphan["status"], orphan["refund_ref"]) == ("refunded", made["id"])
    assert {row["status"] for row in await inbox(api.context.db)} == {"processed"}
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 0
    await hook.send(event_of(await api.simulator.fail_refund(made["id"])))
    await api.process()
    [orphan] = await orphans(api.context.db)
    assert orphan["status"] == "review"
    await api.sound()
