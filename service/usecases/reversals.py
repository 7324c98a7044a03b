"""What a provider takes back after it was final, booked as a movement of its own.

Nothing that was booked is ever edited: a refund that comes back, and a capture that is taken back,
each get a reversing transaction in the ledger, at once.
"""

from collections.abc import Iterable
from typing import Any

from service import metric_catalog as m
from service.domain import ledger
from service.domain.ledger import Entry
from service.domain.money import Money
from service.domain.payment import TAKEN_BACK, Charge
from service.ids import new_id
from service.logs import correlation_id, get_logger
from service.providers.port import ProviderRefund
from service.store import reversals as store
from service.store.payments import PaymentRow
from service.store.refunds import RefundRow
from service.store.reversals import ReverseCapture, ReverseRefund
from service.usecases.context import Context
from service.usecases.refunds import json_entries

_log = get_logger(__name__)


async def reverse_refund(
    ctx: Context, payment: PaymentRow, refund: RefundRow, found: ProviderRefund
) -> bool:
    """Take back a refund that has succeeded: the shop has its money again; False if done before.

    The buyer has neither money nor games then, so a person decides (the review queue).
    """
    amount = Money(refund.amount_minor, refund.currency)
    entries = ledger.refund_reversal(payment.provider, amount)
    facts = _reversal(ctx, found.failure_code or "reversed", entries)
    item = ReverseRefund(refund_id=refund.id, **facts)
    if not await store.reverse_refund(ctx.db, payment.id, item):
        return False
    ctx.metrics.inc(m.REVERSALS, kind="refund", provider=payment.provider)
    _log.error(
        "refund_reversed",
        refund_id=str(refund.id),
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        failure_code=item.failure_code,
    )
    return True


async def reverse_capture(ctx: Context, payment: PaymentRow, charge: Charge) -> bool:
    """Take back a capture: its order is canceled and its games are revoked; False if done before.

    Raises nothing of its own; a charge that still stands changes nothing.
    """
    if charge.outcome not in TAKEN_BACK:
        return False
    amount = Money(payment.captured_minor, payment.currency)
    entries = ledger.capture_reversal(payment.provider, amount)
    facts = _reversal(ctx, charge.failure_code or charge.outcome.value, entries)
    item = ReverseCapture(payment_id=payment.id, **facts)
    if not await store.reverse_capture(ctx.db, item):
        return False
    ctx.metrics.inc(m.REVERSALS, kind="capture", provider=payment.provider)
    _log.error(
        "payment_reversed",
        payment_id=str(payment.id),
        user_id=payment.user_id,
        provider=payment.provider,
        amount_minor=payment.captured_minor,
        currency=payment.currency,
        failure_code=item.failure_code,
        declined=False,
    )
    return True


def _reversal(ctx: Context, failure_code: str, entries: Iterable[Entry]) -> dict[str, Any]:
    return {
        "reversal_id": new_id(),
        "failure_code": failure_code,
        "ledger_id": new_id(),
        "entries": json_entries(entries),
        "correlation_id": correlation_id(),
        "at": ctx.now(),
    }
