"""Reconciliation: every kind of difference, and every apparent difference that is none."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from service.domain.money import Money
from service.domain.payment import ChargeOutcome, PaymentStatus
from service.domain.reconciliation import DifferenceKind
from service.integrations.library import LibraryGrant
from service.providers.port import ProviderCharge
from service.store.reconciliation import EntitlementFacts, PaymentFacts
from service.usecases.reconcile_pages import compare_charge, compare_grant

QUIET = datetime(2026, 1, 2, tzinfo=UTC)
EARLIER = QUIET - timedelta(hours=1)
AMOUNT = Money(1_000, "EUR")
ID = UUID(int=1)
OURS = PaymentFacts(
    ID, PaymentStatus.SUCCEEDED, "ch_1", 1_000, "EUR", 1_000, 0, 0, EARLIER, EARLIER
)
THEIRS = ProviderCharge("ch_1", ID, ChargeOutcome.SUCCEEDED, AMOUNT, 1_000, 0, EARLIER)
HELD = replace(THEIRS, outcome=ChargeOutcome.AUTHORIZED, captured_minor=0)
REFUNDED = replace(THEIRS, refunded_minor=1_000)
DECLINED = replace(HELD, outcome=ChargeOutcome.DECLINED)


def ours(status: str, ref: str | None = "ch_1") -> PaymentFacts:
    return replace(OURS, status=PaymentStatus(status), provider_ref=ref, captured_minor=0)


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
        (ours("expired"), REFUNDED, ""),
        (ours("canceled"), replace(DECLINED, refunded_minor=200), "refund_differs"),
        (OURS, replace(THEIRS, provider_ref="ch_2"), "duplicate_charge"),
        (OURS, replace(HELD, provider_ref="ch_2"), "duplicate_charge"),
        (OURS, replace(REFUNDED, provider_ref="ch_2"), ""),
        (OURS, replace(DECLINED, provider_ref="ch_2"), ""),
        (replace(OURS, moved_at=QUIET + timedelta(seconds=1)), HELD, ""),
        *((ours(status), THEIRS, "") for status in ("created", "processing", "unknown", "review")),
    ],
)
def test_charges(our: PaymentFacts | None, their: ProviderCharge, kinds: str) -> None:
    found = compare_charge(our, their, quiet_since=QUIET)
    assert found == {DifferenceKind(kind) for kind in kinds.split()}


GAME = EntitlementFacts(ID, ID, "granted", "ada", "game-1", 1, EARLIER, moving=False)
GRANT = LibraryGrant(ID, "ada", "game-1", 1, 0, revoked=False)
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
def test_grants(our: EntitlementFacts | None, their: LibraryGrant, kinds: str) -> None:
    assert compare_grant(our, their) == {DifferenceKind(kind) for kind in kinds.split()}
