"""Disputes from their first event to their last: rows, ledger, timeline, refunds and games."""

import asyncio

import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api, Start
from tests.integration.api.test_reconciliation import outside
from tests.support.disputes import (
    balances,
    changed,
    charge_of,
    disputed,
    paid,
    process_webhooks,
    rows,
    timeline,
)
from tests.support.webhooks import Hook, event_of, inbox

PRICE = 1499
SALE = {"sales:games": -PRICE}


async def test_a_chargeback_is_kept_and_booked(api: Api, ada: Client) -> None:
    payment = await paid(api, ada)
    dispute = await disputed(api, reason="fraudulent")

    [row] = await rows(api)
    assert (row["payment_id"], row["provider_ref"]) == (payment["id"], dispute["id"])
    assert (row["status"], row["review"], row["reason"]) == (
        "needs_response",
        "answer",
        "fraudulent",
    )
    assert (row["amount_minor"], row["withdrawn_minor"], row["currency"]) == (PRICE, PRICE, "EUR")
    assert row["evidence_due_at"] is not None
    assert await balances(api) == {**SALE, "disputes:simulator": PRICE}
    assert await timeline(ada, payment) == ["dispute_created", "dispute_funds_withdrawn"]
    assert api.counted('disputes_total{provider="simulator",status="needs_response"}') == 1
    await api.sound()


async def test_a_dispute_that_is_won_brings_the_money_back(api: Api, ada: Client) -> None:
    payment = await paid(api, ada)
    dispute = await disputed(api)
    await changed(api, dispute, "submit", "win", "reinstate")

    [row] = await rows(api)
    assert (row["status"], row["review"], row["reinstated_minor"]) == ("won", None, PRICE)
    assert row["closed_at"] is not None
    assert await balances(api) == {**SALE, "provider:simulator": PRICE}
    assert (await timeline(ada, payment))[2:] == [
        "dispute_under_review",
        "dispute_won",
        "dispute_funds_reinstated",
    ]
    assert await api.deliver() == 0
    (await ada.refund(payment["id"])).expect(201)  # nobody disputes it any more
    await api.sound()


async def test_a_dispute_that_is_lost_takes_the_game_back(api: Api, ada: Client) -> None:
    await paid(api, ada)
    dispute = await disputed(api)
    await changed(api, dispute, "lose")

    [row] = await rows(api)
    assert (row["status"], row["review"]) == ("lost", None)
    assert await balances(api) == {**SALE, "losses:disputes": PRICE}
    assert await api.deliver() == 1
    assert all(grant["revoked"] for grant in (await api.simulator.state())["grants"])
    await api.sound()


async def test_a_setting_leaves_the_game_to_a_person(start_api: Start) -> None:
    api = await start_api(DISPUTE_LOST_REVOKES="false")
    async with api.client() as ada:
        await paid(api, ada)
        await changed(api, await disputed(api), "lose")
        assert await api.deliver() == 0
        [row] = await rows(api)
        assert row["review"] == "lost"
        await api.sound()


async def test_a_lost_part_leaves_the_game_to_a_person(api: Api, ada: Client) -> None:
    await paid(api, ada)
    await changed(api, await disputed(api, amount=500), "lose")
    assert await api.deliver() == 0
    [row] = await rows(api)
    assert row["review"] == "lost"
    assert await balances(api) == {
        **SALE,
        "provider:simulator": PRICE - 500,
        "losses:disputes": 500,
    }
    await api.sound()


async def test_a_second_round_takes_the_loss_out_of_the_books(api: Api, ada: Client) -> None:
    await paid(api, ada)
    dispute = await disputed(api)
    await changed(api, dispute, "lose", "escalate")
    assert await balances(api) == {**SALE, "disputes:simulator": PRICE}
    await changed(api, dispute, "win", "reinstate")
    [row] = await rows(api)
    assert row["review"] == "won_after_revoke"  # the game is gone, and the money is here
    assert await balances(api) == {**SALE, "provider:simulator": PRICE}
    await changed(api, dispute, "withdraw", "lose")  # once more, and booked once more
    assert await balances(api) == {**SALE, "losses:disputes": PRICE}
    await api.sound()


