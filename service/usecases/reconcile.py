"""Compare our books with each provider's and the Library's, and keep what differs.

A run walks through the other's lists page by page (what was made in its window, and what is older
and changed in it) and looks each entry up in ours; then it walks through ours and asks what it has
not met. It holds a page in memory and no transaction open while
it waits for others.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from service import metric_catalog as m
from service.domain.reconciliation import DifferenceKind
from service.errors import NotFoundError
from service.ids import new_id
from service.integrations.library import LibraryError, LibraryGrant
from service.logs import bind_payment, correlation_id, get_logger
from service.providers.port import NotSentError, OutcomeUnknownError, ProviderCharge
from service.store import payments
from service.store import reconciliation as store
from service.store import reconciliation_runs as runs
from service.store.database import RefusedError
from service.store.reconciliation import Difference
from service.store.reconciliation_runs import Claim, Progress, RunRow
from service.usecases import audit, reconcile_disputes
from service.usecases import reconcile_pages as pages
from service.usecases.audit import By
from service.usecases.charge_owner import NotYetError
from service.usecases.context import Context
from service.usecases.sync_charge import sync_charge

Item = TypeVar("Item")

LIBRARY: Final = "library"
PAGE: Final = 200
"""Entries a page: each is four statements, so a page takes milliseconds."""

DISPUTES_PAGE: Final = 10
"""Disputes between two renewals of the lease: each may be a call, of 5 s at most."""

LEASE_S: Final = 60.0
"""How long a silent run is waited for; each page, whose call takes 5 s at most, renews it."""

RETRY_S: Final = 300.0
"""A run that failed is repeated after this, or at its interval if that is shorter."""

MAX_RUN_S: Final = 3_600.0
"""A run that takes an hour walks through more than its window should hold, or hangs."""

MAX_LOOK_BACK_S: Final = 2_592_000.0
"""A difference keeps the window open back to itself, so that its end is seen: for thirty days. So
does a payment that is held: no provider lists captures by when they were made."""

SKEW_S: Final = 120.0
"""Clocks of others may be this far off; what is nearer to the window's borders isn't missed."""

FOLLOWED: Final = frozenset(
    {DifferenceKind.REFUND_DIFFERS, DifferenceKind.STATUS_DIFFERS, DifferenceKind.AMOUNT_DIFFERS}
)
"""Differences that a lost event may explain."""

_log = get_logger(__name__)


class LeaseLostError(Exception):
    """Another process has taken the run for dead."""


async def request_run(ctx: Context, by: By) -> RunRow:
    """Ask the workers for a run, or join the one that waits already."""
    action = audit.entry(ctx, "reconciliation", "", "request_run", by)
    run = await runs.request(ctx.db, new_id(action.at), action)
    _log.info("reconciliation_requested", run_id=str(run.id), actor=by.actor)
    return run


async def get_run(ctx: Context, run_id: UUID) -> RunRow:
    """Return the run; raise NotFoundError."""
    run = await runs.get_run(ctx.db, run_id)
    if run is None:
        raise NotFoundError("No such run")
    return run


async def run_due(ctx: Context) -> int:
    """Do the run that is asked for or due, if no other process does one; return how many."""
    now, settings = ctx.now(), ctx.settings
    interval_s = settings.reconciliation_interval_s
    claim = Claim(
        run_id=new_id(now),
        at=now,
        lease_until=now + timedelta(seconds=LEASE_S),
        due_before=now - timedelta(seconds=interval_s),
        retry_before=now - timedelta(seconds=min(RETRY_S, interval_s)),
    )
    run = await runs.claim(ctx.db, claim)
    if run is None:
        return 0
    await _execute(ctx, run)
    return 1


async def measure(ctx: Context) -> None:
    """Set the gauges from the database; every replica shows the same."""
    ctx.metrics.set_each(m.RECONCILIATION_DIFFERENCES, await store.open_by_kind(ctx.db))
    ended = await runs.last_success(ctx.db)
    ctx.metrics.set(m.RECONCILIATION_LAST_RUN, ended.timestamp() if ended else 0)


async def _execute(ctx: Context, run: RunRow) -> None:
    _log.info("reconciliation_started", run_id=str(run.id), actor=run.actor)
    job = _Job(ctx, run.id, *await _window(ctx))
    try:
        error = await _compare_all(job)
    except LeaseLostError:
        _log.warning("reconciliation_taken_over", run_id=str(run.id))
        return
    except Exception as unforeseen:
        await _finish(job, f"{type(unforeseen).__name__}: {unforeseen}"[:500])
        raise
    await _finish(job, error)


async def _finish(job: "_Job", error: str | None) -> None:
    ctx, progress = job.ctx, job.progress
    if not await runs.finish(ctx.db, job.run_id, at=ctx.now(), error=error):
        return
    ctx.metrics.inc(m.RECONCILIATION_RUNS, outcome="error" if error else "ok")
    emit = _log.error if error else _log.info
    emit(
        "reconciliation_failed" if error else "reconciliation_finished",
        run_id=str(job.run_id),
        charges=progress.charges,
        payments=progress.payments,
        grants=progress.grants,
        differences=progress.differences,
        foreign_charges=progress.foreign_charges,
        error=error,
    )


async def _window(ctx: Context) -> tuple[datetime, datetime]:
    now, settings = ctx.now(), ctx.settings
    since = now - timedelta(seconds=settings.reconciliation_window_s)
    limit = now - timedelta(seconds=MAX_LOOK_BACK_S)
    oldest = await store.oldest_open(ctx.db, not_before=limit)
    if oldest is not None:
        since = min(since, oldest - timedelta(seconds=2 * SKEW_S))
    return since, now - timedelta(seconds=settings.reconciliation_grace_s)


async def _compare_all(job: "_Job") -> str | None:
    """Compare with every source; one that does not answer does not hide the others'."""
    sources: dict[str, Callable[[], Awaitable[None]]] = {
        name: lambda name=name: job.provider(name)  # type: ignore[misc]
        for name in job.ctx.providers
    }
    sources[LIBRARY] = job.grants
    errors: list[str] = []
    try:
        async with asyncio.timeout(MAX_RUN_S):
            for source, compare in sources.items():
                try:
                    await compare()
                except (NotSentError, OutcomeUnknownError, LibraryError) as error:
                    errors.append(f"{source}: {error}")
                else:
                    await job.close_gone(source)
    except TimeoutError:
        errors.append(f"stopped after {MAX_RUN_S:g} s")
    return "; ".join(errors)[:500] or None


