"""The inbox: processes what providers have sent, and gives back what was taken for nothing."""

from datetime import timedelta
from functools import partial
from typing import Final

from service import metric_catalog as m
from service.logs import bind_correlation, bind_payment
from service.store import inbox as store
from service.store import orphans as orphan_store
from service.store.inbox import InboxEvent
from service.store.orphans import OrphanRow
from service.usecases import inbox, orphans
from service.usecases.context import Context
from service.workers.loop import each

BATCH: Final = 50
LEASE_S: Final = 180.0
"""How long a taken item is hidden: 50 items, 8 at a time, each four calls of up to 5 s, fit."""


async def run_once(ctx: Context) -> int:
    """Process due events and refund due orphans; return how many there were."""
    now = ctx.now()
    until = now + timedelta(seconds=LEASE_S)
    found = await store.claim(ctx.db, at=now, until=until, limit=BATCH)
    handled = await each(found, partial(_event, ctx))
    due = await orphan_store.claim_due(ctx.db, at=ctx.now(), until=until, limit=BATCH)
    return handled + await each(due, partial(_orphan, ctx))


async def measure(ctx: Context) -> int:
    """Set the gauges of the inbox and of the orphans."""
    backlog = await store.backlog(ctx.db, ctx.now())
    ctx.metrics.set_each(m.WEBHOOK_INBOX, {"pending": backlog.pending, "parked": backlog.parked})
    ctx.metrics.set(m.WEBHOOK_INBOX_LAG, backlog.oldest_s)
    ctx.metrics.set_each(m.ORPHANS_UNREFUNDED, await orphan_store.unrefunded(ctx.db))
    return 0


async def _event(ctx: Context, event: InboxEvent) -> None:
    with bind_correlation(
        event.correlation_id, provider=event.provider, webhook_event_id=event.event_id
    ):
        await inbox.process(ctx, event)


async def _orphan(ctx: Context, orphan: OrphanRow) -> None:
    with bind_payment(orphan.correlation_id, orphan.payment_id, orphan.user_id, orphan.provider):
        await orphans.refund_orphan(ctx, orphan)
