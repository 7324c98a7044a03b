"""Measures what only the database knows: invariants, the outbox, unresolved payments."""

from typing import Final

from service import metric_catalog as m
from service.domain.money import CURRENCIES
from service.logs import get_logger
from service.store.outbox import GRANT, REVOKE
from service.usecases import health, reversals
from service.usecases.context import Context

TOPICS: Final = (GRANT, REVOKE)
UNRESOLVED: Final = ("processing", "unknown", "review")
UNRESOLVED_REFUNDS: Final = ("pending", "unknown", "review")
_log = get_logger(__name__)


async def measure_backlog(ctx: Context) -> int:
    """Set the gauges of work under way."""
    backlog = await health.backlog(ctx)
    for topic in TOPICS:
        ctx.metrics.set(m.OUTBOX_PENDING, backlog.outbox.get(topic, 0), topic=topic)
    for status in UNRESOLVED:
        ctx.metrics.set(m.UNRESOLVED_PAYMENTS, backlog.unresolved.get(status, 0), status=status)
        oldest_s = backlog.unresolved_oldest_s.get(status, 0)
        ctx.metrics.set(m.UNRESOLVED_PAYMENTS_AGE, oldest_s, status=status)
    for status in UNRESOLVED_REFUNDS:
        refunds = backlog.unresolved_refunds.get(status, 0)
        ctx.metrics.set(m.UNRESOLVED_REFUNDS, refunds, status=status)
    await reversals.measure(ctx)
    ctx.metrics.set(m.OUTBOX_LAG, backlog.outbox_oldest_s)
    ctx.metrics.set(m.PAID_NOT_GRANTED, backlog.paid_not_granted)
    return 0


async def measure_disputes(ctx: Context) -> int:
    """Set the gauges of open disputes."""
    standing = await health.disputes(ctx)
    for status in m.OPEN_DISPUTE_STATUSES:
        ctx.metrics.set(m.DISPUTES_OPEN, standing.open.get(status, 0), status=status)
    for currency in CURRENCIES:
        ctx.metrics.set(m.DISPUTED_AMOUNT, standing.minor.get(currency, 0), currency=currency)
    due = standing.next_due_at
    ctx.metrics.set(m.DISPUTE_EVIDENCE_DUE, due.timestamp() if due else 0)
    return 0


async def measure_invariants(ctx: Context) -> int:
    """Set the gauge of each money invariant, and log a broken one."""
    for invariant, violations in (await health.violations(ctx)).items():
        ctx.metrics.set(m.INVARIANT_VIOLATIONS, violations, invariant=invariant)
        if violations:
            _log.error("money_invariant_broken", invariant=invariant, violations=violations)
    return 0
