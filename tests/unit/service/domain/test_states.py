"""The states: nothing terminal is left, and whatever began can end."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import pytest

from service.domain import dispute, ledger, order, payment, refund
from service.domain.money import Money
from service.domain.payment import (
    Charge,
    ChargeOutcome,
    PaymentDecision,
    PaymentStatus,
    decide_charge,
    decide_operation,
)
from service.metric_catalog import PAYMENT_STATUSES

Status = TypeVar("Status", bound=StrEnum)


def without_way_back(
    machine: Mapping[Status, frozenset[Status]], here: str, there: str
) -> dict[Status, frozenset[Status]]:
    """Return a machine without what happens only when a provider takes its word back."""
    assert any(str(status) == there for status in machine[next(s for s in machine if s == here)])
    return {
        status: frozenset(each for each in following if (status, each) != (here, there))
        for status, following in machine.items()
    }


ASKED = Money(1_000, "EUR")
MACHINES = [
    payment.TRANSITIONS,
    without_way_back(order.TRANSITIONS, "refunded", "paid"),
    without_way_back(refund.TRANSITIONS, "failed", "succeeded"),
]


@pytest.mark.parametrize("machine", MACHINES)
def test_every_status_is_listed_and_can_end(machine: Mapping[StrEnum, frozenset[StrEnum]]) -> None:
    statuses = set(type(next(iter(machine))))
    assert set(machine) == statuses
    for status in statuses:
        reached, todo = set(), [status]
        while todo:
            here = todo.pop()
            reached.add(here)
            todo += [there for there in machine[here] if there not in reached]
        assert any(not machine[there] for there in reached), f"{status} never ends"


def test_a_closed_payment_took_no_money_and_never_will() -> None:
    assert payment.CLOSED < payment.TERMINAL
    assert {PaymentStatus.REVERSED} == payment.TERMINAL - payment.CLOSED
    assert payment.TRANSITIONS[PaymentStatus.SUCCEEDED] == {PaymentStatus.REVERSED}


def test_the_metrics_know_every_status_that_a_request_can_end_in() -> None:
    ends = {payment.metric_status(payment.PaymentDecision(status)) for status in PaymentStatus}
    ends -= {"created", "processing", "reversed"}  # the last is an event of days later
    ends.add(
        payment.metric_status(decide_charge(charged(ChargeOutcome.DECLINED), ASKED, "automatic"))
    )
    assert ends == set(PAYMENT_STATUSES)


def charged(outcome: ChargeOutcome, amount: Money | None = ASKED, ref: str | None = "ch") -> Charge:
    return Charge(outcome, ref, amount, "card_declined" if outcome == "declined" else None)


@pytest.mark.parametrize(
    ("charge", "capture", "decision"),
    [
        (
            charged(ChargeOutcome.SUCCEEDED),
            "automatic",
            PaymentDecision(PaymentStatus.SUCCEEDED, 1_000),
        ),
        (charged(ChargeOutcome.AUTHORIZED), "manual", PaymentDecision(PaymentStatus.AUTHORIZED)),
        (
            charged(ChargeOutcome.REQUIRES_ACTION),
            "automatic",
            PaymentDecision(PaymentStatus.REQUIRES_ACTION),
        ),
        (
            charged(ChargeOutcome.DECLINED),
            "automatic",
            PaymentDecision(PaymentStatus.FAILED, 0, "card_declined", "failed", declined=True),
        ),
        (
            charged(ChargeOutcome.REJECTED, None, None),
            "automatic",
            PaymentDecision(PaymentStatus.FAILED, 0, "rejected", "failed"),
        ),
        (
            charged(ChargeOutcome.SUCCEEDED, Money(999, "EUR")),
            "automatic",
            PaymentDecision(PaymentStatus.REVIEW, 0, "amount_mismatch"),
        ),
        (
            charged(ChargeOutcome.SUCCEEDED, Money(1_000, "USD")),
            "automatic",
            PaymentDecision(PaymentStatus.REVIEW, 0, "amount_mismatch"),
        ),
        (
            charged(ChargeOutcome.SUCCEEDED, None),
            "automatic",
            PaymentDecision(PaymentStatus.REVIEW, 0, "amount_mismatch"),
        ),
        (
            charged(ChargeOutcome.SUCCEEDED, ref=None),
            "automatic",
            PaymentDecision(PaymentStatus.REVIEW, 0, "provider_ref_missing"),
        ),
        (
            charged(ChargeOutcome.SUCCEEDED),
            "manual",
            PaymentDecision(PaymentStatus.SUCCEEDED, 1_000),
        ),
        (
            Charge(ChargeOutcome.SUCCEEDED, "ch", ASKED, captured_minor=400),
            "manual",
            PaymentDecision(PaymentStatus.SUCCEEDED, 400),
        ),
        (
            Charge(ChargeOutcome.SUCCEEDED, "ch", ASKED, captured_minor=0),
            "manual",
            PaymentDecision(PaymentStatus.REVIEW, 0, "amount_mismatch"),
        ),
        (
            charged(ChargeOutcome.AUTHORIZED),
            "automatic",
            PaymentDecision(PaymentStatus.REVIEW, 0, "not_captured"),
        ),
    ],
)
def test_a_provider_is_believed_only_if_it_did_what_was_asked(
    charge: Charge, capture: payment.CaptureMethod, decision: PaymentDecision
) -> None:
    assert decide_charge(charge, ASKED, capture) == decision


def test_every_movement_sums_to_zero() -> None:
    movements = (ledger.capture, ledger.refund, ledger.capture_reversal, ledger.refund_reversal)
    for entries in (movement("simulator", ASKED) for movement in movements):
        assert sum(entry.amount.minor for entry in entries) == 0
    there, back = ledger.capture("p", ASKED), ledger.refund("p", ASKED)
    assert {(e.account, -e.amount.minor) for e in there} == {
        (e.account, e.amount.minor) for e in back
    }


def test_what_a_dispute_moves_can_be_undone() -> None:
    for there, back in (
        (ledger.dispute_withdrawal, ledger.dispute_reinstatement),
        (ledger.dispute_loss, ledger.dispute_loss_reversal),
    ):
        gone, came = there("p", ASKED), back("p", ASKED)
        assert sum(entry.amount.minor for entry in gone) == 0
        assert {(e.account, -e.amount.minor) for e in gone} == {
            (e.account, e.amount.minor) for e in came
        }


def test_no_dispute_ever_surely_ends_and_an_inquiry_is_not_come_back_to() -> None:
    assert set(dispute.TRANSITIONS) == set(dispute.DisputeStatus)
    chargebacks = set(dispute.DisputeStatus) - {"warning", "warning_closed"}
    for status, following in dispute.TRANSITIONS.items():
        assert following - {status} >= chargebacks - {status}
        assert status not in following
        if status in chargebacks:
            assert following <= chargebacks


def test_an_order_without_items_has_no_total() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        order.total([])


@pytest.mark.parametrize(
    ("operation", "present", "status"),
    [
        ("charge", PaymentStatus.PROCESSING, PaymentStatus.UNKNOWN),
        ("charge", PaymentStatus.UNKNOWN, PaymentStatus.UNKNOWN),
        ("charge", PaymentStatus.AUTHORIZED, PaymentStatus.AUTHORIZED),
        ("capture", PaymentStatus.AUTHORIZED, PaymentStatus.AUTHORIZED),
        ("cancel", PaymentStatus.REQUIRES_ACTION, PaymentStatus.REQUIRES_ACTION),
    ],
)
def test_silence_is_never_a_failure_and_always_a_legal_step(
    operation: payment.Operation, present: PaymentStatus, status: PaymentStatus
) -> None:
    decision = payment.decide_timeout(operation, present, last_check=False)
    assert (decision.status, decision.attempt) == (status, "unknown")
    assert status == present or status in payment.TRANSITIONS[present]
    last = payment.decide_timeout(operation, present, last_check=True)
    assert last.status is PaymentStatus.REVIEW
    assert PaymentStatus.REVIEW in payment.TRANSITIONS[present]


PART = Charge(ChargeOutcome.SUCCEEDED, "ch", ASKED, captured_minor=400)
NONE_OF_IT = Charge(ChargeOutcome.SUCCEEDED, "ch", ASKED, captured_minor=0)
MORE = Charge(ChargeOutcome.SUCCEEDED, "ch", ASKED, captured_minor=1_001)


@pytest.mark.parametrize("operation", ["capture", "cancel", "expire"])
@pytest.mark.parametrize(
    ("charge", "decided"),
    [
        (charged(ChargeOutcome.SUCCEEDED), PaymentDecision(PaymentStatus.SUCCEEDED, 1_000)),
        (PART, PaymentDecision(PaymentStatus.SUCCEEDED, 400)),
        (NONE_OF_IT, PaymentDecision(PaymentStatus.REVIEW, 0, "amount_mismatch")),
        (MORE, PaymentDecision(PaymentStatus.REVIEW, 0, "amount_mismatch")),
        (
            charged(ChargeOutcome.SUCCEEDED, Money(1_000, "USD")),
            PaymentDecision(PaymentStatus.REVIEW, 0, "amount_mismatch"),
        ),
    ],
)
def test_what_was_captured_is_booked_whatever_was_asked(
    operation: payment.Operation, charge: Charge, decided: PaymentDecision
) -> None:
    for held in (PaymentStatus.AUTHORIZED, PaymentStatus.REQUIRES_ACTION):
        assert decide_operation(operation, charge, held, ASKED) == decided
        assert decided.status in payment.TRANSITIONS[held]


def test_a_part_that_was_captured_at_once_is_not_what_was_asked() -> None:
    assert decide_charge(PART, ASKED, "automatic") == PaymentDecision(
        PaymentStatus.REVIEW, 0, "amount_mismatch"
    )
