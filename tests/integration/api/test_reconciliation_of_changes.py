"""What changed behind our back and of which the event was lost: reconciliation finds it."""

from collections.abc import Mapping
from typing import Any

import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api, Start
from tests.integration.api.operators import GIVE_UP_LOOKING
from tests.integration.api.test_reconciliation import (
    HOUR,
    api,
    charge,
    differences,
    keep_silent,
    kinds,
    operator,
    outside,
    run,
    sale,
)
from tests.support.services import ADMIN

__all__ = ["api", "operator"]


async def old_sale(api: Api, customer: Client, *, days: int = 40, **options: Any) -> dict[str, Any]:
    """Sell a game so many days ago, in our records and the provider's; return the payment."""
    api.clock.forward(days=-days)
    order = await customer.order(["game-1"])
    payment = (await customer.pay(order["id"], **options)).expect(201).body
    await api.deliver()
    made = (await api.simulator.state())["charges"][-1]
    await api.simulator.age(made["id"], days=days)
    api.clock.forward(days=days)
    return payment | {"provider_ref": made["id"]}


@pytest.mark.parametrize("amount", [700, 1499])
async def test_a_capture_of_which_the_event_was_lost_is_booked(
    api: Api, ada: Client, operator: Client, amount: int
) -> None:
    payment = await sale(api, ada, capture="manual")
    [held] = (await api.simulator.state())["charges"]
    await api.simulator.capture(held["id"], amount)
    found = await run(api, operator)
    assert found["differences"] == 1
    assert (await kinds(operator), await kinds(operator, "resolved")) == ([], ["status_differs"])
    now = await ada.read(f"/v1/payments/{payment['id']}")
    assert (now["status"], now["captured"]) == ("succeeded", amount)
    await api.sound()


async def test_a_refund_and_a_reversal_of_which_the_events_were_lost(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = await sale(api, ada)
    made = await api.simulator.refund((await api.simulator.state())["charges"][0]["id"])
    await run(api, operator)
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 1499
    await api.simulator.fail_refund(made["id"])
    api.clock.forward(**HOUR)
    await run(api, operator)
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["refunded"] == 0
    assert (await kinds(operator), await kinds(operator, "resolved")) == ([], ["refund_differs"])
    await api.sound()


async def test_a_debit_that_failed_and_of_which_the_event_was_lost(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = await old_sale(api, ada)
    await api.simulator.fail_charge((await api.simulator.state())["charges"][0]["id"])
    api.clock.forward(**HOUR)
    await run(api, operator)
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "reversed"
    api.clock.forward(**HOUR)
    assert (await run(api, operator))["differences"] == 0
    await api.sound()


async def refund_orphan(api: Api, payment: Mapping[str, Any], amount: int) -> Any:
    """Refund at the provider, as its dashboard does."""
    path = f"/provider/v1/charges/{payment['provider_ref']}/refunds"
    return await outside(api, "POST", path, {"amount": amount})


async def test_a_refund_of_last_months_charge_until_it_is_in_our_books(
    start_api: Start,
) -> None:
    api = await start_api(RECONCILIATION_GRACE_S="60", **GIVE_UP_LOOKING)
    async with api.client("ada") as ada, api.client("olga", ADMIN) as operator:
        payment = await old_sale(api, ada)
        api.clock.forward(**HOUR)
        found = await run(api, operator)
        assert (found["status"], found["charges"], found["differences"]) == ("succeeded", 0, 0)
        await refund_orphan(api, payment, 100)
        await keep_silent(api)
        for times_seen in (1, 2):
            found = await run(api, operator)
            assert (found["charges"], found["differences"]) == (1, 1)
            [difference] = await differences(operator)
            assert (difference["kind"], difference["payment_id"]) == (
                "refund_differs",
                payment["id"],
            )
            assert (difference["theirs"]["refunded"], difference["ours"]["refunded"]) == (100, 0)
            assert difference["times_seen"] == times_seen

        await api.simulator.clear_faults()
        await run(api, operator)
        [adopted] = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
        assert (adopted["amount"], adopted["origin"]) == (100, "provider")
        api.clock.forward(**HOUR)
        found = await run(api, operator)
        assert (found["status"], found["differences"]) == ("succeeded", 0)
        assert (await kinds(operator), await kinds(operator, "resolved")) == (
            [],
            ["refund_differs"],
        )


async def test_a_difference_of_an_old_charge_is_looked_at_for_as_long_as_it_is_open(
    api: Api, ada: Client, operator: Client
) -> None:
    """The window stays open back to the change: a run that doesn't look closes nothing."""
    payment = await old_sale(api, ada)
    await refund_orphan(api, payment, 100)
    await keep_silent(api)
    api.clock.forward(**HOUR)
    await run(api, operator)
    api.clock.forward(days=10)  # far beyond the window
    for _ in range(2):
        await run(api, operator)
    [difference] = await differences(operator)
    assert (difference["kind"], difference["times_seen"]) == ("refund_differs", 3)


async def test_a_difference_that_comes_back_after_months_is_closed_too(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = await sale(api, ada)
    [made] = (await api.simulator.state())["charges"]
    await api.simulator.fault("provider.list", "wrong_amount", times=1)
    await run(api, operator)
    await run(api, operator)
    assert await kinds(operator, "resolved") == ["amount_differs"]

    await api.simulator.age(made["id"], days=40)  # the two sides' clocks go on by forty days
    api.clock.forward(days=40)
    (await ada.refund(payment["id"], 100)).expect(201)
    await api.simulator.age(made["id"], days=-40)
    api.clock.forward(**HOUR)
    await api.simulator.fault("provider.list", "wrong_amount", times=2)  # of both lists
    await run(api, operator)
    assert await kinds(operator) == ["amount_differs"]
    await run(api, operator)
    assert await kinds(operator) == []


async def test_older_charges_of_somebody_else_that_change_are_counted(
    api: Api, operator: Client
) -> None:
    made = await outside(api, "POST", "/provider/v1/charges", charge("order 7"))
    await api.simulator.age(made["id"], days=40)
    await refund_orphan(api, {"provider_ref": made["id"]}, 100)
    api.clock.forward(**HOUR)
    found = await run(api, operator)
    assert (found["charges"], found["foreign_charges"], found["differences"]) == (1, 1, 0)


@pytest.mark.parametrize("days", [5, 20])
async def test_the_window_reaches_back_to_what_is_still_held(
    api: Api, ada: Client, operator: Client, days: int
) -> None:
    """A hold lasts longer than the window, and no provider lists captures by their time."""
    await old_sale(api, ada, days=days, capture="manual")
    api.clock.forward(**HOUR)
    found = await run(api, operator)
    assert (found["charges"], found["differences"]) == (1, 0)
