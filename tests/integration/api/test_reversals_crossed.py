"""Reversals at the same time: of a refund and its capture, and with older answers."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from scripts.platform.client import Client
from service.usecases import inbox as inbox_usecase
from service.usecases import refunds as refunds_usecase
from tests.integration.api.conftest import Api
from tests.integration.api.test_reversals import (
    bought,
    charge_fails,
    ledger_kinds,
    refunded,
    taken_back,
)
from tests.support.services import ADMIN
from tests.support.webhooks import Hook, charge_event, event_of


async def test_a_refund_of_a_capture_that_was_taken_back_comes_back(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    await refunded(ada, payment)
    await api.deliver()
    await charge_fails(api, hook)
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "reversed"
    await api.sound()
    await taken_back(api, hook)
    await api.sound()


async def test_news_is_not_lost_to_an_older_answer_about_the_charge(
    api: Api, ada: Client, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker asks once the charge has failed, and writes after an older success."""
    order = await ada.order(["game-1"])
    await api.simulator.fault("provider.charge", "hold_after", times=1)
    paying = asyncio.create_task(ada.pay(order["id"]))
    await api.simulator.until_held("provider.charge")
    charge = (await api.simulator.state())["charges"][-1]
    await api.simulator.fail_charge(charge["id"])
    await hook.send(await charge_event(api.simulator))
    record_outcome = inbox_usecase.record_provider_update

    async def late(*args: Any) -> str:
        await api.simulator.release()
        await paying
        return await record_outcome(*args)

    monkeypatch.setattr(inbox_usecase, "record_provider_update", late)
    await api.process()
    monkeypatch.undo()
    payment = (await paying).expect(201).body
    assert payment["status"] == "succeeded"
    api.clock.forward(seconds=60)
    await api.process()
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "reversed"
    await api.deliver()
    await api.sound()


async def test_news_is_not_lost_to_an_older_answer_about_the_refund(
    api: Api, ada: Client, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await bought(api, ada)
    await api.simulator.fault("provider.refund", "hold_after", times=1)
    refunding = asyncio.create_task(ada.refund(payment["id"]))
    await api.simulator.until_held("provider.refund")
    made = (await api.simulator.state())["refunds"][-1]
    await hook.send(event_of(await api.simulator.fail_refund(made["id"])))
    record_outcome = refunds_usecase._record_result

    async def late(*args: Any) -> Any:
        monkeypatch.undo()
        await api.simulator.release()
        await refunding
        return await record_outcome(*args)

    monkeypatch.setattr(refunds_usecase, "_record_result", late)
    await api.process()
    assert (await refunding).expect(201).body["status"] == "succeeded"
    api.clock.forward(seconds=60)
    await api.process()
    [found] = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    assert found["status"] == "failed"
    assert await ledger_kinds(api, payment) == ["capture", "refund", "refund_reversal"]
    await api.sound()


async def test_a_refund_of_what_could_not_be_granted_comes_back_beside_another(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    await refunded(ada, payment, 500)
    first = (await api.simulator.state())["refunds"][-1]
    await api.simulator.fault("library.grant", "status", status=422, times=9)
    await api.deliver()
    await api.complete()
    await api.deliver()
    rows = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    assert [(each["amount"], each["status"]) for each in rows] == [
        (500, "succeeded"),
        (999, "succeeded"),
    ]
    await taken_back(api, hook)
    await hook.send(event_of(await api.simulator.fail_refund(first["id"])))
    await api.process()
    await api.sound()
    async with api.client("op", ADMIN) as operator:
        for each in reversed(rows):
            path = f"/v1/admin/refunds/{each['id']}/retry"
            (await operator.call("POST", path, json={"note": "x"}, key=str(uuid4()))).expect(202)
    await api.complete()
    await api.deliver()
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "refunded"
    await api.sound()


async def test_a_dismissed_refund_of_what_could_not_be_granted_may_still_be_tried_again(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    await api.simulator.fault("library.grant", "status", status=422, times=9)
    await api.deliver()
    await api.complete()
    [refund] = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    await taken_back(api, hook)
    path, note = f"/v1/admin/refunds/{refund['id']}", {"note": "x"}
    async with api.client("op", ADMIN) as operator:
        for action, status in (("dismiss", 200), ("retry", 202)):
            done = await operator.call("POST", f"{path}/{action}", json=note, key=str(uuid4()))
            assert done.status == status
    await api.complete()
    assert (await ada.read(f"/v1/orders/{order['id']}"))["status"] == "refunded"
    await api.deliver()
    await api.sound()
