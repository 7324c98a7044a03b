"""Reconciliation: every kind of difference, and every apparent difference that is none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.domain.money import Money
from service.domain.payment import ChargeOutcome, PaymentStatus
from service.domain.reconciliation import (
    DifferenceKind,
    OurEntitlement,
    OurPayment,
    TheirCharge,
    TheirGrant,
    compare_charge,
    compare_grant,
)

QUIET = datetime(2026, 1, 2, tzinfo=UTC)
EARLIER = QUIET - timedelta(hours=1)
AMOUNT = Money(1_000, "EUR")
OURS = OurPayment(PaymentStatus.SUCCEEDED, "ch_1", AMOUNT, 1_000, 0, 0, EARLIER)
THEIRS = TheirCharge("ch_1", ChargeOutcome.SUCCEEDED, AMOUNT, 1_000, 0)
HELD = TheirCharge("ch_1", ChargeOutcome.AUTHORIZED, AMOUNT, 0, 0)
GIVEN_BACK = replace(THEIRS, refunded_minor=1_000)
DECLINED = TheirCharge("ch_1", ChargeOutcome.DECLINED, AMOUNT, 0, 0)


def ours(status: str, ref: str | None = "ch_1") -> OurPayment:
    return OurPayment(PaymentStatus(status), ref, AMOUNT, 0, 0, 0, EARLIER)


@pytest.mark.parametrize(
    ("our", "their", "kinds"),
    [
        (OURS, THEIRS, ""),
        (None, THEIRS, "missing_here"),
        (OURS, replace(THEIRS, amount=Money(999, "EUR")), "amount_differs"),
        (OURS, replace(THEIRS, amount=Money(1_000, "USD")), "amount_differs"),
        (OURS, replace(THEIRS, amount=None), "amount_differs"),
        (OURS, replace(THEIRS, captured_minor=999), "amount_differs"),
        (OURS, replace(THEIRS, refunded_minor=1), "refund_differs"),
        (replace(OURS, refund_pending_minor=1), replace(THEIRS, refunded_minor=1), ""),
        (
            OURS,
            replace(THEIRS, captured_minor=999, refunded_minor=1),
            "amount_differs refund_differs",
        ),
        (OURS, HELD, "status_differs"),
        (OURS, replace(THEIRS, outcome=None), "status_differs"),
        (ours("authorized"), HELD, ""),
        (ours("authorized"), THEIRS, "status_differs"),
        (ours("requires_action"), THEIRS, "status_differs"),
        (ours("failed"), DECLINED, ""),
        (ours("failed", None), THEIRS, "status_differs"),
        (ours("canceled"), HELD, "status_differs"),
        (ours("expired"), GIVEN_BACK, ""),
        (ours("canceled"), replace(DECLINED, refunded_minor=200), "refund_differs"),
        (OURS, replace(THEIRS, ref="ch_2"), "duplicate_charge"),
        (OURS, replace(HELD, ref="ch_2"), "duplicate_charge"),
        (OURS, replace(GIVEN_BACK, ref="ch_2"), ""),
        (OURS, replace(DECLINED, ref="ch_2"), ""),
        (replace(OURS, moved_at=QUIET + timedelta(seconds=1)), HELD, ""),
        *((ours(status), THEIRS, "") for status in ("created", "processing", "unknown", "review")),
    ],
)
def test_charges(our: OurPayment | None, their: TheirCharge, kinds: str) -> None:
    found = compare_charge(our, their, quiet_since=QUIET)
    assert found == {DifferenceKind(kind) for kind in kinds.split()}


GAME = OurEntitlement("granted", "ada", "game-1", 1, moving=False)
GRANT = TheirGrant("ada", "game-1", 1, revoked=False)
REVOKED = replace(GRANT, revoked=True)


@pytest.mark.parametrize(
    ("our", "their", "kinds"),
    [
        (GAME, GRANT, ""),
        (None, GRANT, "grant_unexpected"),
        (None, REVOKED, ""),
        (GAME, REVOKED, "grant_missing"),
        (replace(GAME, moving=True), REVOKED, ""),
        (replace(GAME, status="reserved"), GRANT, ""),
        (replace(GAME, status="revoked"), GRANT, "grant_unexpected"),
        (replace(GAME, status="released"), GRANT, "grant_unexpected"),
        (replace(GAME, status="revoked"), REVOKED, ""),
        (GAME, replace(GRANT, user_id="eve"), "grant_differs"),
        (GAME, replace(GRANT, quantity=2), "grant_differs"),
    ],
)
def test_grants(our: OurEntitlement | None, their: TheirGrant, kinds: str) -> None:
    assert compare_grant(our, their) == {DifferenceKind(kind) for kind in kinds.split()}
