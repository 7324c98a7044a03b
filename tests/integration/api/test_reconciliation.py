"""Reconciliation: each kind of difference is found once, kept, and closed when gone."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from scripts.platform.client import Client
from service.usecases import reconcile
from service.workers import jobs
from tests.integration.api.conftest import Api, Start
from tests.support.services import ADMIN, SIMULATOR_SECRETS

HOUR = {"hours": 1}


@pytest.fixture
async def api(start_api: Start) -> Api:
    return await start_api(RECONCILIATION_GRACE_S="60")


@pytest.fixture
async def operator(api: Api) -> AsyncIterator[Client]:
    async with api.client("olga", ADMIN) as client:
        yield client


async def run(api: Api, operator: Client) -> dict[str, Any]:
    """Ask for a run, let the worker do it, and return it."""
    asked = await operator.call("POST", "/v1/admin/reconciliation/runs", json={"note": "a test"})
    assert await jobs.run_reconciliation(api.context) == 1
    return await operator.read(f"/v1/admin/reconciliation/runs/{asked.expect(202).body['id']}")


async def differences(operator: Client, state: str = "open") -> list[dict[str, Any]]:
    page = await operator.read(f"/v1/admin/reconciliation/differences?state={state}")
    return list(page["items"])


async def kinds(operator: Client, state: str = "open") -> list[str]:
    return sorted(difference["kind"] for difference in await differences(operator, state))


async def outside(api: Api, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Change the provider's or the Library's records; the service is not told."""
    secret = "LIBRARY_TOKEN" if path.startswith("/library") else "SIMULATOR_API_KEY"
    headers = {
        "Authorization": f"Bearer {SIMULATOR_SECRETS[secret]}",
        "Idempotency-Key": str(uuid4()),
    }
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.request(method, api.simulator.url + path, json=body, headers=headers) as answer,
    ):
        return await answer.json()


async def sale(api: Api, customer: Client, game: str = "game-1", **options: Any) -> dict[str, Any]:
    """Sell and grant a game an hour ago; return the payment."""
    order = await customer.order([game])
    payment = (await customer.pay(order["id"], **options)).expect(201).body
    await api.deliver()
    api.clock.forward(**HOUR)
    return payment


def charge(reference: str = "", amount: int = 500) -> dict[str, Any]:
    return {
        "amount": amount,
        "currency": "EUR",
        "capture": True,
        "payment_method": "pm_ok",
        "reference": reference or str(uuid4()),
    }