@pytest.mark.parametrize(
    ("actions", "status"),
    [((), 409), (("submit",), 409), (("lose",), 409), (("win", "reinstate"), 201)],
)
async def test_who_disputes_is_not_refunded(
    api: Api, ada: Client, actions: tuple[str, ...], status: int
) -> None:
    payment = await paid(api, ada)
    await changed(api, await disputed(api), *actions)
    answer = await ada.refund(payment["id"])
    assert answer.status == status
    if status == 409:
        assert answer.body["code"] == "payment_disputed"
        assert "bank" in answer.body["detail"]
        assert await rows(api, "refunds") == []


async def test_an_inquiry_moves_nothing_and_may_be_refunded(api: Api, ada: Client) -> None:
    payment = await paid(api, ada)
    dispute = await disputed(api, inquiry=True)
    [row] = await rows(api)
    assert (row["status"], row["review"], row["withdrawn_minor"]) == ("warning", "answer", 0)
    (await ada.refund(payment["id"])).expect(201)
    await changed(api, dispute, "close")
    [row] = await rows(api)
    assert (row["status"], row["review"]) == ("warning_closed", None)
    assert await balances(api) == {}
    await api.sound()


async def test_a_refunded_payment_that_is_lost_too(api: Api, ada: Client) -> None:
    """The buyer has the money twice: the ledger shows it, and the game is revoked once."""
    payment = await paid(api, ada)
    dispute = await disputed(api, inquiry=True)
    (await ada.refund(payment["id"])).expect(201)
    await changed(api, dispute, "escalate", "withdraw", "lose")
    assert await balances(api) == {"provider:simulator": -PRICE, "losses:disputes": PRICE}
    assert await api.deliver() == 1
    await api.sound()


async def test_a_refund_that_meets_an_unheard_of_dispute(api: Api, ada: Client) -> None:
    payment = await paid(api, ada)
    await api.simulator.fault("provider.webhook", "drop")
    await api.simulator.dispute(await charge_of(api))

    refund = (await ada.refund(payment["id"])).expect(201).body
    assert (refund["status"], refund["failure_code"]) == ("failed", "charge_disputed")
    [row] = await rows(api)
    assert row["status"] == "needs_response"  # known from the refusal
    assert (await ada.refund(payment["id"])).status == 409
    await api.sound()


async def test_events_out_of_order_and_twice_say_the_same(
    api: Api, ada: Client, hook: Hook
) -> None:
    await paid(api, ada)
    await api.simulator.send_webhooks("", "")
    dispute = await api.simulator.dispute(await charge_of(api))
    for action in ("submit", "lose"):
        await api.simulator.change_dispute(dispute["id"], action)
    for _ in range(3):
        await hook.send(event_of(dispute, type="dispute.created"))  # claims `needs_response`
        await api.process()
    [row] = await rows(api)
    assert row["status"] == "lost"
    assert [event["outcome"] for event in await inbox(api.context.db)][-3:] == [
        "dispute_followed",
        "no_news",
        "no_news",
    ]
    assert len(await rows(api, "ledger_transactions")) == 3
    await api.sound()


async def test_an_older_answer_never_undoes_a_newer_one(api: Api, ada: Client, hook: Hook) -> None:
    """The first asks, and is told late; meanwhile the dispute is won and another says so."""
    await paid(api, ada)
    dispute = await disputed(api)
    await api.simulator.send_webhooks("", "")
    await api.simulator.change_dispute(dispute["id"], "submit")
    await hook.send(event_of(dispute))
    await api.simulator.fault("provider.dispute", "hold_after", times=1)
    first = asyncio.create_task(api.process())
    await api.simulator.until_held("provider.dispute")  # "under_review" is on its way

    await api.simulator.change_dispute(dispute["id"], "win")
    await hook.send(event_of(dispute))
    await api.process()
    assert [row["status"] for row in await rows(api)] == ["won"]
    await api.simulator.release("provider.dispute")
    await first
    assert [row["status"] for row in await rows(api)] == ["won"]
    await api.sound()


