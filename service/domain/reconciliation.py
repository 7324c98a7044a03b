"""Reconciliation: what differs between two systems, and what is only in flight."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.domain.money import Money
from service.domain.payment import CLOSED, ChargeOutcome, PaymentStatus


class DifferenceKind(StrEnum):
    """The kind of a difference; each is one row for a charge, grant or dispute."""

    MISSING_AT_PROVIDER = "missing_at_provider"
    MISSING_HERE = "missing_here"
    DUPLICATE_CHARGE = "duplicate_charge"
    AMOUNT_DIFFERS = "amount_differs"
    STATUS_DIFFERS = "status_differs"
    REFUND_DIFFERS = "refund_differs"
    GRANT_MISSING = "grant_missing"
    GRANT_UNEXPECTED = "grant_unexpected"
    GRANT_DIFFERS = "grant_differs"
    DISPUTE_MISSING_HERE = "dispute_missing_here"
    DISPUTE_DIFFERS = "dispute_differs"


_K = DifferenceKind
_P = PaymentStatus
NONE: Final[frozenset[DifferenceKind]] = frozenset()

UNDECIDED: Final = frozenset({_P.CREATED, _P.PROCESSING, _P.UNKNOWN, _P.REVIEW})
"""Statuses in which we know that we don't know: the completer or an operator will."""

_EXPECTED: Final = {
    _P.SUCCEEDED: {ChargeOutcome.SUCCEEDED},
    _P.AUTHORIZED: {ChargeOutcome.AUTHORIZED},
    _P.REQUIRES_ACTION: {ChargeOutcome.REQUIRES_ACTION},
    _P.REVERSED: {ChargeOutcome.DECLINED, ChargeOutcome.CANCELED},
}


@dataclass(frozen=True, slots=True)
class OurPayment:
    """A payment in our ledger. `moved_at` is the latest change of it or of one of its refunds."""

    status: PaymentStatus
    provider_ref: str | None
    amount: Money
    captured_minor: int
    refunded_minor: int
    refund_pending_minor: int
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class TheirCharge:
    """A charge at a provider; `outcome` and `amount` are None where they can't be ours."""

    ref: str
    outcome: ChargeOutcome | None
    amount: Money | None
    captured_minor: int
    refunded_minor: int

    @property
    def holds_money(self) -> bool:
        """Tell whether the buyer's money is taken or blocked by it."""
        blocked = self.outcome is ChargeOutcome.AUTHORIZED
        return blocked or self.captured_minor > self.refunded_minor


def compare_charge(
    ours: OurPayment | None, theirs: TheirCharge, *, quiet_since: datetime
) -> frozenset[DifferenceKind]:
    """Return what differs; nothing while our side is undecided or has moved after `quiet_since`."""
    if ours is None:
        return frozenset({_K.MISSING_HERE})
    if ours.status in UNDECIDED or ours.moved_at > quiet_since:
        return NONE
    if ours.provider_ref not in (None, theirs.ref):
        # A second charge for one payment: harmless once its money has gone back.
        return frozenset({_K.DUPLICATE_CHARGE}) if theirs.holds_money else NONE
    if ours.status in CLOSED:
        return _differs_from_closed(theirs)
    if theirs.outcome not in _EXPECTED[ours.status]:
        return frozenset({_K.STATUS_DIFFERS})
    return frozenset(_differing_sums(ours, theirs))


def _differs_from_closed(theirs: TheirCharge) -> frozenset[DifferenceKind]:
    """Return what is wrong with a charge that should have come to nothing."""
    if theirs.holds_money:
        return frozenset({_K.STATUS_DIFFERS})
    # A charge that was refunded and has failed then: the provider refunded what it never got.
    return frozenset({_K.REFUND_DIFFERS}) if theirs.refunded_minor > theirs.captured_minor else NONE


def _differing_sums(ours: OurPayment, theirs: TheirCharge) -> set[DifferenceKind]:
    kinds: set[DifferenceKind] = set()
    if ours.status is _P.REVERSED:
        return kinds  # the provider counts nothing as captured any more
    if (theirs.amount, theirs.captured_minor) != (ours.amount, ours.captured_minor):
        kinds.add(_K.AMOUNT_DIFFERS)
    if theirs.refunded_minor != ours.refunded_minor and not ours.refund_pending_minor:
        kinds.add(_K.REFUND_DIFFERS)
    return kinds


@dataclass(frozen=True, slots=True)
class OurEntitlement:
    """An entitlement on our side; `moving` while a message or a refund is in flight."""

    status: str
    user_id: str
    game_id: str
    quantity: int
    moving: bool


@dataclass(frozen=True, slots=True)
class TheirGrant:
    """A grant at the Library."""

    user_id: str
    game_id: str
    quantity: int
    revoked: bool


def compare_grant(ours: OurEntitlement | None, theirs: TheirGrant) -> frozenset[DifferenceKind]:
    """Return what differs; nothing while our side is moving."""
    if ours is None:
        return NONE if theirs.revoked else frozenset({_K.GRANT_UNEXPECTED})
    if ours.moving or ours.status == "reserved":
        return NONE
    if ours.status != "granted":
        return NONE if theirs.revoked else frozenset({_K.GRANT_UNEXPECTED})
    if theirs.revoked:
        return frozenset({_K.GRANT_MISSING})
    same = (ours.user_id, ours.game_id, ours.quantity) == (
        theirs.user_id,
        theirs.game_id,
        theirs.quantity,
    )
    return NONE if same else frozenset({_K.GRANT_DIFFERS})
