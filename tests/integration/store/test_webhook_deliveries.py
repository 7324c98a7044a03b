"""Events are there if and only if their change is; a delivery is taken by one and recorded once."""

import asyncio
from datetime import timedelta

import pytest

from service.ids import new_id
from service.store import audit_entries
from service.store import merchant_webhook_deliveries as store
from service.store import merchant_webhook_endpoints as endpoints
from service.store.audit_entries import AuditEntry
from service.store.database import Database, RefusedError, Transaction
from service.store.merchant_webhook_deliveries import Failure
from service.store.merchant_webhook_endpoints import EndpointRow, NewEndpoint
from service.store.record_outcomes import record_outcome_within, record_outcomes
from tests.integration.store.conftest import NOW, StoreHarness, begin_item, outcome_item
from tests.support.waiting import eventually

LATER = NOW + timedelta(seconds=60)


async def register(db: Database, *types: str) -> EndpointRow:
    row = await register_any(db, *types)
    assert row is not None
    return row


async def register_any(db: Database, *types: str) -> EndpointRow | None:
    identifier = new_id()
    item = NewEndpoint(identifier, f"https://x.example/{identifier}", [*types], "", "k1", NOW)
    return await endpoints.create(db, item, action_on(identifier))


def action_on(identifier: object) -> AuditEntry:
    return AuditEntry("webhook_endpoint", str(identifier), NOW, "olga", "register", "why", {}, "c1")


async def test_a_batch_tells_of_each_of_its_payments_once_an_endpoint(
    db: Database, harness: StoreHarness
) -> None:
    for _ in range(2):
        await register(db, "payment.succeeded")
    items = [begin_item(await harness.order(f"u{number}")) for number in range(32)]
    await harness.begin(*items)
    recorded = [outcome_item(item, 1_000) for item in items]
    await record_outcomes(db, recorded)
    await record_outcomes(db, recorded)  # whoever comes second changes nothing, and tells nothing
    rows = await db.fetch("SELECT payment_id, count(*) FROM webhook_events GROUP BY payment_id")
    assert dict(rows) == {item.payment_id: 1 for item in items}
    assert await db.fetch("SELECT count(*) FROM webhook_deliveries") == [(64,)]


async def test_there_are_never_more_endpoints_than_may_be(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, written, commit = audit_entries.record, [], asyncio.Event()

    async def record_late(transaction: Transaction, action: AuditEntry) -> None:
        written.append(action)
        await commit.wait()
        await record(transaction, action)

    async def both_at_it() -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return len(written) == 2 or await db.fetch(waiting) == [(1,)]

    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 1)
    monkeypatch.setattr(audit_entries, "record", record_late)
    two = asyncio.gather(*(register_any(db, "order.fulfilled") for _ in range(2)))
    await eventually(both_at_it, bool)
    commit.set()
    assert sorted(row is not None for row in await two) == [False, True]


async def test_what_is_undone_is_not_told(db: Database, harness: StoreHarness) -> None:
    await register(db, "payment.succeeded")
    item = begin_item(await harness.order())
    await harness.begin(item)

    async def record_and_fail(transaction: Transaction) -> None:
        assert (await record_outcome_within(transaction, outcome_item(item, 1_000))).applied
        assert await transaction.fetch("SELECT count(*) FROM webhook_events") == [(1,)]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await db.transact(record_and_fail)
    assert await db.fetch("SELECT count(*) FROM webhook_events") == [(0,)]


async def test_while_nobody_listens_nothing_is_written(db: Database, harness: StoreHarness) -> None:
    endpoint = await register(db, "payment.succeeded", "order.fulfilled")
    await endpoints.disable(db, endpoint.id, "gone", at=NOW, action=action_on(endpoint.id))
    await harness.paid()
    assert await db.fetch("SELECT count(*) FROM webhook_events") == [(0,)]


async def test_a_delivery_is_taken_by_one_worker_and_within_the_bound(
    db: Database, harness: StoreHarness
) -> None:
    one, two = [await register(db, "payment.succeeded") for _ in range(2)]
    for number in range(10):
        await harness.paid(f"u{number}")
    busy = {str(one.id): 2}
    claims = await asyncio.gather(
        *(store.claim(db, at=NOW, until=LATER, each=3, busy=busy) for _ in range(6))
    )
    for claim in claims:
        taken = [due.endpoint_id for due in claim]
        assert taken.count(one.id) <= 1
        assert taken.count(two.id) <= 3
    ids = [due.id for claim in claims for due in claim]
    assert len(ids) == len(set(ids))
    rest = await store.claim(db, at=NOW, until=LATER, each=100, busy={})
    assert {*ids, *(due.id for due in rest)} == set(range(1, 21))
    assert await store.claim(db, at=NOW, until=LATER, each=100, busy={}) == []


async def test_a_try_is_recorded_once_whoever_made_it(db: Database, harness: StoreHarness) -> None:
    """Two workers had one delivery, the first one's lease having run out in between."""
    await register(db, "payment.succeeded")
    await harness.paid()
    [due] = await store.claim(db, at=NOW, until=LATER, each=3, busy={})
    [again] = await store.claim(db, at=LATER, until=LATER, each=3, busy={})
    assert (due.id, due.body, due.attempts) == (again.id, again.body, again.attempts)
    failure = Failure(due.id, due.attempts, NOW, LATER, 500, "status 500")
    assert await store.failed(db, failure) == NOW
    assert await store.failed(db, failure) is None
    assert not await store.delivered(db, due.id, attempts=again.attempts, status=200, at=NOW)
    assert await store.delivered(db, due.id, attempts=1, status=200, at=NOW)
    rows = await db.fetch("SELECT status, attempts FROM webhook_deliveries")
    assert rows == [("succeeded", 2)]


@pytest.mark.as_owner
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE webhook_events SET body = '{}'",
        "UPDATE webhook_deliveries SET endpoint_id = gen_random_uuid()",
        "UPDATE webhook_deliveries SET status = 'canceled', ended_at = now();"
        "UPDATE webhook_deliveries SET status = 'pending', ended_at = NULL",
        "DELETE FROM webhook_endpoints",
        "UPDATE webhook_endpoints SET status = 'closed';"
        "UPDATE webhook_endpoints SET status = 'enabled'",
        "INSERT INTO webhook_deliveries (endpoint_id, event_id, next_attempt_at, created_at)"
        " SELECT endpoint_id, event_id, now(), now() FROM webhook_deliveries",
    ],
    ids=["bytes", "endpoint", "canceled", "endpoints", "closed", "twice"],
)
async def test_what_may_not_be_is_refused(
    db: Database, harness: StoreHarness, statement: str
) -> None:
    await register(db, "payment.succeeded")
    await harness.paid()
    with pytest.raises(RefusedError):
        await db.fetch(statement)
