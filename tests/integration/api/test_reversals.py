"""What a provider takes back after it was final: refunds and captures, once, and in the ledger."""

import asyncio
from uuid import uuid4

import pytest

from scripts.platform.client import Client
from service.integrations.library import LibraryRefusedError
from tests.integration.api.conftest import Api
from tests.support.services import ADMIN
from tests.support.webhooks import Hook, Json, charge_event, event_of, inbox, orphans


async def bought(api: Api, ada: Client, game: str = "game-1") -> Json:
    """Return a payment whose games are granted."""
    order = await ada.order([game])
    payment: Json = (await ada.pay(order["id"])).expect(201).body
    assert await api.deliver() == 1
    return payment


async def refunded(ada: Client, payment: Json, amount: int | None = None) -> Json:
    """Return a refund that has succeeded."""
    refund: Json = (await ada.refund(payment["id"], amount=amount)).expect(201).body
    assert refund["status"] == "succeeded"
    return refund


async def taken_back(api: Api, hook: Hook, *, times: int = 1) -> None:
    """Let the last refund fail at the provider, and tell of it."""
    made = (await api.simulator.state())["refunds"][-1]
    record = await api.simulator.fail_refund(made["id"])
    for number in range(times):
        event = event_of(record, id=f"evt_{record['id']}_{number}")
        assert (await hook.send(event))[0] == 200
    await api.process()


async def charge_fails(api: Api, hook: Hook) -> None:
    """Let the only charge fail at the provider after it had succeeded, and tell of it."""
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.fail_charge(charge["id"])
    await hook.send(await charge_event(api.simulator))
    await api.process()


async def ledger_kinds(api: Api, payment: Json) -> list[str]:
    rows = await api.context.db.fetch(
        "SELECT kind FROM ledger_transactions WHERE payment_id = %s ORDER BY created_at, id",
        (payment["id"],),
    )
    return [row[0] for row in rows]


