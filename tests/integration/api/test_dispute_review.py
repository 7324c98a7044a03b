"""What the buyer and operators see of disputes, and what an operator decides."""

from typing import Any
from uuid import uuid4

import pytest

from scripts.platform.client import Client, Reply
from tests.integration.api.conftest import Api, Start
from tests.integration.api.operators import audited, chains_hold
from tests.support.disputes import (
    changed,
    charge_of,
    disputed,
    paid,
    process_webhooks,
    rows,
    timeline,
)
from tests.support.services import ADMIN


async def closed(
    operator: Client, subject: str, subject_id: str, *, key: str = "", **body: Any
) -> Reply:
    note = "answered at the provider"
    evidence = {"note": note} if subject == "fraud-warnings" else {"evidence": {"note": note}}
    return await operator.call(
        "POST",
        f"/v1/admin/{subject}/{subject_id}/close",
        json={**evidence, **body},
        key=key or str(uuid4()),
    )


async def waiting(operator: Client) -> list[tuple[str, str, str | None]]:
    items = (await operator.read("/v1/admin/review"))["items"]
    return [(item["kind"], item["id"], item["failure_code"]) for item in items]


async def test_a_buyer_sees_the_own_disputes_and_nothing_internal(api: Api, ada: Client) -> None:
    payment = await paid(api, ada)
    await disputed(api, reason="fraudulent")
    [shown] = (await ada.read(f"/v1/payments/{payment['id']}/disputes"))["items"]
    assert (shown["status"], shown["amount"], shown["currency"], shown["reason"]) == (
        "needs_response",
        1499,
        "EUR",
        "fraudulent",
    )
    assert set(shown) & {"provider_ref", "review", "withdrawn", "evidence_due_at"} == set()
    async with api.client("bob") as bob:
        assert (await bob.call("GET", f"/v1/payments/{payment['id']}/disputes")).status == 404
        assert (await bob.call("GET", "/v1/admin/disputes")).status == 403


async def test_operators_page_through_disputes_by_status(api: Api, ada: Client) -> None:
    ids = []
    for number in (1, 2, 3):
        await paid(api, ada, f"game-{number}")
        dispute = await disputed(api, inquiry=number == 2)
        ids.append(dispute["id"])
    async with api.client("olga", ADMIN) as olga:
        first = await olga.read("/v1/admin/disputes?limit=2")
        assert [d["provider_ref"] for d in first["items"]] == [ids[2], ids[1]]
        rest = await olga.read(f"/v1/admin/disputes?limit=2&cursor={first['next_cursor']}")
        assert [d["provider_ref"] for d in rest["items"]] == [ids[0]]
        assert rest["next_cursor"] is None
        inquiries = await olga.read("/v1/admin/disputes?status=warning")
        assert [d["provider_ref"] for d in inquiries["items"]] == [ids[1]]
        assert (await olga.call("GET", "/v1/admin/disputes?status=x")).status == 422


async def test_a_dispute_waits_in_the_review_queue_until_it_is_answered(
    api: Api, ada: Client
) -> None:
    payment = await paid(api, ada)
    dispute = await disputed(api)
    [row] = await rows(api)
    async with api.client("olga", ADMIN) as olga:
        assert await waiting(olga) == [("dispute", row["id"], "answer")]
        key = str(uuid4())
        answer = (await closed(olga, "disputes", row["id"], key=key)).expect(200).body
        assert (answer["id"], answer["review"]) == (row["id"], None)
        again = await closed(olga, "disputes", row["id"], key=key)
        assert (again.status, again.body) == (200, answer)
        assert (await closed(olga, "disputes", row["id"])).status == 409
        assert await waiting(olga) == []
        assert await audited(olga, payment["id"]) == [("olga", "dispute", "close")]
        detail = await olga.read(f"/v1/admin/payments/{payment['id']}")
        assert [d["provider_ref"] for d in detail["disputes"]] == [dispute["id"]]
    # What the provider says again changes nothing, and a new status asks anew.
    await changed(api, dispute, "submit", "escalate")
    [row] = await rows(api)
    assert row["review"] == "answer"
    assert "dispute_review_closed" in await timeline(ada, payment)
    await chains_hold(api)


async def test_answering_the_bank_needs_no_click(api: Api, ada: Client) -> None:
    await paid(api, ada)
    await changed(api, await disputed(api), "submit")
    async with api.client("olga", ADMIN) as olga:
        assert await waiting(olga) == []


@pytest.mark.parametrize("revoke", [True, False])
async def test_a_person_says_whether_a_lost_game_goes_back(
    start_api: Start,
    revoke: bool,  # noqa: FBT001
) -> None:
    api = await start_api(DISPUTE_LOST_REVOKES="false")
    async with api.client() as ada, api.client("olga", ADMIN) as olga:
        await paid(api, ada)
        dispute = await disputed(api)
        [row] = await rows(api)
        assert (await closed(olga, "disputes", row["id"], revoke=True)).status == 422
        await changed(api, dispute, "lose")
        assert await waiting(olga) == [("dispute", row["id"], "lost")]
        (await closed(olga, "disputes", row["id"], revoke=revoke)).expect(200)
        assert await api.deliver() == int(revoke)
        grants = (await api.simulator.state())["grants"]
        assert [grant["revoked"] for grant in grants] == [revoke]
        await api.sound()


async def test_a_warning_of_fraud_is_looked_at(api: Api, ada: Client) -> None:
    payment = await paid(api, ada)
    await api.simulator.warn(await charge_of(api), fraud_type="made_with_stolen_card")
    await process_webhooks(api)
    [row] = await rows(api, "fraud_warnings")
    async with api.client("olga", ADMIN) as olga:
        assert await waiting(olga) == [("fraud_warning", row["id"], "made_with_stolen_card")]
        answer = (await closed(olga, "fraud-warnings", row["id"])).expect(200).body
        assert (answer["status"], answer["actionable"]) == ("closed", True)
        assert (await closed(olga, "fraud-warnings", row["id"])).status == 409
        assert await waiting(olga) == []
        assert await audited(olga, payment["id"]) == [("olga", "fraud_warning", "close")]
    await chains_hold(api)


async def test_a_warning_that_became_a_dispute_asks_nobody(api: Api, ada: Client) -> None:
    await paid(api, ada)
    warning = await api.simulator.warn(await charge_of(api))
    await disputed(api)
    [row] = await rows(api, "fraud_warnings")
    assert (row["provider_ref"], row["actionable"], row["status"]) == (
        warning["id"],
        False,
        "closed",
    )


@pytest.mark.parametrize("subject", ["disputes", "fraud-warnings"])
async def test_what_is_not_there_is_not_closed(api: Api, subject: str) -> None:
    async with api.client("olga", ADMIN) as olga:
        assert (await closed(olga, subject, str(uuid4()))).status == 404
