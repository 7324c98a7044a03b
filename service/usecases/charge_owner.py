"""Whose a charge is: only the provider's own record of it decides, never an event."""

from uuid import UUID

from service.domain.payment import Charge
from service.logs import get_logger
from service.providers.port import ChargeOpenError, NoSuchChargeError
from service.store import inbox as store
from service.store import payments
from service.store.inbox import InboxEvent
from service.store.payments import PaymentRow
from service.usecases.context import Context

_log = get_logger(__name__)


class NotYetError(Exception):
    """The event can't be processed now; the message says what is missing."""


async def find_owner(ctx: Context, event: InboxEvent) -> PaymentRow | None:
    """Return the payment of an event's charge, or the one that the event names; None if foreign.

    Raises NotYetError where the event or the record names a payment that isn't here: it may be on
    its way, or lost; a stranger's charge names none.
    """
    payment_id = await store.locate_payment(ctx.db, event) or await _on_record(ctx, event)
    if payment_id is None:
        return None
    payment = await payments.get_payment(ctx.db, payment_id)
    if payment is None or payment.provider != event.provider:
        raise NotYetError("no payment of ours")
    return payment


async def _on_record(ctx: Context, event: InboxEvent) -> UUID | None:
    """Return the payment that the provider has on record for an event's charge."""
    if event.payment_id is not None:
        raise NotYetError("no payment of ours")
    try:
        charge = await ctx.providers[event.provider].get_charge(event.charge_ref)
    except ChargeOpenError as error:
        return error.payment_id
    except NoSuchChargeError:
        return None
    return charge.payment_id


def is_owner(payment: PaymentRow, charge: Charge) -> bool:
    """Return whether a charge was made for a payment: we have its name, or it names the payment."""
    known = payment.provider_ref is not None and payment.provider_ref == charge.provider_ref
    return known or charge.payment_id == payment.id


def bears_out(event: InboxEvent, payment: PaymentRow, charge: Charge) -> bool:
    """Return whether the provider's record of the charge agrees with the event; log if not."""
    claims = (event.payment_id, charge.payment_id), (event.attempt_id, charge.attempt_id)
    contradicted = any(claimed not in (None, recorded) for claimed, recorded in claims)
    known = payment.provider_ref == event.charge_ref
    if is_owner(payment, charge) and (known or not contradicted):
        return True
    log_mismatch(payment, event.charge_ref, charge)
    return False


def log_mismatch(payment: PaymentRow, charge_ref: str, charge: Charge) -> None:
    """Log that an event names a charge as a payment's, and the provider's record does not."""
    _log.error(
        "charge_mismatch",
        payment_id=str(payment.id),
        provider_ref=charge_ref,
        recorded_payment_id=str(charge.payment_id) if charge.payment_id else None,
        recorded_attempt_id=str(charge.attempt_id) if charge.attempt_id else None,
    )