@dataclass
class _Job:
    """A run under way; `until` is where what is still in flight begins."""

    ctx: Context
    run_id: UUID
    since: datetime
    until: datetime
    progress: Progress = field(default_factory=Progress)

    @property
    def _surely_since(self) -> datetime:
        return self.since + timedelta(seconds=SKEW_S)

    @property
    def _surely_until(self) -> datetime:
        return self.until - timedelta(seconds=SKEW_S)

    async def provider(self, provider: str) -> None:
        """Compare a provider's charges and disputes with ours."""
        await self.charges(provider)
        await self.disputes(provider)

    async def charges(self, provider: str) -> None:
        """Compare a provider's charges with our payments, both ways."""
        there = self.ctx.providers[provider]
        for look in (there.list_charges, there.list_changed):
            async for page in in_pages(look(self.since, self.until), PAGE):
                await self._charges_page(provider, page)
        after = pages.first_id(self.since)
        while page_of_ours := await store.expected_charges(
            self.ctx.db,
            provider,
            since=self._surely_since,
            until=self._surely_until,
            after=after,
            limit=PAGE,
        ):
            refs = [pages.ref(ours) for ours in page_of_ours]
            missing = await store.unseen(self.ctx.db, self.run_id, provider, refs)
            found = [
                pages.missing_charge(provider, ours)
                for ours in page_of_ours
                if pages.ref(ours) in missing
            ]
            self.progress.payments += len(page_of_ours)
            await self._page_done(found)
            after = page_of_ours[-1].id

    async def disputes(self, provider: str) -> None:
        """Bring our disputes to what a provider says of them, and keep what can't be brought."""
        found = reconcile_disputes.differences(self.ctx, provider, self.since, self.until)
        async for page in in_pages(found, DISPUTES_PAGE):
            await self._page_done([difference for difference in page if difference])

    async def grants(self) -> None:
        """Compare the Library's grants with our entitlements, both ways."""
        async for page in in_pages(self.ctx.library.list_grants(self.since, self.until), PAGE):
            await self._grants_page(page)
        after = pages.first_id(self.since), ""
        while page_of_ours := await store.expected_grants(
            self.ctx.db, since=self._surely_since, until=self._surely_until, after=after, limit=PAGE
        ):
            ids = [str(ours.id) for ours in page_of_ours]
            missing = await store.unseen(self.ctx.db, self.run_id, LIBRARY, ids)
            found = [
                pages.missing_grant(LIBRARY, ours)
                for ours in page_of_ours
                if str(ours.id) in missing and not ours.moving
            ]
            await self._page_done(found)
            after = page_of_ours[-1].payment_id, page_of_ours[-1].game_id

    async def close_gone(self, source: str) -> None:
        """Close what a source was found to differ in before and no longer does."""
        now = self.ctx.now()
        closed = await store.resolve_gone(
            self.ctx.db, self.run_id, source, since=self.since, at=now
        )
        if closed:
            _log.info("reconciliation_differences_closed", source=source, count=closed)

    async def _charges_page(self, provider: str, page: Sequence[ProviderCharge]) -> None:
        db = self.ctx.db
        await store.mark_seen(db, self.run_id, provider, [charge.provider_ref for charge in page])
        ours = await store.payments_of(
            db, provider, [(charge.provider_ref, charge.payment_id) for charge in page]
        )
        known = [charge for charge in page if not pages.is_foreign(charge, ours)]
        self.progress.charges += len(page)
        self.progress.foreign_charges += len(page) - len(known)
        found = [
            difference
            for charge in known
            for difference in pages.charge_differences(
                provider, ours.get(charge.provider_ref), charge, quiet_since=self.until
            )
        ]
        await self._page_done(found)
        await self._sync_all(found)

    async def _sync_all(self, found: Sequence[Difference]) -> None:
        """Make ours what can be, and close those differences at once: nobody need look at them."""
        differing = {each.payment_id for each in found if each.kind in FOLLOWED} - {None}
        changed = [each for each in differing if each is not None and await self._sync(each)]
        if changed:
            await store.resolve_followed(
                self.ctx.db, self.run_id, changed, sorted(FOLLOWED), self.ctx.now()
            )

    async def _sync(self, payment_id: UUID) -> bool:
        payment = await payments.get_payment(self.ctx.db, payment_id)
        if payment is None:
            return False
        with bind_payment(correlation_id(), payment.id, payment.user_id, payment.provider):
            try:
                return await sync_charge(self.ctx, payment, "reconciliation")
            except (NotSentError, OutcomeUnknownError, RefusedError, NotYetError) as error:
                _log.info("reconciliation_not_followed", reason=str(error))
                return False

    async def _grants_page(self, page: Sequence[LibraryGrant]) -> None:
        db, ids = self.ctx.db, [grant.id for grant in page]
        await store.mark_seen(db, self.run_id, LIBRARY, [str(grant_id) for grant_id in ids])
        ours = await store.entitlements_of(db, ids, quiet_since=self.until)
        self.progress.grants += len(page)
        await self._page_done(
            [
                difference
                for grant in page
                for difference in pages.grant_differences(LIBRARY, ours.get(grant.id), grant)
            ]
        )

    async def _page_done(self, found: Sequence[Difference]) -> None:
        now = self.ctx.now()
        self.progress.differences += len(found)
        held = await runs.keep(
            self.ctx.db,
            self.run_id,
            self.progress,
            window=(self.since, self.until),
            lease_until=now + timedelta(seconds=LEASE_S),
        )
        if not held:
            raise LeaseLostError
        if found:
            await store.record(self.ctx.db, self.run_id, found, now)
            for difference in found:
                _log.warning(
                    "reconciliation_difference",
                    kind=difference.kind,
                    source=difference.source,
                    subject=difference.subject,
                    payment_id=str(difference.payment_id) if difference.payment_id else None,
                )


async def in_pages(items: AsyncIterator[Item], size: int) -> AsyncIterator[list[Item]]:
    """Yield what `items` yields in lists of at most `size`."""
    page: list[Item] = []
    async for item in items:
        page.append(item)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
