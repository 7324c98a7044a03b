"""Paid and not granted: it heals by itself, or the money goes back by itself."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from scripts.platform.client import Client
from service.workers import gauges
from tests.integration.api.conftest import Api, Start
from tests.integration.api.operators import audited, chains_hold
from tests.support.services import ADMIN

DAY = 86_400
NOTE = {"note": "the Library is back"}


@pytest.fixture
async def operator(api: Api) -> AsyncIterator[Client]:
    async with api.client("olga", ADMIN) as client:
        yield client


async def paid(ada: Client, *games: str) -> dict[str, Any]:
    order = await ada.order(games or ["game-1"])
    return (await ada.pay(order["id"])).expect(201).body


async def refunded_in_full(api: Api, ada: Client, payment: dict[str, Any]) -> None:
    """Assert that the money and the games went back, and that all of it is booked."""
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["refunded"], found["refund_pending"]) == (payment["amount"], 0)
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "refunded"
    [charge] = (await api.simulator.state())["charges"]
    assert charge["amount_refunded"] == payment["amount"]
    assert await api.simulator.shelf("ada") == []
    await api.sound()
    kept = await api.context.db.fetch("SELECT * FROM invariant_given_up_and_kept")
    assert kept == []


async def shown(api: Api, series: str) -> float:
    await gauges.measure_backlog(api.context)
    return api.counted(series)


async def test_a_library_that_comes_back_in_time_gets_its_grant(api: Api, ada: Client) -> None:
    payment = await paid(ada)
    await api.simulator.fault("library.grant", "status", status=503, times=1)
    assert await api.deliver() == 1
    api.clock.forward(seconds=DAY - 60)
    assert await shown(api, "paid_not_granted_gauge") == 1
    assert await api.deliver() == 1
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "fulfilled"
    assert await shown(api, "paid_not_granted_gauge") == 0


@pytest.mark.parametrize("status", [400, 409, 410, 422])
async def test_what_the_library_refuses_is_refunded(
    api: Api, ada: Client, operator: Client, status: int
) -> None:
    payment = await paid(ada)
    await api.simulator.fault("library.grant", "status", status=status, times=1)
    assert await api.deliver() == 1
    assert await shown(api, "paid_not_granted_gauge") == 1
    [refund] = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    assert (refund["status"], refund["reason"]) == ("pending", "grant_failed")
    assert await api.complete() == 1
    assert await api.deliver() == 1  # the revoke: the grant may have been made all the same
    await refunded_in_full(api, ada, payment)
    assert await shown(api, "paid_not_granted_gauge") == 0
    assert await shown(api, 'grants_given_up_total{reason="refused"}') == 1
    detail = await operator.read(f"/v1/admin/payments/{payment['id']}")
    assert [e["status"] for e in detail["entitlements"]] == ["released"]
    assert [event["event"] for event in detail["events"]][-4:] == [
        "grant_given_up",
        "refund_created",
        "refund_succeeded",
        "games_revoked",
    ]


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503])
async def test_what_may_be_put_right_is_tried_again(api: Api, ada: Client, status: int) -> None:
    payment = await paid(ada)
    await api.simulator.fault("library.grant", "status", status=status, times=1)
    assert await api.deliver() == 1
    assert (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"] == []
    api.clock.forward(minutes=10)
    assert await api.deliver() == 1
    assert len(await api.simulator.shelf("ada")) == 1


@pytest.mark.impatient
async def test_what_was_granted_without_our_knowing_is_revoked(api: Api, ada: Client) -> None:
    payment = await paid(ada)
    await api.simulator.fault("library.grant", "timeout_after", times=1)
    assert await api.deliver() == 1
    assert len(await api.simulator.shelf("ada")) == 1
    await api.simulator.fault("library.grant", "status", status=503, times=None)
    api.clock.forward(seconds=DAY + 1)
    assert await api.deliver() == 1
    await api.simulator.clear_faults()
    assert await api.complete() == 1
    assert await api.deliver() == 1
    await refunded_in_full(api, ada, payment)
    assert await shown(api, 'grants_given_up_total{reason="overdue"}') == 1


async def test_a_bundle_that_is_refused_in_part_is_refunded_in_whole(
    start_api: Start,
) -> None:
    api = await start_api()
    async with api.client() as ada:
        payment = await paid(ada, "game-1", "game-2")
        await api.simulator.fault("library.grant", "delay", delay_s=0, times=1)
        await api.simulator.fault("library.grant", "status", status=422, times=1)
        assert await api.deliver() == 1
        assert len(await api.simulator.shelf("ada")) == 1
        assert await api.complete() == 1
        assert await api.deliver() == 1
        await refunded_in_full(api, ada, payment)
        again = await paid(ada, "game-1", "game-2")  # nobody is kept from buying it anew
        assert again["status"] == "succeeded"


async def test_what_is_left_after_a_partial_refund_goes_back(api: Api, ada: Client) -> None:
    payment = await paid(ada)
    (await ada.refund(payment["id"], 100)).expect(201)
    await api.simulator.fault("library.grant", "status", status=422, times=1)
    await api.deliver()
    assert await api.complete() == 1
    await api.deliver()
    await refunded_in_full(api, ada, payment)


async def test_an_automatic_refund_outlives_a_provider_that_is_away(api: Api, ada: Client) -> None:
    payment = await paid(ada)
    await api.simulator.fault("library.grant", "status", status=422, times=1)
    await api.deliver()
    await api.simulator.fault("provider.refund", "status", status=500, times=1)
    assert await api.complete() == 1
    assert await shown(api, "paid_not_granted_gauge") == 1
    api.clock.forward(minutes=1)
    assert await api.complete() == 1
    await api.deliver()
    await refunded_in_full(api, ada, payment)


async def test_giving_up_and_refunding_race_without_paying_back_twice(
    api: Api, ada: Client
) -> None:
    payment = await paid(ada)
    await api.simulator.fault("library.grant", "status", status=422, times=1)
    reply, _ = await asyncio.gather(ada.refund(payment["id"]), api.deliver())
    assert reply.status in {201, 409}
    await api.complete()
    await api.deliver()
    await refunded_in_full(api, ada, payment)


async def test_a_stuck_message_is_seen_and_sent_once_more(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = await paid(ada)
    await api.simulator.fault("library.grant", "status", status=503, times=3)
    for _ in range(3):
        assert await api.deliver() == 1
        api.clock.forward(seconds=10)
    [stuck] = (await operator.read("/v1/admin/outbox"))["items"]
    assert (stuck["payment_id"], stuck["attempts"]) == (payment["id"], 3)
    assert stuck["last_error"] == "status 503"
    api.clock.ahead -= (api.clock.ahead) / 2  # the next try is still ahead
    path = f"/v1/admin/outbox/{stuck['id']}/replay"
    (await operator.call("POST", path, json=NOTE)).expect(200)
    assert await api.deliver() == 1
    assert len(await api.simulator.shelf("ada")) == 1
    assert await audited(operator, payment["id"]) == [("olga", "outbox", "replay")]
    await chains_hold(api)


async def test_a_delivered_message_may_be_sent_again(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = await paid(ada)
    await api.deliver()
    [sent] = (await operator.read("/v1/admin/outbox?state=delivered"))["items"]
    path = f"/v1/admin/outbox/{sent['id']}/replay"
    (await operator.call("POST", path, json=NOTE)).expect(200)
    # even if the Library refuses it now, or is away for days: who has the game keeps it
    await api.simulator.fault("library.grant", "status", status=422, times=1)
    assert await api.deliver() == 1
    api.clock.forward(days=3)
    await api.simulator.fault("library.grant", "status", status=503, times=1)
    assert await api.deliver() == 1
    api.clock.forward(days=3)
    assert await api.deliver() == 1
    assert len(await api.simulator.shelf("ada")) == 1
    assert (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"] == []
    await api.sound()


async def test_a_grant_sent_again_does_not_bring_back_what_was_revoked(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = await paid(ada)
    await api.deliver()
    (await ada.refund(payment["id"])).expect(201)
    await api.deliver()
    grant, revoke = (await operator.read("/v1/admin/outbox?state=delivered"))["items"]
    for message in (grant, revoke):
        path = f"/v1/admin/outbox/{message['id']}/replay"
        (await operator.call("POST", path, json=NOTE)).expect(200)
    assert await api.deliver() == 2
    assert await api.simulator.shelf("ada") == []
    await api.sound()


async def test_what_was_given_up_is_not_sent_again(api: Api, ada: Client, operator: Client) -> None:
    await paid(ada)
    await api.simulator.fault("library.grant", "status", status=422, times=1)
    await api.deliver()
    [given_up] = (await operator.read("/v1/admin/outbox?state=given_up"))["items"]
    path = f"/v1/admin/outbox/{given_up['id']}/replay"
    assert (await operator.call("POST", path, json=NOTE)).status == 409
    assert (await operator.read("/v1/admin/outbox?state=pending"))["items"] == []


@pytest.mark.parametrize("message", ["9", "999999999999999999", "x", "9" * 19, "-1"])
async def test_a_message_that_is_not_there_is_not_found(operator: Client, message: str) -> None:
    reply = await operator.call("POST", f"/v1/admin/outbox/{message}/replay", json=NOTE)
    assert reply.status == 404


async def test_the_outbox_is_read_page_by_page(ada: Client, operator: Client) -> None:
    made = [(await paid(ada, f"game-{n}"))["id"] for n in (1, 2, 3)]
    first = await operator.read("/v1/admin/outbox?state=pending&limit=2")
    rest = await operator.read(
        f"/v1/admin/outbox?state=pending&limit=2&cursor={first['next_cursor']}"
    )
    pages = [[m["payment_id"] for m in page["items"]] for page in (first, rest)]
    assert (pages, rest["next_cursor"]) == ([made[:2], made[2:]], None)
