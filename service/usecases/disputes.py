"""Bring our disputes and warnings of fraud to what their provider says.

Whoever comes first does it: an event, reconciliation, or a refund that was refused. Nothing of the
event is believed but that there is something to look at; the payment too is the one whose charge
the provider's own record names.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from service import metric_catalog as m
from service.domain import dispute as rules
from service.domain import ledger
from service.domain.dispute import CLOSED, Dispute, DisputeStatus, ImplausibleError
from service.domain.inbox import EventOutcome
from service.domain.ledger import Entry
from service.domain.money import Money
from service.errors import ServiceError, StoreUnavailableError
from service.events import DISPUTE_REACHED
from service.ids import new_id
from service.logs import bind, correlation_id, get_logger
from service.providers.port import (
    ChargeOpenError,
    NoSuchChargeError,
    NotSentError,
    OutcomeUnknownError,
    ProviderDispute,
)
from service.store import disputes as store
from service.store import fraud_warnings, payments
from service.store.database import RefusedError
from service.store.disputes import DisputeRow, Movement, SyncDispute, TimelineEntry
from service.store.fraud_warnings import NewWarning
from service.store.payments import PaymentRow
from service.store.record_outcomes import EntryRow
from service.usecases.context import Context
from service.usecases.payments import get_payment

_log = get_logger(__name__)

MAX_READS: Final = 5
"""Of one dispute, when others change it meanwhile: each of them had a newer answer."""


class NoPaymentError(Exception):
    """No payment of ours has taken the money that is disputed: not yet, or as an orphan."""


async def sync(ctx: Context, provider: str, dispute_ref: str) -> EventOutcome:
    """Ask the provider for a dispute and bring our row to it; return what came of that.

    Raises NoPaymentError, ImplausibleError (a person has to look), NotSentError or
    OutcomeUnknownError.
    """
    for _ in range(MAX_READS):
        known = await store.of_reference(ctx.db, provider, dispute_ref)
        dispute_of = await ctx.providers[provider].get_dispute(dispute_ref)
        outcome = await _bring(ctx, provider, known, dispute_of)
        if outcome is not None:
            return outcome
    raise StoreUnavailableError  # five others changed it between question and answer


async def sync_of_charge(ctx: Context, provider: str, charge_ref: str) -> None:
    """Follow every dispute of a charge, as far as that works now; an event or a run does it too."""
    expected = (NotSentError, OutcomeUnknownError, NoPaymentError, ImplausibleError)
    with suppress(*expected, RefusedError, ServiceError):
        for dispute_of in await ctx.providers[provider].find_disputes(charge_ref):
            await sync(ctx, provider, dispute_of.provider_ref)


async def warn(ctx: Context, provider: str, warning_ref: str) -> EventOutcome:
    """Ask the provider for a warning of fraud and record it. Raises as `follow`."""
    dispute_of = await ctx.providers[provider].get_fraud_warning(warning_ref)
    payment = await _payment_of(ctx, provider, dispute_of.charge_ref)
    if payment is None:
        return EventOutcome.FOREIGN
    item = NewWarning(
        id=new_id(),
        payment_id=payment.id,
        provider=provider,
        provider_ref=dispute_of.provider_ref,
        fraud_type=dispute_of.fraud_type,
        actionable=dispute_of.actionable,
        warned_at=dispute_of.created_at,
        correlation_id=correlation_id(),
        at=ctx.now(),
    )
    if not await fraud_warnings.record(ctx.db, item):
        return EventOutcome.UNCHANGED
    ctx.metrics.inc(m.FRAUD_WARNINGS, provider=provider)
    _log.warning(
        "fraud_warning_created", fraud_type=dispute_of.fraud_type, actionable=dispute_of.actionable
    )
    return EventOutcome.FRAUD_WARNING_RECORDED


async def list_disputes(ctx: Context, payment_id: UUID, user_id: str) -> list[DisputeRow]:
    """Return the disputes of the user's payment, oldest first; raise NotFoundError."""
    await get_payment(ctx, payment_id, user_id)
    return await store.of_payment(ctx.db, payment_id)


async def _bring(
    ctx: Context, provider: str, known: DisputeRow | None, dispute_of: ProviderDispute
) -> EventOutcome | None:
    """Write what changed; None if our row has changed since it was read."""
    payment = await _payment_of(ctx, provider, dispute_of.charge_ref)
    if payment is None:
        return EventOutcome.FOREIGN
    if dispute_of.dispute is None:
        raise ImplausibleError(f"the dispute can't be one of ours: {dispute_of.unreadable}")
    before, now = as_dispute(known) if known else None, dispute_of.dispute
    rules.check(before, now, Money(payment.amount_minor, payment.currency))
    if before == now and known is not None and known.reason == dispute_of.reason:
        return EventOutcome.UNCHANGED
    if not await store.sync(ctx.db, _item(ctx, payment, known, dispute_of, now)):
        return None
    if before is None or before.status is not now.status:
        ctx.metrics.inc(m.DISPUTES, provider=provider, status=now.status.value)
        _log.warning(
            DISPUTE_REACHED[now.status],
            provider_ref=dispute_of.provider_ref,
            amount_minor=now.amount.minor,
            currency=now.amount.currency,
            reason=dispute_of.reason,
        )
    return EventOutcome.DISPUTE_SYNCED


