"""What a page of a comparison comes to: rows of two books in, differences out."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from service.domain.money import Money
from service.domain.payment import PaymentStatus
from service.domain.reconciliation import (
    DifferenceKind,
    OurEntitlement,
    OurPayment,
    TheirCharge,
    TheirGrant,
    compare_charge,
    compare_grant,
)
from service.ids import new_id
from service.integrations.library import LibraryGrant
from service.providers.port import ProviderCharge
from service.store.reconciliation import Difference, EntitlementFacts, PaymentFacts

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


def charge_differences(
    provider: str, ours: PaymentFacts | None, theirs: ProviderCharge, *, quiet_since: datetime
) -> Iterator[Difference]:
    """Yield what differs between a provider's charge and our payment of it."""
    kinds = compare_charge(
        _our_payment(ours) if ours else None,
        TheirCharge(
            theirs.provider_ref,
            theirs.outcome,
            theirs.amount,
            theirs.captured_minor,
            theirs.refunded_minor,
        ),
        quiet_since=quiet_since,
    )
    for kind in sorted(kinds):
        yield Difference(
            id=new_id(),
            kind=kind,
            source=provider,
            subject=theirs.provider_ref,
            payment_id=ours.id if ours else None,
            ours=_payment_facts(ours) if ours else {},
            theirs=_charge_facts(theirs),
            # A run whose window reaches back to here is given the charge again, by either list.
            subject_at=theirs.changed_at or theirs.created_at,
        )


def missing_charge(provider: str, ours: PaymentFacts) -> Difference:
    """Return that a provider's list lacks our payment."""
    return Difference(
        id=new_id(),
        kind=DifferenceKind.MISSING_AT_PROVIDER,
        source=provider,
        subject=ref(ours),
        payment_id=ours.id,
        ours=_payment_facts(ours),
        theirs={},
        subject_at=ours.created_at,
    )


def grant_differences(
    source: str, ours: EntitlementFacts | None, theirs: LibraryGrant
) -> Iterator[Difference]:
    """Yield what differs between a grant of the Library and our entitlement."""
    kinds = compare_grant(
        OurEntitlement(ours.status, ours.user_id, ours.game_id, ours.quantity, ours.moving)
        if ours
        else None,
        TheirGrant(theirs.user_id, theirs.game_id, theirs.quantity, theirs.revoked),
    )
    for kind in sorted(kinds):
        yield Difference(
            id=new_id(),
            kind=kind,
            source=source,
            subject=str(theirs.id),
            payment_id=ours.payment_id if ours else None,
            ours=_entitlement_facts(ours) if ours else {},
            theirs=msgspec.to_builtins(theirs),
            subject_at=theirs.created_at,
        )


def missing_grant(source: str, ours: EntitlementFacts) -> Difference:
    """Return that the Library's list lacks a game that we have granted."""
    return Difference(
        id=new_id(),
        kind=DifferenceKind.GRANT_MISSING,
        source=source,
        subject=str(ours.id),
        payment_id=ours.payment_id,
        ours=_entitlement_facts(ours),
        theirs={},
        subject_at=ours.created_at,
    )


def _our_payment(ours: PaymentFacts) -> OurPayment:
    return OurPayment(
        status=PaymentStatus(ours.status),
        provider_ref=ours.provider_ref,
        amount=Money(ours.amount_minor, ours.currency),
        captured_minor=ours.captured_minor,
        refunded_minor=ours.refunded_minor,
        refund_pending_minor=ours.refund_pending_minor,
        moved_at=ours.moved_at,
    )


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
