"""Every line of a payment names it, its user and its provider, in whichever process it is written.

The payments here go every way there is: at once, after a lost answer, by way of another provider,
with a webhook, a grant, a refund with a lost answer, and a revoke.
"""

from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import aiohttp

from scripts.platform.client import Client
from simulator.client import Control
from tests.resilience.ledger_checks import UNFINISHED, rows
from tests.support.recorded import paid, recorded_server
from tests.support.services import Service, Services
from tests.support.waiting import eventually
from tests.support.webhooks import Hook, charge_event

NOBODY: Final = "http://127.0.0.1:1"
BOTH: Final = {"PROVIDERS": "simulator,stripe", "STRIPE_API_KEY": "sk_test_x"}
LEVELS: Final = dict.fromkeys(
    ("payment_outcome_unknown", "refund_outcome_unknown", "payment_handed_on"), "warning"
)
"""Of events that are not what one hopes for; the others are info."""


async def finished(database_url: str) -> None:
    async def look() -> list[tuple[str, str]]:
        return rows(database_url, UNFINISHED)

    await eventually(look, lambda left: not left, timeout_s=30)


def lines_of(services: list[Service], correlation: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield role and line of all that one request has caused."""
    for service in services:
        for record in service.records():
            if record.get("correlation_id") == correlation:
                yield service.child.name, record


def check(
    services: list[Service], correlation: str, payments: dict[str, str], user: str
) -> set[tuple[str, str]]:
    """Assert what each line of a request names; return roles and events."""
    seen = set()
    for role, line in lines_of(services, correlation):
        seen.add((role, line["event"]))
        assert line["user_id"] == user, line
        assert line["payment_id"] in payments, line
        assert line["provider"] == payments[line["payment_id"]], line
        assert line["level"] == LEVELS.get(line["event"], "info"), line
    return seen


async def asked(client: Client, path: str, body: dict[str, Any], correlation: str) -> Any:
    headers = {"Idempotency-Key": str(uuid4()), "X-Correlation-ID": correlation}
    return (await client.call("POST", path, json=body, headers=headers)).expect(200, 201, 202).body


async def test_every_line_of_a_payment_names_it(
    start_service: Services, simulator: Control
) -> None:
    api = await start_service("api")
    worker = await start_service("worker")
    both = [api, worker]
    async with api.client("ada") as ada:
        first = await asked(ada, "/v1/payments", {"order_id": await an_order(ada, 1)}, "pay")
        owner = {first["id"]: "simulator"}
        await simulator.fault("provider.refund", "reset_after", times=1)
        refund_path = f"/v1/payments/{first['id']}/refunds"
        await finished(api.environ["DATABASE_URL"])
        refund = await asked(ada, refund_path, {}, "refund")
        assert refund["status"] == "unknown"
        await simulator.fault("provider.charge", "reset_after", times=1)
        second = await asked(ada, "/v1/payments", {"order_id": await an_order(ada, 2)}, "lost")
        assert second["status"] == "unknown"
        await finished(api.environ["DATABASE_URL"])
    seen = check(both, "pay", owner, "ada")
    assert {("api", "payment_succeeded"), ("api", "http_request")} <= seen
    assert ("worker", "outbox_delivered") in seen
    assert ("worker", "refund_succeeded") in check(both, "refund", owner, "ada")
    seen = check(both, "lost", {second["id"]: "simulator"}, "ada")
    assert {("api", "payment_outcome_unknown"), ("worker", "payment_succeeded")} <= seen
    assert ("worker", "outbox_delivered") in seen


async def test_a_webhook_is_of_the_payment_that_it_is_about(
    start_service: Services, simulator: Control
) -> None:
    api = await start_service("api")
    worker = await start_service("worker")
    async with api.client("ada") as ada, aiohttp.ClientSession() as session:
        payment = await asked(ada, "/v1/payments", {"order_id": await an_order(ada, 1)}, "pay")
        status, receipt = await Hook(api.url, session).send(await charge_event(simulator))
        assert (status, receipt["outcome"]) == (200, "accepted")
        await finished(api.environ["DATABASE_URL"])
    (line,) = worker.records("webhook_processed")
    assert (line["payment_id"], line["user_id"]) == (payment["id"], "ada")
    assert (line["provider"], line["level"]) == ("simulator", "info")


async def test_a_payment_that_is_handed_on_names_each_provider_for_its_part(
    start_service: Services,
) -> None:
    async with recorded_server() as stripe:
        stripe.otherwise = paid
        api = await start_service("api", **BOTH, STRIPE_URL=stripe.url, SIMULATOR_URL=NOBODY)
        async with api.client("ada") as ada:
            order = await an_order(ada, 1)
            await asked(ada, "/v1/payments", {"order_id": order}, "pay")
            found = (await ada.read(f"/v1/payments?order_id={order}"))["items"]
    payments = {payment["id"]: payment["provider"] for payment in found}
    assert sorted(payments.values()) == ["simulator", "stripe"]
    lines = dict.fromkeys(
        (line["event"], line.get("provider")) for _, line in lines_of([api], "pay")
    )
    assert {
        ("payment_failed", "simulator"),
        ("payment_handed_on", "simulator"),
        ("payment_succeeded", "stripe"),
        ("http_request", "stripe"),
    } <= set(lines)
    check([api], "pay", payments, "ada")


async def an_order(client: Client, number: int) -> str:
    return str((await client.order([f"game-{number}"]))["id"])
