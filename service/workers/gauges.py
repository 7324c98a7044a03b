"""Measures what only the database knows: invariants, the outbox, unresolved payments."""

from service import metric_catalog as m
from service.logs import get_logger
from service.store import disputes, invariants, reversals
from service.usecases.context import Context

_log = get_logger(__name__)


async def measure_backlog(ctx: Context) -> int:
    """Set the gauges of work under way."""
    backlog = await invariants.backlog(ctx.db, ctx.now())
    ctx.metrics.set_each(m.OUTBOX_PENDING, backlog.outbox)
    ctx.metrics.set_each(m.UNRESOLVED_PAYMENTS, backlog.unresolved)
    ctx.metrics.set_each(m.UNRESOLVED_PAYMENTS_AGE, backlog.unresolved_oldest_s)
    ctx.metrics.set_each(m.UNRESOLVED_REFUNDS, backlog.unresolved_refunds)
    ctx.metrics.set(m.REVERSALS_OPEN, await reversals.open_count(ctx.db))
    ctx.metrics.set(m.OUTBOX_LAG, backlog.outbox_oldest_s)
    ctx.metrics.set(m.PAID_NOT_GRANTED, backlog.paid_not_granted)
    return 0


async def measure_disputes(ctx: Context) -> int:
    """Set the gauges of open disputes."""
    standing = await disputes.standing(ctx.db)
    ctx.metrics.set_each(m.DISPUTES_OPEN, standing.open)
    ctx.metrics.set_each(m.DISPUTED_AMOUNT, standing.minor)
    due = standing.next_due_at
    ctx.metrics.set(m.DISPUTE_EVIDENCE_DUE, due.timestamp() if due else 0)
    return 0


async def measure_invariants(ctx: Context) -> int:
    """Set the gauge of each money invariant, and log a broken one."""
    for invariant, violations in (await invariants.violations(ctx.db)).items():
        ctx.metrics.set(m.INVARIANT_VIOLATIONS, violations, invariant=invariant)
        if violations:
            _log.error("money_invariant_broken", invariant=invariant, violations=violations)
    return 0
