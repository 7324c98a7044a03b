"""What a page of a comparison comes to: rows of two books in, differences out."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.domain.money import Money
from service.domain.payment import CLOSED, ChargeOutcome, PaymentStatus
from service.domain.reconciliation import DifferenceKind
from service.ids import new_id
from service.integrations.library import LibraryGrant
from service.providers.port import ProviderCharge
from service.store.reconciliation import Difference, EntitlementFacts, PaymentFacts

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

CLOCKS_APART_S: Final = 3_600
"""How much an id's time may be behind its row's: processes' clocks differ by seconds at most."""


def first_id(since: datetime) -> UUID:
    """Return an id (UUIDv7) before that of any payment made from `since` on."""
    milliseconds = max(0, int((since.timestamp() - CLOCKS_APART_S) * 1_000))
    return UUID(int=milliseconds << 80)


def ref(ours: PaymentFacts) -> str:
    """Return the charge's name at the provider; a payment without one has nothing to be met by."""
    return ours.provider_ref or str(ours.id)


def is_foreign(theirs: ProviderCharge, ours: Mapping[str, PaymentFacts]) -> bool:
    """Tell whether a charge was never ours: it names no payment, and no payment knows it."""
    return theirs.payment_id is None and theirs.provider_ref not in ours


def compare_charge(
    ours: PaymentFacts | None, theirs: ProviderCharge, *, quiet_since: datetime
) -> frozenset[DifferenceKind]:
    """Return what differs; nothing while our side is undecided or has moved after `quiet_since`."""
    if ours is None:
        return frozenset({_K.MISSING_HERE})
    if ours.status in UNDECIDED or ours.moved_at > quiet_since:
        return NONE
    if ours.provider_ref not in (None, theirs.provider_ref):
        # A second charge for one payment: harmless once its money has gone back.
        return frozenset({_K.DUPLICATE_CHARGE}) if _holds_money(theirs) else NONE
    if ours.status in CLOSED:
        return _differs_from_closed(theirs)
    if theirs.outcome not in _EXPECTED[ours.status]:
        return frozenset({_K.STATUS_DIFFERS})
    return frozenset(_differing_sums(ours, theirs))


def _holds_money(theirs: ProviderCharge) -> bool:
    """Tell whether the buyer's money is taken or blocked by a charge."""
    blocked = theirs.outcome is ChargeOutcome.AUTHORIZED
    return blocked or theirs.captured_minor > theirs.refunded_minor


def _differs_from_closed(theirs: ProviderCharge) -> frozenset[DifferenceKind]:
    """Return what is wrong with a charge that should have come to nothing."""
    if _holds_money(theirs):
        return frozenset({_K.STATUS_DIFFERS})
    # A charge that was refunded and has failed then: the provider refunded what it never got.
    return frozenset({_K.REFUND_DIFFERS}) if theirs.refunded_minor > theirs.captured_minor else NONE


def _differing_sums(ours: PaymentFacts, theirs: ProviderCharge) -> set[DifferenceKind]:
    kinds: set[DifferenceKind] = set()
    if ours.status is _P.REVERSED:
        return kinds  # the provider counts nothing as captured any more
    if (theirs.amount, theirs.captured_minor) != (
        Money(ours.amount_minor, ours.currency),
        ours.captured_minor,
    ):
        kinds.add(_K.AMOUNT_DIFFERS)
    if theirs.refunded_minor != ours.refunded_minor and not ours.refund_pending_minor:
        kinds.add(_K.REFUND_DIFFERS)
    return kinds


def compare_grant(ours: EntitlementFacts | None, theirs: LibraryGrant) -> frozenset[DifferenceKind]:
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


def charge_differences(
    provider: str, ours: PaymentFacts | None, theirs: ProviderCharge, *, quiet_since: datetime
) -> Iterator[Difference]:
    """Yield what differs between a provider's charge and our payment of it."""
    for kind in sorted(compare_charge(ours, theirs, quiet_since=quiet_since)):
        # A run whose window reaches back to here is given the charge again, by either list.
        at = theirs.changed_at or theirs.created_at
        yield _of_charge(kind, provider, theirs.provider_ref, ours, theirs, at)


def missing_charge(provider: str, ours: PaymentFacts) -> Difference:
    """Return that a provider's list lacks our payment."""
    return _of_charge(_K.MISSING_AT_PROVIDER, provider, ref(ours), ours, None, ours.created_at)


def grant_differences(
    source: str, ours: EntitlementFacts | None, theirs: LibraryGrant
) -> Iterator[Difference]:
    """Yield what differs between a grant of the Library and our entitlement."""
    for kind in sorted(compare_grant(ours, theirs)):
        yield _of_grant(kind, source, theirs.id, ours, theirs, theirs.created_at)


def missing_grant(source: str, ours: EntitlementFacts) -> Difference:
    """Return that the Library's list lacks a game that we have granted."""
    return _of_grant(_K.GRANT_MISSING, source, ours.id, ours, None, ours.created_at)


def _of_charge(
    kind: DifferenceKind,
    source: str,
    subject: str,
    ours: PaymentFacts | None,
    theirs: ProviderCharge | None,
    at: datetime,
) -> Difference:
    payment_id = ours.id if ours else None
    facts = _payment_facts(ours) if ours else {}, _charge_facts(theirs) if theirs else {}
    return Difference(new_id(), kind, source, subject, payment_id, *facts, at)


def _of_grant(
    kind: DifferenceKind,
    source: str,
    grant_id: UUID,
    ours: EntitlementFacts | None,
    theirs: LibraryGrant | None,
    at: datetime,
) -> Difference:
    payment_id = ours.payment_id if ours else None
    facts = _entitlement_facts(ours) if ours else {}, msgspec.to_builtins(theirs) if theirs else {}
    return Difference(new_id(), kind, source, str(grant_id), payment_id, *facts, at)


def _payment_facts(ours: PaymentFacts) -> dict[str, Any]:
    return {
        "status": ours.status,
        "provider_ref": ours.provider_ref,
        "amount": ours.amount_minor,
        "currency": ours.currency,
        "captured": ours.captured_minor,
        "refunded": ours.refunded_minor,
    }


def _charge_facts(theirs: ProviderCharge) -> dict[str, Any]:
    return {
        "status": theirs.outcome,
        "provider_ref": theirs.provider_ref,
        "amount": theirs.amount.minor if theirs.amount else None,
        "currency": theirs.amount.currency if theirs.amount else None,
        "captured": theirs.captured_minor,
        "refunded": theirs.refunded_minor,
    }


def _entitlement_facts(ours: EntitlementFacts) -> dict[str, Any]:
    return {
        "status": ours.status,
        "user_id": ours.user_id,
        "game_id": ours.game_id,
        "quantity": ours.quantity,
    }
