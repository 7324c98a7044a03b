"""Keys that nobody answers: freed when nothing is live behind them, and never before."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from service.ids import new_id
from service.store import idempotency
from service.store.begin_payments import BeginPayment
from service.store.idempotency import Begun
from service.store.operations import BeginOperation, begin_operation
from service.store.record_outcomes import record_outcomes
from service.store.refunds import begin_refund
from tests.integration.store.conftest import LOCK, NOW, StoreHarness, begin_item, outcome_item
from tests.integration.store.test_refunds import begin as refund_of

LATER = NOW + LOCK


async def failed_over(harness: StoreHarness) -> BeginPayment:
    """Leave a payment that failed without an answer: the next provider was to make it."""
    item = begin_item(await harness.order())
    await harness.begin(item)
    done = replace(outcome_item(item, 0, status="failed"), response_status=None, response_body=None)
    await record_outcomes(harness.db, [done])
    return item


async def begun(harness: StoreHarness) -> None:
    await harness.begin(begin_item(await harness.order()))


async def refunding(harness: StoreHarness) -> None:
    await begin_refund(harness.db, refund_of(await harness.paid(), 100))


async def capturing(harness: StoreHarness) -> None:
    item = begin_item(await harness.order())
    await harness.begin(item)
    await record_outcomes(harness.db, [outcome_item(item, 0, status="authorized")])
    await begin_operation(harness.db, capture_of(item))


def capture_of(item: BeginPayment) -> BeginOperation:
    return BeginOperation(
        attempt_id=new_id(), payment_id=item.payment_id, operation="capture",
        allowed=["authorized"], caller=item.caller, key=new_id().hex, fingerprint="01",
        correlation_id="c", at=NOW, locked_until=LATER,
    )  # fmt: skip


async def test_a_key_whose_payment_failed_without_an_answer_is_freed(harness: StoreHarness) -> None:
    item = await failed_over(harness)
    early = NOW + LOCK - timedelta(seconds=1)
    assert await idempotency.free_abandoned(harness.db, at=early, limit=10) == 0
    assert await idempotency.free_abandoned(harness.db, at=LATER, limit=10) == 1
    again = replace(item, payment_id=new_id(), attempt_id=new_id())
    assert [outcome.kind for outcome in await harness.begin(again)] == [Begun.CREATED]
    assert await harness.violations() == {}


async def test_a_request_that_was_only_late_finds_its_key_gone(harness: StoreHarness) -> None:
    item = await failed_over(harness)
    await idempotency.free_abandoned(harness.db, at=LATER, limit=10)
    again = replace(item, payment_id=new_id(), attempt_id=new_id())
    await harness.begin(again)
    assert not await idempotency.free(harness.db, item.payment_id)
    assert not await idempotency.take_over(harness.db, item.payment_id, at=NOW, until=LATER)


async def test_a_key_that_made_nothing_is_freed(harness: StoreHarness) -> None:
    await harness.db.fetch(
        "INSERT INTO idempotency_keys (caller, key, fingerprint, resource_id, locked_until,"
        " created_at) VALUES ('u1', 'k', '', gen_random_uuid(), %s, %s)",
        (LATER, NOW),
    )
    assert await idempotency.free_abandoned(harness.db, at=LATER, limit=10) == 1


@pytest.mark.parametrize("live", [begun, refunding, capturing])
async def test_a_key_with_something_live_behind_it_is_kept(
    harness: StoreHarness, live: Callable[[StoreHarness], Awaitable[None]]
) -> None:
    await live(harness)
    assert await idempotency.free_abandoned(harness.db, at=LATER, limit=10) == 0


async def test_answered_keys_are_kept(harness: StoreHarness) -> None:
    await harness.paid()
    assert await idempotency.free_abandoned(harness.db, at=LATER, limit=10) == 0
