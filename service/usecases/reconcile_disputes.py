"""The part of a reconciliation run that is about disputes: it finds what a lost event hid.

A dispute that differs is brought to what the provider says, as an event would have done. What
can't be brought is a difference, for a person.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from service.domain.dispute import ImplausibleError
from service.domain.reconciliation import DifferenceKind
from service.errors import StoreUnavailableError
from service.ids import new_id
from service.logs import bind_correlation, correlation_id
from service.providers.port import OutcomeUnknownError, ProviderDispute
from service.store import disputes as store
from service.store.disputes import DisputeRow
from service.store.reconciliation import Difference
from service.usecases import disputes
from service.usecases.context import Context

PAGE: Final = 100
"""Open disputes a page; each is one call to the provider."""

_FIRST: Final = UUID(int=0)


async def differences(
    ctx: Context, provider: str, since: datetime, until: datetime
) -> AsyncIterator[Difference | None]:
    """Follow what the provider lists and what is open here; yield each dispute's difference.

    None is one that doesn't differ, so that the caller can show that the run goes on. Raises
    NotSentError or OutcomeUnknownError if the provider does not answer.
    """
    async for dispute_of in ctx.providers[provider].list_disputes(since, until):
        yield await _listed(ctx, provider, dispute_of)
    after = _FIRST
    while page := await store.open_at(ctx.db, provider, after=after, before=until, limit=PAGE):
        for row in page:
            yield await _open(ctx, row)
        after = page[-1].id


async def _listed(ctx: Context, provider: str, dispute_of: ProviderDispute) -> Difference | None:
    known = await store.of_reference(ctx.db, provider, dispute_of.provider_ref)
    if known is not None and disputes.as_dispute(known) == dispute_of.dispute:
        return None
    error = await _sync(ctx, provider, dispute_of.provider_ref)
    if error is None:
        return None
    kind = DifferenceKind.DISPUTE_DIFFERS if known else DifferenceKind.DISPUTE_MISSING_HERE
    return Difference(
        id=new_id(),
        kind=kind,
        source=provider,
        subject=dispute_of.provider_ref,
        payment_id=known.payment_id if known else None,
        ours=_facts(known) if known else {},
        theirs={**_their_facts(dispute_of), "error": error},
        subject_at=dispute_of.created_at,
    )


async def _open(ctx: Context, row: DisputeRow) -> Difference | None:
    error = await _sync(ctx, row.provider, row.provider_ref)
    if error is None:
        return None
    return Difference(
        id=new_id(),
        kind=DifferenceKind.DISPUTE_DIFFERS,
        source=row.provider,
        subject=row.provider_ref,
        payment_id=row.payment_id,
        ours=_facts(row),
        theirs={"error": error},
        subject_at=ctx.now(),  # it is looked at for as long as it is open, however old it is
    )


async def _sync(ctx: Context, provider: str, ref: str) -> str | None:
    """Bring our row to what the provider says; return why that is not possible."""
    try:
        # Its lines name its payment, and the run's own ones after it don't.
        with bind_correlation(correlation_id()):
            await disputes.sync(ctx, provider, ref)
    except (disputes.NoPaymentError, ImplausibleError, StoreUnavailableError) as error:
        return str(error)[:500]
    except OutcomeUnknownError as error:
        if not error.answered:
            raise
        return str(error)[:500]  # it answers, and knows no such dispute
    return None


def _facts(row: DisputeRow) -> dict[str, Any]:
    return {
        "status": row.status,
        "amount": row.amount_minor,
        "currency": row.currency,
        "withdrawn": row.withdrawn_minor,
        "reinstated": row.reinstated_minor,
    }


def _their_facts(dispute_of: ProviderDispute) -> dict[str, Any]:
    found = dispute_of.dispute
    if found is None:
        return {"charge_ref": dispute_of.charge_ref, "unreadable": dispute_of.unreadable}
    return {
        "charge_ref": dispute_of.charge_ref,
        "status": found.status,
        "amount": found.amount.minor,
        "currency": found.amount.currency,
        "withdrawn": found.withdrawn_minor,
        "reinstated": found.reinstated_minor,
    }