async def test_followers_at_once_book_once(api: Api, ada: Client, hook: Hook) -> None:
    await paid(api, ada)
    await api.simulator.send_webhooks("", "")
    dispute = await api.simulator.dispute(await charge_of(api))
    for _ in range(8):
        await hook.send(event_of(dispute))
    await asyncio.gather(*(api.process() for _ in range(4)))
    assert len(await rows(api)) == 1
    assert await balances(api) == {**SALE, "disputes:simulator": PRICE}
    await api.sound()


async def test_a_refund_and_a_dispute_at_once(api: Api, ada: Client, hook: Hook) -> None:
    """Whoever has the payment's lock first, the other sees it."""
    payment = await paid(api, ada)
    await api.simulator.send_webhooks("", "")
    dispute = await api.simulator.dispute(await charge_of(api))
    await hook.send(event_of(dispute))
    answer, _ = await asyncio.gather(ada.refund(payment["id"]), api.process())
    assert answer.status == 409 or answer.body["failure_code"] == "charge_disputed"
    assert await balances(api) == {**SALE, "disputes:simulator": PRICE}
    await api.sound()


async def test_a_dispute_in_another_currency_is_for_a_person_at_once(api: Api, ada: Client) -> None:
    await paid(api, ada)
    await disputed(api, currency="USD")
    assert await rows(api) == []
    event = (await inbox(api.context.db))[-1]
    assert event["status"] == "parked"
    assert "USD" in event["last_error"]
    await api.sound()


async def test_somebody_elses_dispute_is_ignored(api: Api, hook: Hook) -> None:
    """Somebody else sells on the same account, in a currency that we have never heard of."""
    foreign = {
        "amount": 100,
        "currency": "XXX",
        "capture": True,
        "payment_method": "pm_ok",
        "reference": "somebody else's",
    }
    charge = await outside(api, "POST", "/provider/v1/charges", foreign)
    dispute = await api.simulator.dispute(charge["id"])
    await hook.send(event_of(dispute))
    warning = await api.simulator.warn(charge["id"])
    await hook.send(event_of({**warning, "status": "open"}))
    await api.process()
    assert [e["outcome"] for e in await inbox(api.context.db)] == ["foreign", "foreign"]
    assert await rows(api) == await rows(api, "fraud_warnings") == []


async def test_a_dispute_that_its_provider_does_not_know_is_looked_at_again(
    api: Api, hook: Hook
) -> None:
    await hook.send(
        {
            "id": "evt_1",
            "type": "dispute.created",
            "data": {
                "object": {"id": "dp_no", "object": "dispute", "status": "lost", "charge": "ch_no"}
            },
        }
    )
    await api.process()
    [event] = await inbox(api.context.db)
    assert (event["status"], event["kind"], event["object_ref"]) == ("pending", "dispute", "dp_no")


async def test_an_event_cannot_name_the_payment(api: Api, ada: Client, hook: Hook) -> None:
    """It names ada's charge and a dispute of another one: the provider's record counts."""
    payment = await paid(api, ada)
    charge = await charge_of(api)
    async with api.client("bob") as bob:
        other = await paid(api, bob, "game-2")
        await api.simulator.send_webhooks("", "")
        dispute = await api.simulator.dispute(await charge_of(api))
    await hook.send(event_of({**dispute, "charge": charge}))
    await api.process()
    [row] = await rows(api)
    assert row["payment_id"] == other["id"] != payment["id"]


async def test_a_warning_of_fraud_waits_for_a_person(api: Api, ada: Client) -> None:
    payment = await paid(api, ada)
    charge = await charge_of(api)
    await api.simulator.warn(charge, fraud_type="made_with_stolen_card")
    await process_webhooks(api)
    [row] = await rows(api, "fraud_warnings")
    assert (row["payment_id"], row["fraud_type"], row["status"]) == (
        payment["id"],
        "made_with_stolen_card",
        "open",
    )
    assert await timeline(ada, payment) == ["fraud_warning_created"]
    assert api.counted('fraud_warnings_total{provider="simulator"}') == 1
    await api.sound()
