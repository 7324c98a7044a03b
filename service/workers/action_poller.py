"""Asks about payments whose buyers were sent to their bank, in case the webhook is lost."""

from functools import partial
from typing import Final

from service.logs import bind_correlation
from service.store.payments import PaymentRow
from service.usecases import action_poller
from service.usecases.context import Context
from service.workers.loop import each

POLL_S: Final = 30.0
"""A buyer who sees "please wait" looks again about as often."""


async def run_once(ctx: Context) -> int:
    """Ask about each; return 0, since waiting is no work that is left."""
    await each(await action_poller.waiting(ctx), partial(_poll, ctx))
    return 0


async def _poll(ctx: Context, payment: PaymentRow) -> None:
    with bind_correlation(
        f"payment-{payment.id.hex}",
        payment_id=str(payment.id),
        user_id=payment.user_id,
        provider=payment.provider,
    ):
        await action_poller.poll(ctx, payment)
