"""Refunds: concurrent ones never pay back more than was captured."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from service.domain import ledger
from service.domain.money import Money
from service.ids import new_id
from service.store import refunds as store
from service.store.begin_payments import BeginPayment
from service.store.database import RefusedError
from service.store.idempotency import Begun
from service.store.refunds import BeginRefund, RecordRefundOutcome
from tests.integration.store.conftest import LOCK, NOW, StoreHarness


def begin(payment: BeginPayment, minor: int | None, *, key: str = "") -> BeginRefund:
    """Return a refund of the payment."""
    return BeginRefund(
        refund_id=new_id(),
        payment_id=payment.payment_id,
        caller=payment.caller,
        key=key or new_id().hex,
        fingerprint="01",
        amount_minor=minor,
        reason="test",
        correlation_id="c2",
        at=NOW,
        locked_until=NOW + LOCK,
    )


def record_outcome(item: BeginRefund, minor: int, status: str = "succeeded") -> RecordRefundOutcome:
    """Return what the refund comes to."""
    entries = [
        {"account": e.account, "minor": e.amount.minor, "currency": e.amount.currency}
        for e in ledger.refund("simulator", Money(minor, "EUR"))
    ]
    return RecordRefundOutcome(
        refund_id=item.refund_id,
        payment_id=item.payment_id,
        status=status,
        provider_ref=f"re_{item.refund_id.hex}" if status == "succeeded" else None,
        failure_code=None if status == "succeeded" else "outcome_unknown",
        next_check_at=NOW + timedelta(seconds=5) if status == "unknown" else None,
        ledger_id=new_id(),
        entries=msgspec.json.encode(entries if status == "succeeded" else []).decode(),
        correlation_id="c2",
        at=NOW,
        response_status=201,
        response_body="{}",
    )


async def counters(harness: StoreHarness) -> tuple[int, int]:
    """Return what is refunded and what is pending of the only payment."""
    rows = await harness.db.fetch("SELECT refunded_minor, refund_pending_minor FROM payments")
    return rows[0][0], rows[0][1]


async def test_twelve_concurrent_refunds_of_60_of_100_make_one(harness: StoreHarness) -> None:
    payment = await harness.paid(minor=100)
    outcomes = await asyncio.gather(
        *(store.begin_refund(harness.db, begin(payment, 60)) for _ in range(12))
    )
    kinds = [outcome.kind for outcome in outcomes]
    assert kinds.count(Begun.CREATED) == 1
    assert kinds.count(Begun.REFUND_TOO_LARGE) == 11
    assert await counters(harness) == (0, 60)
    assert await harness.violations() == {}


async def test_concurrent_partial_refunds_that_fit_all_succeed(harness: StoreHarness) -> None:
    payment = await harness.paid(minor=100)
    items = [begin(payment, 10) for _ in range(10)]
    outcomes = await asyncio.gather(*(store.begin_refund(harness.db, item) for item in items))
    assert {outcome.kind for outcome in outcomes} == {Begun.CREATED}
    applied = await asyncio.gather(
        *(store.record_refund_outcome(harness.db, record_outcome(item, 10)) for item in items)
    )
    assert all(outcome.applied for outcome in applied)
    assert [outcome.order_refunded for outcome in applied].count(True) == 1
    assert await counters(harness) == (100, 0)
    # exactly one of them was the last: the order is refunded and its games are revoked once
    assert await harness.db.fetch("SELECT status FROM orders") == [("refunded",)]
    topics = await harness.db.fetch("SELECT topic FROM outbox ORDER BY id")
    assert topics == [("library.grant",), ("library.revoke",)]
    assert await harness.violations() == {}


async def test_a_failed_refund_gives_its_amount_free(harness: StoreHarness) -> None:
    payment = await harness.paid(minor=100)
    item = begin(payment, 100)
    await store.begin_refund(harness.db, item)
    failed = await store.record_refund_outcome(harness.db, record_outcome(item, 100, "failed"))
    assert (failed.applied, failed.order_refunded) == (True, False)
    assert await counters(harness) == (0, 0)
    again = await store.begin_refund(harness.db, begin(payment, None))
    assert again.kind is Begun.CREATED
    assert await counters(harness) == (0, 100)


async def test_an_unknown_refund_keeps_its_amount(harness: StoreHarness) -> None:
    payment = await harness.paid(minor=100)
    item = begin(payment, 60)
    await store.begin_refund(harness.db, item)
    await store.record_refund_outcome(harness.db, record_outcome(item, 60, "unknown"))
    assert (await store.begin_refund(harness.db, begin(payment, 60))).kind is Begun.REFUND_TOO_LARGE
    due = await store.claim_due_refunds(
        harness.db, at=NOW + timedelta(seconds=6), until=NOW + timedelta(seconds=60), limit=5
    )
    assert [(d.refund.id, d.refund.status) for d in due] == [(item.refund_id, "unknown")]
    assert (await store.record_refund_outcome(harness.db, record_outcome(item, 60))).applied
    assert not (await store.record_refund_outcome(harness.db, record_outcome(item, 60))).applied
    assert await counters(harness) == (60, 0)
    assert await harness.violations() == {}


async def test_two_equal_refunds_under_two_keys_are_two(harness: StoreHarness) -> None:
    payment = await harness.paid(minor=100)
    first = await store.begin_refund(harness.db, begin(payment, 20, key="a"))
    replay = await store.begin_refund(harness.db, begin(payment, 20, key="a"))
    second = await store.begin_refund(harness.db, begin(payment, 20, key="b"))
    assert [first.kind, replay.kind, second.kind] == ["created", "in_flight", "created"]
    assert await counters(harness) == (0, 40)


async def test_the_database_refuses_an_over_refund_by_itself(harness: StoreHarness) -> None:
    payment = await harness.paid(minor=100)
    with pytest.raises(RefusedError) as caught:
        await harness.db.fetch(
            "INSERT INTO refunds (id, payment_id, status, amount_minor, currency, reason,"
            " next_check_at, created_at, updated_at)"
            " VALUES (%s, %s, 'pending', 101, 'EUR', 'r', now(), now(), now())",
            (new_id(), payment.payment_id),
        )
    assert caught.value.constraint == "no_over_refund"
