"""Merchants' webhooks between real processes, of which one is killed where it hurts most."""

from contextlib import closing
from typing import Any

import psycopg2

from tests.support.merchant import TAKES_LOOPBACK, Merchant, deliveries, merchant, register
from tests.support.services import ADMIN, Service, Services
from tests.support.waiting import eventually


async def came(harness: Merchant, count: int) -> None:
    """Wait until so many messages have come."""

    async def look() -> int:
        return len(harness.messages)

    await eventually(look, lambda seen: seen >= count)


async def logged(worker: Service) -> list[dict[str, Any]]:
    """Return what a worker says of its deliveries; it says so after they are recorded."""
    return list(worker.records("merchant_webhook_delivered"))


def let_leases_lapse(database_url: str) -> None:
    """Make due what a dead worker has taken, as the passing of 50 s would."""
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE webhook_deliveries SET next_attempt_at = now()")
        connection.commit()


async def test_a_worker_killed_between_answer_and_record_sends_the_same_again(
    start_service: Services,
) -> None:
    """The merchant has it and nobody here knows: it comes again, with the same id and bytes."""
    start_service.environ |= TAKES_LOOPBACK
    api = await start_service("api")
    async with merchant() as harness, api.client("olga", ADMIN) as olga:
        endpoint, secret = await register(olga, harness.url, "payment.succeeded")
        harness.open.clear()
        worker = await start_service("worker")
        order = await olga.order(["game-1"])
        (await olga.pay(order["id"])).expect(201)
        await came(harness, 1)
        worker.child.kill()
        harness.open.set()
        [row] = await deliveries(olga, endpoint)
        assert (row["status"], row["attempts"]) == ("pending", 0)
        again = await start_service("worker")
        assert not list(again.records("merchant_webhook_delivered")), "its lease hides it"
        let_leases_lapse(start_service.environ["DATABASE_URL"])
        [row] = await eventually(
            lambda: deliveries(olga, endpoint), lambda found: found[0]["status"] == "succeeded"
        )
        first, second = harness.messages
        assert (first.id, first.body) == (second.id, second.body)
        assert second.verify(secret)["type"] == "payment.succeeded"
        assert row["attempts"] == 1
        [line] = await eventually(lambda: logged(again))
        assert line["correlation_id"] == row["correlation_id"]
        assert (line["webhook_id"], line["payment_id"]) == (first.id, row["payment_id"])
        assert secret not in worker.child.log.read_text() + again.child.log.read_text()
