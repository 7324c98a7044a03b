"""Webhooks in: keep what a provider says, then ask it what is true.

An event is a hint that something has changed. What changed is read from the provider, and settled
by the same code as the request and the completer use, so that whoever comes first settles and the
others change nothing. That makes order, repeats and crashes harmless.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, cast

import msgspec
from msgspec.structs import replace

from service import metric_catalog as m
from service.domain.payment import (
    CLOSED,
    Charge,
    ChargeOutcome,
    Operation,
    PaymentStatus,
)
from service.domain.refund import RefundStatus
from service.errors import MalformedRequestError, NotFoundError, ServiceError, WebhookRefusedError
from service.ids import new_id
from service.logs import bind, correlation_id, get_logger
from service.providers.port import NotSentError, OutcomeUnknownError
from service.store import inbox as store
from service.store import orphans as orphan_store
from service.store import payments
from service.store.database import RefusedError
from service.store.inbox import EventRow, InboxEvent, NewEvent, Reopen
from service.store.payments import PaymentRow
from service.usecases import orphans
from service.usecases.context import Context
from service.usecases.refunds import resolve_refund
from service.usecases.resolve import settle_answer
from service.usecases.settle import Attempt
from service.webhooks import events, signature

_log = get_logger(__name__)

FIRST_RETRY_S: Final = 2.0
MAX_RETRY_S: Final = 21_600.0
"""An event that finds no payment is looked at again after 2 s, and at last every six hours."""

PARK_AFTER: Final = timedelta(days=3)
"""Then people see it: Stripe itself repeats a delivery for three days and no longer."""

REOPEN_LEASE_S: Final = 60.0
"""How long a reopened attempt is ours alone: one write follows, and the completer comes after."""

PARKED_SHOWN: Final = 100

_OPEN_REFUNDS: Final = frozenset({RefundStatus.PENDING, RefundStatus.UNKNOWN})
_FITS: Final[dict[Operation, ChargeOutcome]] = {
    "capture": ChargeOutcome.SUCCEEDED,
    "cancel": ChargeOutcome.CANCELED,
    "expire": ChargeOutcome.CANCELED,
}
"""What a charge looks like when an operation on it was done."""

NO_NEWS, SETTLED = "no_news", "settled"


class NotYetError(Exception):
    """The event can't be processed now; the message says what is missing."""


class Delivery(msgspec.Struct, frozen=True):
    """A webhook request as it came; `signatures` are all its signature headers."""

    provider: str
    signatures: Sequence[str]
    body: bytes


class Receipt(msgspec.Struct, frozen=True):
    """What became of a delivery: `accepted`, `duplicate` or `ignored` (none of ours)."""

    outcome: str
    event_id: str | None = None


async def receive(ctx: Context, delivery: Delivery) -> Receipt:
    """Keep an event durably. Raises NotFoundError, WebhookRefusedError or MalformedRequestError."""
    secrets = ctx.settings.webhook_secrets(delivery.provider)
    if not secrets or delivery.provider not in ctx.providers:
        raise NotFoundError("No such webhook")
    outcome = "error"
    try:
        receipt = await _receive(ctx, delivery, secrets)
        outcome = receipt.outcome
    except WebhookRefusedError:
        outcome = "refused"
        raise
    except MalformedRequestError:
        outcome = "malformed"
        raise
    else:
        return receipt
    finally:
        ctx.metrics.inc(m.WEBHOOK_REQUESTS, provider=delivery.provider, outcome=outcome)


async def process(ctx: Context, event: InboxEvent) -> None:
    """Process one event, or put it off. A crash in between repeats it, which changes nothing."""
    try:
        outcome = await _apply(ctx, event)
    except NotYetError as error:
        await _put_off(ctx, event, str(error))
    except (NotSentError, OutcomeUnknownError) as error:
        await _put_off(ctx, event, f"the provider does not say: {error}")
    except (ServiceError, RefusedError) as error:
        await _put_off(ctx, event, f"{type(error).__name__}: {error}")
    else:
        await store.processed(ctx.db, event, outcome, ctx.now())
        ctx.metrics.inc(m.WEBHOOK_EVENTS, provider=event.provider, outcome="ok")
        _log.info("webhook_processed", event_type=event.type, result=outcome)


async def list_parked(ctx: Context) -> list[EventRow]:
    """Return the events that found no payment, the latest first."""
    return await store.parked(ctx.db, limit=PARKED_SHOWN)


async def _receive(ctx: Context, delivery: Delivery, secrets: Sequence[str]) -> Receipt:
    now = ctx.now()
    try:
        signature.verify(delivery.signatures, delivery.body, secrets, now.timestamp())
    except signature.SignatureError as error:
        _log.warning("webhook_refused", provider=delivery.provider, reason=str(error))
        raise WebhookRefusedError from None
    try:
        event = events.read(delivery.provider, delivery.body)
    except events.EventError as error:
        _log.error("webhook_malformed", provider=delivery.provider, reason=str(error))
        raise MalformedRequestError(f"The event cannot be read: {error}") from None
    if event is None:
        return Receipt("ignored")
    fields = msgspec.structs.asdict(event)
    item = NewEvent(provider=delivery.provider, correlation_id=correlation_id(), at=now, **fields)
    new = await ctx.receive_events.submit(item)
    _log.info("webhook_received", provider=item.provider, event_type=item.type, duplicate=not new)
    return Receipt("accepted" if new else "duplicate", event.event_id)


