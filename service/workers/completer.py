"""The completer: finishes payments and refunds whose outcome nobody recorded.

It comes upon them after a crash, when their lock has run out, or when the provider did not answer,
at the times that the schedule of unknown outcomes says.
"""

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

from service.errors import IdempotencyKeyInFlightError
from service.logs import bind_payment, get_logger
from service.store import payments, refunds
from service.store.payments import Attempt
from service.store.refunds import DueRefund
from service.usecases.attempts import reconcile_attempt
from service.usecases.context import Context
from service.usecases.refunds import reconcile_refund
from service.workers.loop import each

BATCH: Final = 20
LEASE_S: Final = 120.0
"""How long a taken item is hidden: 20 items, 8 at a time, each four calls of up to 5 s, fit."""

_log = get_logger(__name__)


async def run_once(ctx: Context) -> int:
    """Resolve what is overdue; return how many there were."""
    now = ctx.now()
    until = now + timedelta(seconds=LEASE_S)
    attempts = await payments.claim_due_attempts(ctx.db, at=now, until=until, limit=BATCH)
    due = await refunds.claim_due_refunds(ctx.db, at=now, until=until, limit=BATCH)
    return await each(attempts, partial(_payment, ctx)) + await each(due, partial(_refund, ctx))


async def _payment(ctx: Context, due: Attempt) -> None:
    payment = due.payment
    with bind_payment(due.correlation_id, payment.id, payment.user_id, payment.provider):
        _log.info("payment_taken_up", checks=due.checks)
        with suppress(IdempotencyKeyInFlightError):  # another process has it now
            await reconcile_attempt(ctx, due)


async def _refund(ctx: Context, due: DueRefund) -> None:
    with bind_payment(
        due.correlation_id,
        due.refund.payment_id,
        due.user_id,
        due.provider,
        refund_id=str(due.refund.id),
    ):
        _log.info("refund_taken_up", checks=due.checks)
        with suppress(IdempotencyKeyInFlightError):
            await reconcile_refund(ctx, due)
