"""What the database itself holds of reversals and of refunds that were made elsewhere."""

import asyncio
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from service.ids import new_id
from service.store import reversals
from service.store.begin_payments import BeginPayment
from service.store.database import RefusedError
from service.store.refunds import (
    BeginRefund,
    RecordRefundOutcome,
    begin_refund,
    record_refund_outcome,
)
from service.store.reversals import AdoptRefund, ReverseCapture, ReverseRefund
from tests.integration.store.conftest import StoreHarness, begin_item
from tests.integration.store.test_refunds import begin, counters, record_outcome

NOW = datetime.now(UTC)
BACK = (
    '[{"account": "provider:simulator", "minor": %d, "currency": "EUR"},'
    ' {"account": "sales:games", "minor": %d, "currency": "EUR"}]'
)


def reverse(item: BeginRefund, minor: int) -> ReverseRefund:
    """Return what takes a refund back."""
    return ReverseRefund(
        reversal_id=new_id(),
        refund_id=item.refund_id,
        failure_code="expired_or_canceled_card",
        ledger_id=new_id(),
        entries=BACK % (minor, -minor),
        correlation_id="c",
        at=NOW,
    )


async def refunded(harness: StoreHarness, minor: int) -> tuple[BeginPayment, BeginRefund]:
    """Return a payment of 1,000 and a refund of it that has succeeded."""
    payment = await harness.paid()
    item = begin(payment, minor)
    await begin_refund(harness.db, item)
    await record_refund_outcome(harness.db, record_outcome(item, minor))
    return payment, item


async def test_a_refund_is_taken_back_once_however_many_try(harness: StoreHarness) -> None:
    payment, item = await refunded(harness, 400)
    tries = [
        reversals.reverse_refund(harness.db, payment.payment_id, reverse(item, 400))
        for _ in range(12)
    ]
    assert sorted(await asyncio.gather(*tries)) == [False] * 11 + [True]
    assert await counters(harness) == (0, 0)
    assert await harness.violations() == {}


async def test_a_refund_that_came_back_cannot_succeed_again(harness: StoreHarness) -> None:
    payment, item = await refunded(harness, 400)
    await reversals.reverse_refund(harness.db, payment.payment_id, reverse(item, 400))
    again = record_outcome(item, 400)
    with pytest.raises(RefusedError) as caught:
        await record_refund_outcome(harness.db, _of_failed(again))
    assert caught.value.constraint == "ledger_booked_once"
    assert await counters(harness) == (0, 0)


async def test_a_refund_that_surfaces_is_counted_as_any_other(harness: StoreHarness) -> None:
    payment = await harness.paid()
    item = begin(payment, 400)
    await begin_refund(harness.db, item)
    await record_refund_outcome(harness.db, record_outcome(item, 400, "failed"))
    assert await counters(harness) == (0, 0)
    assert (await record_refund_outcome(harness.db, _of_failed(record_outcome(item, 400)))).applied
    assert await counters(harness) == (400, 0)
    assert await harness.violations() == {}


async def test_a_refund_that_surfaces_does_not_exceed_what_was_captured(
    harness: StoreHarness,
) -> None:
    payment = await harness.paid()
    item = begin(payment, 700)
    await begin_refund(harness.db, item)
    await record_refund_outcome(harness.db, record_outcome(item, 700, "failed"))
    other = begin(payment, 700, key="other")
    await begin_refund(harness.db, other)
    with pytest.raises(RefusedError) as caught:
        await record_refund_outcome(harness.db, _of_failed(record_outcome(item, 700)))
    assert caught.value.constraint == "no_over_refund"


def _of_failed(item: RecordRefundOutcome) -> RecordRefundOutcome:
    return replace(item, of_status=["failed"])


def adopt(payment: BeginPayment, minor: int) -> AdoptRefund:
    """Return a refund that was made in the provider's dashboard."""
    return AdoptRefund(
        refund_id=new_id(),
        payment_id=payment.payment_id,
        amount_minor=minor,
        currency="EUR",
        reason="made_at_provider",
        correlation_id="c",
        at=NOW,
    )