async def test_books_that_agree_have_no_differences(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = await sale(api, ada)
    await sale(api, ada, "game-2", capture="manual")
    await sale(api, ada, "game-3", payment_method="pm_declined")
    (await ada.refund(payment["id"])).expect(201)
    await api.deliver()
    api.clock.forward(**HOUR)
    found = await run(api, operator)
    assert found["status"] == "succeeded", found["error"]
    assert (found["charges"], found["payments"], found["grants"]) == (3, 2, 1)
    assert (found["differences"], await kinds(operator, "all")) == (0, [])


async def test_a_charge_that_nobody_here_knows(api: Api, operator: Client) -> None:
    made = await outside(api, "POST", "/provider/v1/charges", charge())
    api.clock.forward(**HOUR)
    await run(api, operator)
    [difference] = await differences(operator)
    assert (difference["kind"], difference["source"]) == ("missing_here", "simulator")
    assert (difference["subject"], difference["payment_id"]) == (made["id"], None)
    assert difference["theirs"]["captured"] == 500


async def test_charges_of_somebody_else_are_counted_and_no_difference(
    api: Api, ada: Client, operator: Client
) -> None:
    """The account is shared: what names no payment of anybody's here was never ours."""
    await sale(api, ada)
    for number in range(3):
        await outside(api, "POST", "/provider/v1/charges", charge(f"order {number}"))
    api.clock.forward(**HOUR)
    found = await run(api, operator)
    assert (found["charges"], found["foreign_charges"], found["differences"]) == (4, 3, 0)
    assert await differences(operator, "all") == []


async def test_a_second_charge_for_a_payment_until_it_is_given_back(
    api: Api, ada: Client, operator: Client
) -> None:
    payment = await sale(api, ada)
    second = await outside(api, "POST", "/provider/v1/charges", charge(payment["id"]))
    api.clock.forward(**HOUR)
    await run(api, operator)
    [difference] = await differences(operator)
    assert (difference["kind"], difference["payment_id"]) == ("duplicate_charge", payment["id"])
    await outside(api, "POST", f"/provider/v1/charges/{second['id']}/refunds", {"amount": 500})
    await run(api, operator)
    assert (await kinds(operator), await kinds(operator, "resolved")) == ([], ["duplicate_charge"])


async def test_a_charge_that_the_provider_has_lost(api: Api, ada: Client, operator: Client) -> None:
    payment = await sale(api, ada)
    await api.simulator.reset()
    await run(api, operator)
    found = {d["kind"]: d for d in await differences(operator)}
    assert set(found) == {"missing_at_provider", "grant_missing"}
    assert {d["payment_id"] for d in found.values()} == {payment["id"]}
    assert found["missing_at_provider"]["ours"]["captured"] == payment["amount"]


async def test_amounts_and_refunds_that_differ(api: Api, ada: Client, operator: Client) -> None:
    await sale(api, ada)
    [listed] = (await api.simulator.state())["charges"]
    await outside(api, "POST", f"/provider/v1/charges/{listed['id']}/refunds", {"amount": 100})
    await api.simulator.fault("provider.list", "wrong_amount", times=1)
    await keep_silent(api)
    await run(api, operator)
    assert await kinds(operator) == ["amount_differs", "refund_differs"]
    await run(api, operator)
    assert await kinds(operator) == ["refund_differs"]


async def keep_silent(api: Api) -> None:
    """Let the provider list its charges and say nothing of any: nothing of it can be made ours."""
    await api.simulator.fault("provider.find", "status", status=500, times=1_000)


async def test_a_status_that_differs(api: Api, ada: Client, operator: Client) -> None:
    await sale(api, ada, capture="manual")
    [held] = (await api.simulator.state())["charges"]
    await outside(api, "POST", f"/provider/v1/charges/{held['id']}/capture", {})
    await keep_silent(api)
    await run(api, operator)
    assert await kinds(operator) == ["status_differs"]


async def test_grants_that_differ(api: Api, ada: Client, operator: Client) -> None:
    await sale(api, ada)
    [grant] = (await api.simulator.state())["grants"]
    await outside(api, "DELETE", f"/library/v1/grants/{grant['id']}")
    foreign = {"user_id": "eve", "game_id": "game-9", "quantity": 1, "order_id": "o"}
    await outside(api, "PUT", f"/library/v1/grants/{uuid4()}", foreign)
    api.clock.forward(**HOUR)
    await run(api, operator)
    assert await kinds(operator) == ["grant_missing", "grant_unexpected"]


async def test_a_difference_keeps_its_row_and_comes_back_to_it(
    api: Api, ada: Client, operator: Client
) -> None:
    await sale(api, ada)
    await api.simulator.fault("provider.list", "wrong_amount", times=1)
    await run(api, operator)
    [first] = await differences(operator)
    await api.simulator.fault("provider.list", "wrong_amount", times=1)
    await run(api, operator)
    [again] = await differences(operator)
    assert (again["id"], again["first_seen"], again["times_seen"]) == (
        first["id"],
        first["first_seen"],
        2,
    )
    await run(api, operator)
    assert await differences(operator) == []
    await api.simulator.fault("provider.list", "wrong_amount", times=1)
    await run(api, operator)
    [back] = await differences(operator, "all")
    assert (back["id"], back["times_seen"], back["resolved_at"]) == (first["id"], 3, None)


@pytest.mark.impatient
async def test_what_is_in_flight_is_left_alone(api: Api, ada: Client, operator: Client) -> None:
    await api.simulator.fault("provider.charge", "timeout_after", times=1)
    order = await ada.order(["game-1"])
    (await ada.pay(order["id"])).expect(202)
    await outside(api, "POST", "/provider/v1/charges", charge())  # younger than the grace
    found = await run(api, operator)
    assert (found["charges"], await kinds(operator, "all")) == (0, [])
    api.clock.forward(**HOUR)
    await run(api, operator)  # the unknown one is the completer's, the other nobody's
    assert await kinds(operator) == ["missing_here"]


async def test_a_source_that_does_not_answer_fails_the_run_and_closes_nothing(
    api: Api, ada: Client, operator: Client
) -> None:
    await sale(api, ada)
    await api.simulator.fault("provider.list", "wrong_amount", times=1)
    await run(api, operator)
    assert await kinds(operator) == ["amount_differs"]
    await api.simulator.fault("provider.list", "status", status=500, times=None)
    found = await run(api, operator)
    assert found["status"] == "failed"
    assert found["error"].startswith("simulator: ")
    assert found["grants"] == 1  # the Library was compared all the same
    assert await kinds(operator) == ["amount_differs"]


async def test_long_lists_are_walked_page_by_page(
    api: Api, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "PAGE", 7)
    for _ in range(110):  # more than a page of the provider's
        await outside(api, "POST", "/provider/v1/charges", charge())
    api.clock.forward(**HOUR)
    found = await run(api, operator)
    assert (found["charges"], found["differences"]) == (110, 110)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        path = f"/v1/admin/reconciliation/differences?limit=40&kind=missing_here{cursor}"
        page = await operator.read(path)
        seen += [difference["id"] for difference in page["items"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 110


async def test_one_run_at_a_time_and_by_schedule(start_api: Start) -> None:
    api = await start_api(RECONCILIATION_INTERVAL_S="600")
    runs = await asyncio.gather(*(jobs.run_reconciliation(api.context) for _ in range(8)))
    assert sum(runs) == 1
    assert await jobs.run_reconciliation(api.context) == 0
    api.clock.forward(seconds=601)
    assert await jobs.run_reconciliation(api.context) == 1
    async with api.client("olga", ADMIN) as operator:
        listed = (await operator.read("/v1/admin/reconciliation/runs"))["items"]
    assert [(entry["status"], entry["actor"]) for entry in listed] == [
        ("succeeded", "schedule"),
        ("succeeded", "schedule"),
    ]


async def test_a_run_whose_process_is_gone_is_failed_and_repeated(
    api: Api, operator: Client
) -> None:
    await api.simulator.fault("provider.list", "hold_before", times=1)
    dying = asyncio.create_task(jobs.run_reconciliation(api.context))
    await api.simulator.until_held("provider.list")
    await operator.call("POST", "/v1/admin/reconciliation/runs", json={"note": "another"})
    assert await jobs.run_reconciliation(api.context) == 0  # it waits for the one that runs
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    await api.simulator.release()
    assert await jobs.run_reconciliation(api.context) == 0  # it may live
    api.clock.forward(seconds=reconcile.LEASE_S + 1)
    found = await run(api, operator)
    assert found["status"] == "succeeded"
    listed = (await operator.read("/v1/admin/reconciliation/runs"))["items"]
    assert [(r["status"], r["error"]) for r in listed][1:] == [("failed", "its process is gone")]


async def test_a_run_is_asked_for_on_record_and_joined(api: Api, operator: Client) -> None:
    replies = [
        await operator.call("POST", "/v1/admin/reconciliation/runs", json={"note": "why"})
        for _ in range(2)
    ]
    assert len({reply.expect(202).body["id"] for reply in replies}) == 1
    actions = await api.context.db.fetch(
        "SELECT actor, action, reason FROM admin_actions WHERE subject = 'reconciliation'"
    )
    assert actions == [("olga", "request_run", "why")] * 2
    assert await jobs.run_reconciliation(api.context) == 1
    assert await jobs.run_reconciliation(api.context) == 0


async def test_the_metrics_show_what_is_open(api: Api, operator: Client) -> None:
    await outside(api, "POST", "/provider/v1/charges", charge())
    api.clock.forward(**HOUR)
    await run(api, operator)
    text = api.context.metrics.exposition().decode()
    assert 'reconciliation_differences_gauge{kind="missing_here"} 1.0' in text
    assert 'reconciliation_differences_gauge{kind="grant_missing"} 0.0' in text
    assert 'reconciliation_runs_total{outcome="ok"} 1.0' in text
    [line] = [x for x in text.splitlines() if x.startswith("reconciliation_last_run_timestamp")]
    assert float(line.split()[1]) > 1.7e9