async def test_a_refund_that_is_rejected_later_is_reversed(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    refund = await refunded(ada, payment)
    await api.deliver()
    await taken_back(api, hook, times=3)
    [found] = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    assert (found["status"], found["failure_code"]) == ("failed", "expired_or_canceled_card")
    now = await ada.read(f"/v1/payments/{payment['id']}")
    assert (now["refunded"], now["refund_pending"]) == (0, 0)
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "paid"
    assert await ledger_kinds(api, payment) == ["capture", "refund", "refund_reversal"]
    events = (await ada.read(f"/v1/payments/{payment['id']}/timeline"))["items"]
    [reversed_] = [each for each in events if each["event"] == "refund_reversed"]
    assert reversed_["data"]["refund_id"] == refund["id"]
    await api.sound()


async def test_a_person_is_asked_and_the_money_can_go_back_another_way(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    refund = await refunded(ada, payment)
    await api.deliver()
    await taken_back(api, hook)
    async with api.client("op", ADMIN) as operator:
        [item] = (await operator.read("/v1/admin/review"))["items"]
        assert (item["kind"], item["id"]) == ("refund_reversal", refund["id"])
        assert (item["amount"], item["failure_code"]) == (1499, "expired_or_canceled_card")
        again = await operator.call(
            "POST",
            f"/v1/admin/refunds/{refund['id']}/record",
            json={"evidence": {"note": "sent by bank transfer", "provider_ref": "transfer-1"}},
            key=str(uuid4()),
        )
        assert again.expect(200).body["status"] == "succeeded"
        assert (await operator.read("/v1/admin/review"))["items"] == []
    now = await ada.read(f"/v1/payments/{payment['id']}")
    assert (now["refunded"], now["refund_pending"]) == (1499, 0)
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "refunded"
    await api.sound()


async def test_a_new_refund_is_possible_after_a_reversal(api: Api, ada: Client, hook: Hook) -> None:
    payment = await bought(api, ada)
    await refunded(ada, payment)
    await taken_back(api, hook)
    await refunded(ada, payment)
    kinds = await ledger_kinds(api, payment)
    assert kinds == ["capture", "refund", "refund_reversal", "refund"]
    await api.deliver()
    assert await api.simulator.shelf("ada") == []
    await api.sound()


async def test_a_partial_refund_that_is_reversed_leaves_the_game(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    await refunded(ada, payment, 500)
    await taken_back(api, hook)
    await api.deliver()
    assert len(await api.simulator.shelf("ada")) == 1
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "fulfilled"
    await refunded(ada, payment)  # all of it
    await api.sound()


async def test_twenty_workers_reverse_a_refund_once(api: Api, ada: Client, hook: Hook) -> None:
    payment = await bought(api, ada)
    await refunded(ada, payment)
    made = (await api.simulator.state())["refunds"][-1]
    record = await api.simulator.fail_refund(made["id"])
    await asyncio.gather(*(hook.send(event_of(record)) for _ in range(20)))
    await asyncio.gather(*(api.process() for _ in range(10)))
    assert await ledger_kinds(api, payment) == ["capture", "refund", "refund_reversal"]
    assert api.counted('reversals_total{kind="refund",provider="simulator"}') == 1
    await api.sound()


async def test_a_failure_that_the_provider_does_not_confirm_changes_nothing(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    await refunded(ada, payment)
    made = (await api.simulator.state())["refunds"][-1]
    await hook.send(event_of(made | {"status": "failed"}))
    await api.process()
    assert await ledger_kinds(api, payment) == ["capture", "refund"]
    await api.sound()


async def test_a_refund_that_was_taken_for_not_sent_and_was_made_is_booked(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    await api.simulator.fault("provider.refund", "status", status=429, times=9)
    failed = (await ada.refund(payment["id"])).expect(201).body
    assert (failed["status"], failed["failure_code"]) == ("failed", "provider_unavailable")
    await api.simulator.clear_faults()
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.refund(charge["id"], key=failed["id"])
    event = event_of((await api.simulator.state())["refunds"][-1])
    await hook.send(event)
    await api.process()
    [found] = (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    assert (found["status"], found["failure_code"]) == ("succeeded", None)
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "refunded"
    await api.deliver()
    assert await api.simulator.shelf("ada") == []
    await api.sound()


async def test_a_charge_that_fails_after_it_succeeded_is_reversed(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    [charge] = (await api.simulator.state())["charges"]
    await api.simulator.fail_charge(charge["id"], failure_code="debit_returned")
    for number in range(2):
        await hook.send(await charge_event(api.simulator, id=f"evt_{number}"))
    await api.process()
    found = await ada.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["failure_code"]) == ("reversed", "debit_returned")
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "canceled"
    assert await ledger_kinds(api, payment) == ["capture", "capture_reversal"]
    await api.sound()  # also before the games are back
    await api.deliver()
    assert await api.simulator.shelf("ada") == []
    assert (await ada.refund(payment["id"])).status == 409
    assert api.counted('reversals_total{kind="capture",provider="simulator"}') == 1
    assert {row["outcome"] for row in await inbox(api.context.db)} == {"settled", "no_news"}
    await api.sound()


async def test_a_charge_that_fails_before_its_games_are_granted_grants_none(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    await charge_fails(api, hook)
    await api.deliver()
    assert await api.simulator.shelf("ada") == []
    assert (await ada.read(f"/v1/orders/{payment['order_id']}"))["status"] == "canceled"
    again = await ada.order(["game-1"])  # the game is free to be bought
    assert (await ada.pay(again["id"])).expect(201).body["status"] == "succeeded"
    await api.sound()


@pytest.mark.impatient
async def test_a_grant_that_comes_after_its_revoke_gives_nothing(
    api: Api, ada: Client, hook: Hook
) -> None:
    """The Library has no grant yet when it is revoked: the request for it is still on its way."""
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    await api.simulator.fault("library.grant", "timeout_before", times=1)
    await api.deliver()
    await charge_fails(api, hook)
    api.clock.forward(seconds=300)
    await api.deliver()
    [(grant_id,)] = await api.context.db.fetch("SELECT id FROM entitlements")
    with pytest.raises(LibraryRefusedError, match="grant_revoked"):
        await api.context.library.grant(
            grant_id, user_id="ada", game_id="game-1", quantity=1, order_id=order["id"]
        )
    assert await api.simulator.shelf("ada") == []
    assert (await ada.read(f"/v1/payments/{payment['id']}"))["status"] == "reversed"
    await api.sound()


async def test_a_grant_that_is_given_up_after_the_charge_failed_refunds_nothing(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"])).expect(201).body
    await api.simulator.fault("library.grant", "hold_before", times=1)
    delivering = asyncio.create_task(api.deliver())
    await api.simulator.until_held("library.grant")
    await charge_fails(api, hook)
    await api.simulator.fault("library.grant", "status", status=422, times=9)
    await api.simulator.release()
    await delivering
    await api.deliver()
    assert await api.complete() == 0
    assert (await ada.read(f"/v1/payments/{payment['id']}/refunds"))["items"] == []
    assert await api.simulator.shelf("ada") == []
    await api.sound()


async def test_a_charge_that_fails_after_a_partial_refund_leaves_our_debt_in_the_ledger(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment = await bought(api, ada)
    await refunded(ada, payment, 500)
    await charge_fails(api, hook)
    rows = await api.context.db.fetch(
        "SELECT sum(e.amount_minor)::bigint FROM ledger_entries e"
        " JOIN ledger_transactions t ON t.id = e.transaction_id"
        " WHERE e.account LIKE 'provider:%%' AND t.payment_id = %s",
        (payment["id"],),
    )
    assert rows == [(-500,)]
    await api.deliver()
    await api.sound()


async def test_the_refund_of_an_orphan_that_comes_back_is_for_people(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-1"])
    (await ada.pay(order["id"], payment_method="pm_declined")).expect(201)
    charge = (await api.simulator.state())["charges"][-1]
    await api.simulator.complete(charge["id"], late=True)
    await hook.send(await charge_event(api.simulator))
    await api.process()
    assert [each["status"] for each in await orphans(api.context.db)] == ["refunded"]
    await taken_back(api, hook, times=2)
    [orphan] = await orphans(api.context.db)
    assert (orphan["status"], orphan["last_error"]) == ("review", "expired_or_canceled_card")
    assert api.counted('reversals_total{kind="orphan_refund",provider="simulator"}') == 1
    async with api.client("op", ADMIN) as operator:
        path = f"/v1/admin/orphan-captures/{orphan['id']}/retry"
        note = {"note": "a new card"}
        (await operator.call("POST", path, json=note, key=str(uuid4()))).expect(202)
    await api.process()
    [orphan] = await orphans(api.context.db)
    assert orphan["status"] == "refunded"
    await api.sound()


async def came_back(api: Api, ada: Client, hook: Hook, amount: int | None = None) -> Json:
    """Return a refund that came back after it had succeeded."""
    refund = await refunded(ada, await bought(api, ada), amount)
    await api.deliver()
    await taken_back(api, hook)
    return refund


async def test_a_refund_that_came_back_is_tried_again(api: Api, ada: Client, hook: Hook) -> None:
    refund = await came_back(api, ada, hook, 500)
    path = f"/v1/admin/refunds/{refund['id']}"
    async with api.client("op", ADMIN) as operator:
        tries = [
            operator.call("POST", f"{path}/retry", json={"note": "a new card"}, key=str(uuid4()))
            for _ in range(6)
        ]
        statuses = sorted(reply.status for reply in await asyncio.gather(*tries))
    assert statuses == [202, 409, 409, 409, 409, 409]
    assert await api.complete() == 1
    found = (await ada.read(f"/v1/payments/{refund['payment_id']}/refunds"))["items"]
    assert [(each["status"], each["amount"]) for each in found] == [
        ("failed", 500),
        ("succeeded", 500),
    ]
    await api.sound()


async def test_a_replacement_that_fails_asks_the_person_again(
    api: Api, ada: Client, hook: Hook
) -> None:
    refund = await came_back(api, ada, hook)
    path, note = f"/v1/admin/refunds/{refund['id']}/retry", {"note": "a new card"}
    async with api.client("op", ADMIN) as operator:
        await api.simulator.fault("provider.refund", "status", status=400, times=1)
        (await operator.call("POST", path, json=note, key=str(uuid4()))).expect(202)
        assert (await operator.read("/v1/admin/review"))["items"] == []  # it is under way
        assert await api.complete() == 1
        [item] = (await operator.read("/v1/admin/review"))["items"]
        assert (item["kind"], item["id"]) == ("refund_reversal", refund["id"])
        (await operator.call("POST", path, json=note, key=str(uuid4()))).expect(202)
        assert await api.complete() == 1
        assert (await operator.read("/v1/admin/review"))["items"] == []
    assert (await ada.read(f"/v1/payments/{refund['payment_id']}"))["refunded"] == 1499
    await api.sound()


async def test_a_refund_that_came_back_is_dismissed_once(api: Api, ada: Client, hook: Hook) -> None:
    refund = await came_back(api, ada, hook)
    path, note = f"/v1/admin/refunds/{refund['id']}/dismiss", {"note": "they have the money"}
    async with api.client("op", ADMIN) as operator:
        key = str(uuid4())
        first = await operator.call("POST", path, json=note, key=key)
        again = await operator.call("POST", path, json=note, key=key)
        assert (first.status, again.replayed, again.body) == (200, True, first.body)
        assert (await operator.call("POST", path, json=note, key=str(uuid4()))).status == 409
        assert (await operator.read("/v1/admin/review"))["items"] == []
        shown = await operator.read(f"/v1/admin/payments/{refund['payment_id']}")
        assert [each["action"] for each in shown["actions"]] == ["dismiss"]
    await refunded(ada, {"id": refund["payment_id"]})  # and it may be asked for by the API
    await api.sound()


async def test_a_refund_that_succeeded_is_not_for_an_operator(api: Api, ada: Client) -> None:
    refund = await refunded(ada, await bought(api, ada), 500)
    async with api.client("op", ADMIN) as operator:
        for action, body in (("dismiss", {"note": "x"}), ("retry", {"note": "x"})):
            path = f"/v1/admin/refunds/{refund['id']}/{action}"
            assert (await operator.call("POST", path, json=body, key=str(uuid4()))).status == 404
