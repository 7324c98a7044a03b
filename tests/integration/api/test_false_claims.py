"""What a signed event claims is checked against the provider's own record of the charge.

Whoever has the webhook secret can sign an event, and can't change what the provider has on record.
"""

from typing import Any
from uuid import uuid4

import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api
from tests.support.webhooks import (
    Hook,
    Json,
    at_provider,
    event_of,
    inbox,
    orphans,
    status_of,
    unknown_payment,
)

MISMATCHES = 'webhook_events_total{outcome="mismatch",provider="simulator"}'


async def foreign_charge(api: Api, minor: int = 1999, *, reference: str = "order 7") -> Json:
    """Charge at the provider as another shop on the same account would."""
    order = {"amount": minor, "currency": "EUR", "capture": True, "payment_method": "pm_ok"}
    return await at_provider(api.simulator, "", order | {"reference": reference})


def claiming(charge: Json, claimed: Json) -> Json:
    """Return an event of `charge` that says it was made for what `claimed` was made for."""
    names = {name: claimed[name] for name in ("reference", "idempotency_key")}
    return event_of(charge | names)


async def lost_charge(api: Api, ada: Client) -> tuple[Json, Json]:
    """Return a payment that waits for its outcome, and the charge that was made for it."""
    payment = await unknown_payment(api.simulator, ada)
    return payment, (await api.simulator.state())["charges"][-1]


async def untouched(api: Api, charge: Json) -> None:
    """Assert that nothing was refunded or booked for a charge."""
    [there] = [c for c in (await api.simulator.state())["charges"] if c["id"] == charge["id"]]
    assert there["amount_refunded"] == 0
    assert there["status"] == charge["status"]
    assert await orphans(api.context.db) == []
    assert await api.context.db.fetch(
        "SELECT count(*) FROM payments WHERE provider_ref = %s", (charge["id"],)
    ) == [(0,)]
    await api.sound()


async def test_somebody_elses_charge_pays_nothing(api: Api, ada: Client, hook: Hook) -> None:
    payment, ours = await lost_charge(api, ada)
    foreign = await foreign_charge(api, payment["amount"])
    await hook.send(claiming(foreign, ours))
    await api.process()
    assert await status_of(ada, payment) == "unknown"
    [row] = await inbox(api.context.db)
    assert (row["status"], row["outcome"]) == ("processed", "mismatch")
    assert api.counted(MISMATCHES) == 1
    await untouched(api, foreign)
    api.clock.forward(seconds=2)
    assert await api.complete() == 1
    assert await status_of(ada, payment) == "succeeded"  # by its own charge
    await api.process()
    await untouched(api, foreign)


async def test_a_charge_of_another_payment_of_ours_pays_only_that(
    api: Api, ada: Client, hook: Hook
) -> None:
    order = await ada.order(["game-2"])
    paid = (await ada.pay(order["id"])).expect(201).body
    [theirs] = (await api.simulator.state())["charges"]
    payment, ours = await lost_charge(api, ada)
    await hook.send(claiming(theirs, ours))
    await api.process()
    assert await status_of(ada, payment) == "unknown"
    assert await status_of(ada, paid) == "succeeded"
    assert await orphans(api.context.db) == []
    assert (await api.simulator.state())["refunds"] == []


async def test_a_charge_under_another_key_is_not_the_attempts(
    api: Api, ada: Client, hook: Hook
) -> None:
    payment, ours = await lost_charge(api, ada)
    other = await foreign_charge(api, payment["amount"], reference=payment["id"])
    await hook.send(event_of(other | {"idempotency_key": ours["idempotency_key"]}))
    await api.process()
    assert await status_of(ada, payment) == "unknown"
    assert [row["outcome"] for row in await inbox(api.context.db)] == ["mismatch"]
    await untouched(api, other)


@pytest.mark.parametrize("end", ["paid", "failed"])
async def test_somebody_elses_charge_is_not_given_back(
    api: Api, ada: Client, hook: Hook, end: str
) -> None:
    """Neither as the second charge of a paid payment nor as late money for a closed one."""
    order = await ada.order(["game-1"])
    method = "pm_ok" if end == "paid" else "pm_declined"
    payment = (await ada.pay(order["id"], payment_method=method)).expect(201).body
    [ours] = (await api.simulator.state())["charges"]
    foreign = await foreign_charge(api)
    await hook.send(claiming(foreign, ours))
    await api.process()
    await api.process()
    assert [row["outcome"] for row in await inbox(api.context.db)] == ["mismatch"]
    assert await status_of(ada, payment) == payment["status"]
    await untouched(api, foreign)


async def test_somebody_elses_hold_is_not_released(api: Api, ada: Client, hook: Hook) -> None:
    payment = (await ada.pay((await ada.order(["game-1"]))["id"])).expect(201).body
    [ours] = (await api.simulator.state())["charges"]
    order = {"amount": 500, "currency": "EUR", "capture": False, "payment_method": "pm_ok"}
    held = await at_provider(api.simulator, "", order | {"reference": str(uuid4())})
    await hook.send(claiming(held, ours))
    await api.process()
    assert await status_of(ada, payment) == "succeeded"
    await untouched(api, held)


@pytest.mark.parametrize(
    "ref",
    ["../../../library/v1/grants", "..", ".", "a/b", "a%2Fb", "ch_1?x=1", "ch_1#x", "ch_ä", "a b"],
)
async def test_a_reference_is_a_name_and_no_path(api: Api, hook: Hook, ref: str) -> None:
    record: dict[str, Any] = {"id": ref, "object": "charge", "status": "succeeded"}
    status, problem = await hook.send(event_of(record))
    assert (status, problem["code"]) == (400, "malformed_request")
    refund = {"id": "re_1", "object": "refund", "status": "succeeded", "charge": ref}
    assert (await hook.send(event_of(refund)))[0] == 400
    assert await inbox(api.context.db) == []