def booked(payment: BeginPayment, item: AdoptRefund) -> RecordRefundOutcome:
    """Return how it is booked."""
    return record_outcome(
        replace(begin(payment, None), refund_id=item.refund_id), item.amount_minor
    )


async def test_a_refund_made_elsewhere_is_adopted_once(harness: StoreHarness) -> None:
    payment = await harness.paid()
    item = adopt(payment, 300)
    tries = [reversals.adopt_refund(harness.db, item, booked(payment, item)) for _ in range(12)]
    outcomes = await asyncio.gather(*tries)
    assert len([outcome for outcome in outcomes if outcome is not None]) == 1
    assert await counters(harness) == (300, 0)
    assert await harness.violations() == {}


async def test_adopted_refunds_never_exceed_what_was_captured(harness: StoreHarness) -> None:
    payment = await harness.paid()
    items = [adopt(payment, 300) for _ in range(4)]
    outcomes = await asyncio.gather(
        *(reversals.adopt_refund(harness.db, item, booked(payment, item)) for item in items),
        return_exceptions=True,
    )
    refused = [each for each in outcomes if isinstance(each, RefusedError)]
    assert [each.constraint for each in refused] == ["no_over_refund"]
    assert await counters(harness) == (900, 0)
    assert await harness.violations() == {}


async def test_nothing_is_adopted_for_a_payment_without_money(harness: StoreHarness) -> None:
    pending = begin_item(await harness.order())
    await harness.begin(pending)
    item = adopt(pending, 300)
    assert await reversals.adopt_refund(harness.db, item, booked(pending, item)) is None


async def test_a_capture_is_taken_back_once_and_its_order_closed(harness: StoreHarness) -> None:
    payment = await harness.paid()
    items = [
        ReverseCapture(
            reversal_id=new_id(),
            payment_id=payment.payment_id,
            failure_code="debit_returned",
            ledger_id=new_id(),
            entries=BACK % (-1_000, 1_000),
            correlation_id="c",
            at=NOW,
        )
        for _ in range(8)
    ]
    done = await asyncio.gather(*(reversals.reverse_capture(harness.db, item) for item in items))
    assert sorted(done) == [False] * 7 + [True]
    rows = await harness.db.fetch("SELECT o.status, p.status FROM orders o, payments p")
    assert rows == [("canceled", "reversed")]
    assert await harness.violations() == {}
    again = begin(payment, 100)
    assert (await begin_refund(harness.db, again)).kind == "not_succeeded"


@pytest.mark.as_owner
@pytest.mark.parametrize(
    ("write", "rule"),
    [
        ("UPDATE reversals SET amount_minor = 1", "reversals_immutable"),
        ("DELETE FROM reversals", "reversals_immutable"),
        ("UPDATE reversals SET status = 'closed'; UPDATE reversals SET status = 'open'",
         "reversal_transition"),
        ("UPDATE payments SET status = 'reversed', captured_minor = 0",
         "payments_immutable"),
        ("UPDATE refunds SET status = 'pending'", "refund_transition"),
    ],
)  # fmt: skip
async def test_hands_do_not_change_what_was_taken_back(
    harness: StoreHarness, write: str, rule: str
) -> None:
    payment, item = await refunded(harness, 400)
    await reversals.reverse_refund(harness.db, payment.payment_id, reverse(item, 400))
    with pytest.raises(RefusedError) as caught:
        await harness.db.fetch(write)
    assert caught.value.constraint == rule


@pytest.mark.as_owner
async def test_a_reversal_that_is_not_booked_shows(harness: StoreHarness) -> None:
    payment, _ = await refunded(harness, 400)
    await harness.db.fetch("UPDATE refunds SET status = 'failed'")
    broken = await harness.violations()
    assert broken["reversals_not_booked"] == 1
    assert broken["ledger_differs_from_payments"] == 1
    assert payment.payment_id