async def _payment_of(ctx: Context, provider: str, charge_ref: str) -> PaymentRow | None:
    """Return the payment that a charge pays; None if the charge was never ours."""
    payment_id = await store.payment_of_charge(ctx.db, provider, charge_ref)
    payment = await payments.get_payment(ctx.db, payment_id) if payment_id else None
    if payment is None:
        if await _is_foreign(ctx, provider, charge_ref):
            return None
        raise NoPaymentError(f"no payment of ours has the charge {charge_ref}")
    if not payment.captured_minor:
        raise NoPaymentError(f"the payment is {payment.status} and has taken no money")
    bind(payment_id=str(payment.id), user_id=payment.user_id, provider=provider)
    return payment


async def _is_foreign(ctx: Context, provider: str, charge_ref: str) -> bool:
    """Return whether a charge is somebody else's on the same account: it names no payment."""
    try:
        charge = await ctx.providers[provider].get_charge(charge_ref)
    except ChargeOpenError as error:
        return error.payment_id is None
    except NoSuchChargeError:
        return True
    return charge.payment_id is None


def as_dispute(row: DisputeRow) -> Dispute:
    """Return what our row says, to be compared with what the provider says."""
    return Dispute(
        DisputeStatus(row.status),
        Money(row.amount_minor, row.currency),
        row.withdrawn_minor,
        row.reinstated_minor,
        row.evidence_due_at,
    )


def _item(
    ctx: Context,
    payment: PaymentRow,
    known: DisputeRow | None,
    dispute_of: ProviderDispute,
    now: Dispute,
) -> SyncDispute:
    before = as_dispute(known) if known else None
    return SyncDispute(
        id=known.id if known else new_id(),
        payment_id=payment.id,
        provider=payment.provider,
        provider_ref=dispute_of.provider_ref,
        amount_minor=now.amount.minor,
        currency=now.amount.currency,
        reason=dispute_of.reason,
        status=now.status,
        evidence_due_at=now.evidence_due_at,
        withdrawn_minor=now.withdrawn_minor,
        reinstated_minor=now.reinstated_minor,
        version=known.version if known else 0,
        disputed_at=known.disputed_at if known else dispute_of.created_at,
        closed_at=_closed_at(ctx, known, now),
        movements=tuple(_movements(payment.provider, before, now)),
        timeline=tuple(_timeline(before, now, dispute_of)),
        revokes=ctx.settings.dispute_lost_revokes,
        correlation_id=correlation_id(),
        at=ctx.now(),
    )


def _closed_at(ctx: Context, known: DisputeRow | None, now: Dispute) -> datetime | None:
    if now.status not in CLOSED:
        return None
    return known.closed_at if known and known.status == now.status else ctx.now()


def _movements(provider: str, before: Dispute | None, now: Dispute) -> Iterator[Movement]:
    """Yield what the ledger gets: the difference between two reports of the provider."""
    withdrawn = now.withdrawn_minor - (before.withdrawn_minor if before else 0)
    reinstated = now.reinstated_minor - (before.reinstated_minor if before else 0)
    lost = now.lost_minor - (before.lost_minor if before else 0)
    for kind, minor, book in (
        ("dispute_withdrawal", withdrawn, ledger.dispute_withdrawal),
        ("dispute_reinstatement", reinstated, ledger.dispute_reinstatement),
        ("dispute_loss", lost, ledger.dispute_loss),
        ("dispute_loss_reversal", -lost, ledger.dispute_loss_reversal),
    ):
        if minor > 0:
            yield _movement(kind, book(provider, Money(minor, now.amount.currency)))


def _movement(kind: str, entries: tuple[Entry, ...]) -> Movement:
    rows = EntryRow.of(entries)
    return Movement(new_id(), kind, tuple(rows))


def _timeline(
    before: Dispute | None, now: Dispute, dispute_of: ProviderDispute
) -> Iterator[TimelineEntry]:
    facts: dict[str, Any] = {
        "provider_ref": dispute_of.provider_ref,
        "status": now.status,
        "amount_minor": now.amount.minor,
        "currency": now.amount.currency,
    }
    due = {"evidence_due_at": now.evidence_due_at}
    if before is None:
        yield TimelineEntry("dispute_created", {**facts, **due, "reason": dispute_of.reason})
    elif before.status is not now.status:
        yield TimelineEntry(f"dispute_{now.status}", {**facts, **due})
    elif (before.amount, before.evidence_due_at) != (now.amount, now.evidence_due_at):
        yield TimelineEntry("dispute_changed", {**facts, **due})
    withdrawn = now.withdrawn_minor - (before.withdrawn_minor if before else 0)
    reinstated = now.reinstated_minor - (before.reinstated_minor if before else 0)
    for direction, minor in (("withdrawn", withdrawn), ("reinstated", reinstated)):
        if minor > 0:
            moved = {"amount_minor": minor, "currency": now.amount.currency}
            yield TimelineEntry(f"dispute_funds_{direction}", moved)
