"""Charges of another business on the same account: recognized and ignored."""

import asyncio
from uuid import UUID, uuid4

import pytest

from scripts.platform.client import Client
from service.ids import new_id
from service.usecases import payments
from tests.integration.api.conftest import Api
from tests.support.webhooks import Hook, Json, at_provider, event_of, inbox, orphans, status_of

FOREIGN = 'webhook_events_total{outcome="foreign",provider="simulator"}'


async def charge(api: Api, reference: str, *, minor: int = 1999, key: str | None = None) -> Json:
    """Charge at the provider without our API."""
    order = {"amount": minor, "currency": "EUR", "capture": True, "payment_method": "pm_ok"}
    return await at_provider(api.simulator, "", order | {"reference": reference}, key=key)


async def test_events_of_charges_that_were_never_ours_are_counted_and_done(
    api: Api, hook: Hook
) -> None:
    made = [await charge(api, f"order {number}") for number in range(20)]
    await asyncio.gather(*(hook.send(event_of(record)) for record in made))
    assert await api.process() == 20
    rows = await inbox(api.context.db)
    assert {(row["status"], row["outcome"]) for row in rows} == {("processed", "foreign")}
    assert api.counted(FOREIGN) == 20
    api.clock.forward(days=4)
    assert await api.process() == 0
    assert (await api.simulator.state())["refunds"] == []
    assert await orphans(api.context.db) == []


async def test_a_refund_of_a_charge_that_was_never_ours(api: Api, hook: Hook) -> None:
    made = await charge(api, "order 7")
    back = await at_provider(api.simulator, f"/{made['id']}/refunds", {"amount": 100})
    await hook.send(event_of(back))
    assert await api.process() == 1
    assert [row["outcome"] for row in await inbox(api.context.db)] == ["foreign"]


async def test_an_event_of_a_charge_that_the_provider_has_not(api: Api, hook: Hook) -> None:
    """Of a connected account, for example: our key doesn't see its charges."""
    await hook.send(event_of({"id": "ch_x", "object": "charge", "status": "succeeded"}))
    assert await api.process() == 1
    assert [row["outcome"] for row in await inbox(api.context.db)] == ["foreign"]


@pytest.mark.parametrize("named_by", ["event", "record"])
async def test_what_names_a_payment_that_is_not_here_waits_and_is_left_to_people(
    api: Api, hook: Hook, named_by: str
) -> None:
    """A restored database may lack it: that is no stranger's."""
    made = await charge(api, str(uuid4()))
    silent = {"reference": "", "idempotency_key": ""} if named_by == "record" else {}
    await hook.send(event_of(made | silent))
    await api.process()
    [row] = await inbox(api.context.db)
    assert (row["status"], row["last_error"]) == ("pending", "no payment of ours")
    for _ in range(100):
        api.clock.forward(hours=1)
        await api.process()
    assert [row["status"] for row in await inbox(api.context.db)] == ["parked"]


async def test_an_event_that_comes_before_its_payment_row_waits_for_it(
    api: Api, ada: Client, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id, attempt_id = new_id(), new_id()
    order = await ada.order(["game-1"])
    made = await charge(api, str(payment_id), minor=order["total"], key=str(attempt_id))
    await hook.send(event_of(made))
    await api.process()
    assert [row["status"] for row in await inbox(api.context.db)] == ["pending"]

    ids = iter([payment_id, attempt_id])
    monkeypatch.setattr(payments, "new_id", lambda *_: next(ids, None) or new_id())
    payment = (await ada.pay(order["id"])).expect(201).body
    assert (UUID(payment["id"]), payment["status"]) == (payment_id, "succeeded")
    api.clock.forward(seconds=5)
    assert await api.process() == 1
    assert [row["outcome"] for row in await inbox(api.context.db)] == ["no_news"]
    assert await status_of(ada, payment) == "succeeded"
    assert len((await api.simulator.state())["charges"]) == 1
    await api.sound()
