"""Payments that wait for their buyer: ask the provider, in case the webhook was lost."""

from datetime import timedelta
from typing import Final

from service.logs import get_logger
from service.providers.port import NotSentError, OutcomeUnknownError
from service.store import payments as store
from service.store.payments import PaymentRow
from service.usecases.charge_owner import NotYetError
from service.usecases.context import Context
from service.usecases.sync_charge import sync_charge

_log = get_logger(__name__)

PATIENCE: Final = timedelta(seconds=30)
"""A webhook comes within seconds; who waits this long for one has lost it."""
WINDOW: Final = timedelta(hours=1)
"""A bank's page is good for minutes. After an hour a webhook or the expiry ends the wait."""
LIMIT: Final = 100
"""Look-ups a run: the newest, whose buyers are still there, come first."""
CAUSE: Final = "asked"


async def waiting(ctx: Context) -> list[PaymentRow]:
    """Return the payments to ask about."""
    now = ctx.now()
    return await store.waiting_for_buyers(
        ctx.db, since=now - WINDOW, before=now - PATIENCE, limit=LIMIT
    )


async def poll(ctx: Context, payment: PaymentRow) -> bool:
    """Ask the provider how a payment stands; return whether that changed it.

    The same guards as a webhook's hold here: whoever comes second changes nothing.
    """
    try:
        return await sync_charge(ctx, payment, CAUSE)
    except (NotSentError, OutcomeUnknownError, NotYetError) as error:
        _log.info("payment_action_pending", reason=str(error))
        return False
