"""What operators do, in as few words as possible."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from scripts.platform.client import Client, Reply
from tests.integration.api.conftest import Api

GIVE_UP_LOOKING = {"UNKNOWN_MAX_CHECKS": "1", "UNKNOWN_RETRY_S": "1"}


async def payment_in_review(api: Api, customer: Client, game: str = "game-1") -> dict[str, Any]:
    """Pay so that nobody learns what came of it; needs GIVE_UP_LOOKING."""
    await api.simulator.fault("provider.charge", "status", status=500, times=2)
    await api.simulator.fault("provider.find", "status", status=500, times=1)
    order = await customer.order([game])
    payment = (await customer.pay(order["id"])).expect(202).body
    api.clock.forward(seconds=5)
    assert await api.complete() == 1
    await api.simulator.clear_faults()
    found = await customer.read(f"/v1/payments/{payment['id']}")
    assert (found["status"], found["failure_code"]) == ("review", "outcome_unknown")
    return found


async def refund_in_review(
    api: Api,
    customer: Client,
    amount: int | None = None,
    *,
    payment: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Refund a payment, or a new one, so that nobody learns what came of it.

    Needs GIVE_UP_LOOKING.
    """
    if payment is None:
        order = await customer.order(["game-1"])
        payment = (await customer.pay(order["id"])).expect(201).body
    await api.simulator.fault("provider.refund", "status", status=500, times=2)
    await api.simulator.fault("provider.find", "status", status=500, times=1)
    refund = (await customer.refund(payment["id"], amount)).expect(202).body
    api.clock.forward(seconds=5)
    assert await api.complete() == 1
    await api.simulator.clear_faults()
    [found] = (await customer.read(f"/v1/payments/{payment['id']}/refunds"))["items"]
    assert (found["id"], found["status"]) == (refund["id"], "review")
    return dict(found)


async def resolve(
    operator: Client, kind: str, subject_id: str, outcome: str, *, key: str = "", **evidence: Any
) -> Reply:
    """Decide on a payment or refund."""
    return await operator.call(
        "POST",
        f"/v1/admin/{kind}s/{subject_id}/resolve",
        json={"outcome": outcome, "evidence": {"note": "seen at the provider", **evidence}},
        key=key or str(uuid4()),
    )


async def audited(operator: Client, payment_id: str) -> list[tuple[str, str, str]]:
    """Return who did what to which kind of subject of a payment."""
    detail = await operator.read(f"/v1/admin/payments/{payment_id}")
    return [(a["actor"], a["subject"], a["action"]) for a in detail["actions"]]


async def chains_hold(api: Api) -> None:
    """Assert that the audit trail is as it was written."""
    broken = await api.context.db.fetch("SELECT * FROM invariant_broken_admin_chains")
    assert broken == []