async def _put_off(ctx: Context, event: InboxEvent, reason: str) -> None:
    now, reason = ctx.now(), reason[:500]
    if now - event.received_at >= PARK_AFTER:
        await store.park(ctx.db, event, error=reason, at=now)
        ctx.metrics.inc(m.WEBHOOK_EVENTS, provider=event.provider, outcome="parked")
        _log.error("webhook_parked", event_type=event.type, reason=reason)
        return
    wait_s = min(FIRST_RETRY_S * 2 ** min(event.attempts - 1, 20), MAX_RETRY_S)
    await store.put_off(ctx.db, event, until=now + timedelta(seconds=wait_s), error=reason)
    ctx.metrics.inc(m.WEBHOOK_EVENTS, provider=event.provider, outcome="error")
    _log.warning("webhook_put_off", event_type=event.type, reason=reason, wait_s=wait_s)


async def _apply(ctx: Context, event: InboxEvent) -> str:
    if event.provider not in ctx.providers:
        raise NotYetError("the provider is not configured here")
    return await (_refund(ctx, event) if event.kind == "refund" else _charge(ctx, event))


async def _refund(ctx: Context, event: InboxEvent) -> str:
    due = await store.find_refund(ctx.db, event)
    if due is None:
        if event.refund_id is not None and await orphan_store.is_refunded_by(
            ctx.db, event.refund_id, event.provider, event.charge_ref
        ):
            return NO_NEWS  # its own worker asks until it knows
        raise NotYetError("no refund of ours")
    refund = due.refund
    bind(payment_id=str(refund.payment_id), refund_id=str(refund.id), user_id=due.user_id)
    if refund.status not in _OPEN_REFUNDS:
        return NO_NEWS
    await resolve_refund(ctx, due)
    return SETTLED


async def _charge(ctx: Context, event: InboxEvent) -> str:
    payment_id = await store.locate_payment(ctx.db, event)
    payment = await payments.get_payment(ctx.db, payment_id) if payment_id else None
    if payment is None:
        raise NotYetError("no payment of ours")
    bind(payment_id=str(payment.id), user_id=payment.user_id)
    status = PaymentStatus(payment.status)
    stray = payment.provider_ref not in (None, event.charge_ref)
    if stray or status in CLOSED:
        return await orphans.look(ctx, payment, event.charge_ref)
    if status in (PaymentStatus.SUCCEEDED, PaymentStatus.REVIEW):
        return NO_NEWS  # done, or for a person to decide
    charge = await ctx.providers[event.provider].get_charge(event.charge_ref)
    return await _advance(ctx, event, payment, charge)


async def _advance(ctx: Context, event: InboxEvent, payment: PaymentRow, charge: Charge) -> str:
    due = await payments.open_attempt(ctx.db, payment.id)
    if due is None:
        attempt = await reopen(ctx, event.event_id, payment, charge)
        if attempt is None:
            return NO_NEWS
        return await settle_news(ctx, attempt, charge)
    attempt = Attempt(due.attempt_id, due.operation, due.payment, due.checks)
    if attempt.operation != "charge":
        return await _settle_operation(ctx, attempt, charge)
    if due.payment.provider_ref is None and event.attempt_id != attempt.id:
        # The attempt under way will name its own charge; then this one is known to be another.
        raise NotYetError("the charge is of another attempt")
    return await settle_news(ctx, attempt, charge)


async def _settle_operation(ctx: Context, attempt: Attempt, charge: Charge) -> str:
    if charge.outcome is _FITS.get(attempt.operation):
        return await settle_news(ctx, attempt, charge)
    if charge.outcome in (ChargeOutcome.AUTHORIZED, ChargeOutcome.REQUIRES_ACTION):
        return NO_NEWS  # the operation has not happened yet
    raise NotYetError(f"{attempt.operation} is under way, and the charge is {charge.outcome}")


async def reopen(ctx: Context, cause: str, payment: PaymentRow, charge: Charge) -> Attempt | None:
    """Give a payment that waits for the buyer or for us an attempt; None if nothing changed.

    `cause` is the event or whatever else brought the news. Raises NotYetError.
    A charge that the provider has given up is a cancellation. Any other news of a payment that
    waits for the buyer makes it `processing` again.
    """
    status = PaymentStatus(payment.status)
    if not _is_news(status, charge.outcome):
        return None
    canceled = charge.outcome is ChargeOutcome.CANCELED
    process = status is PaymentStatus.REQUIRES_ACTION and not canceled
    now = ctx.now()
    item = Reopen(
        attempt_id=new_id(now),
        payment_id=payment.id,
        status=status,
        operation="cancel" if canceled else "charge",
        process=process,
        cause=cause,
        correlation_id=correlation_id(),
        at=now,
        until=now + timedelta(seconds=REOPEN_LEASE_S),
    )
    if not await store.reopen(ctx.db, item):
        raise NotYetError("another was faster")
    present = PaymentStatus.PROCESSING if process else status
    operation = cast("Operation", item.operation)
    return Attempt(item.attempt_id, operation, replace(payment, status=present))


def _is_news(status: PaymentStatus, outcome: ChargeOutcome) -> bool:
    if status is PaymentStatus.REQUIRES_ACTION:
        return outcome is not ChargeOutcome.REQUIRES_ACTION
    if status is PaymentStatus.AUTHORIZED:
        return outcome in (ChargeOutcome.SUCCEEDED, ChargeOutcome.CANCELED)
    raise NotYetError(f"the payment is {status} and has no attempt")  # it has just been settled


async def settle_news(ctx: Context, attempt: Attempt, charge: Charge) -> str:
    """Settle an attempt by what the provider says of its charge now."""
    await settle_answer(ctx, attempt, charge)
    return SETTLED
