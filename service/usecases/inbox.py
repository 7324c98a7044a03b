"""Webhooks in: keep what a provider says, then ask it what is true.

An event is a hint that something has changed. What changed is read from the provider, and recorded
by the same code as the request and the completer use, so that whoever is first records it and the
others change nothing. That makes order, repeats and crashes harmless.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, Literal, cast

import msgspec
from msgspec.structs import replace

from service import metric_catalog as m
from service.domain.dispute import ImplausibleError
from service.domain.inbox import EventOutcome
from service.domain.payment import (
    CLOSED,
    OPERATED,
    REFUNDED_AND_FAILED,
    TAKEN_BACK,
    Charge,
    ChargeOutcome,
    Operation,
    PaymentStatus,
)
from service.domain.refund import RefundStatus
from service.errors import MalformedRequestError, NotFoundError, ServiceError, WebhookRefusedError
from service.ids import new_id
from service.logs import bind, correlation_id, get_logger
from service.providers.catalog import BY_NAME
from service.providers.port import NotSentError, OutcomeUnknownError
from service.providers.signature import SignatureError
from service.providers.webhooks import EventError
from service.retry import full_jitter_s
from service.store import inbox as store
from service.store import orphans as orphan_store
from service.store import payments
from service.store import refunds as refund_store
from service.store.database import RefusedError
from service.store.inbox import InboxEvent, NewEvent, Reopen
from service.store.payments import Attempt, PaymentRow
from service.usecases import disputes, orphans, provider_refunds, reversals
from service.usecases.attempts import record_provider_charge
from service.usecases.charge_owner import NotYetError, bears_out, find_owner
from service.usecases.context import Context
from service.usecases.refunds import reconcile_refund

_log = get_logger(__name__)

FIRST_RETRY_S: Final = 2.0
MAX_RETRY_S: Final = 21_600.0
"""An event that finds no payment is looked at again within 2 s, and at last within six hours."""

PARK_AFTER: Final = timedelta(days=3)
"""Then people see it: Stripe itself repeats a delivery for three days and no longer."""

PARK_TRIES: Final = 10
"""As many tries fit into the schedule's first 20 minutes: an event that waited for days because no
worker ran has had none, and is not left to people before it has had them."""

REOPEN_LEASE_S: Final = 60.0
"""How long a reopened attempt is ours alone: a question and a write follow, and the
completer comes after."""


_OPEN_REFUNDS: Final = frozenset({RefundStatus.PENDING, RefundStatus.UNKNOWN})
_ALIKE: Final = frozenset(
    {PaymentStatus.SUCCEEDED, PaymentStatus.AUTHORIZED, PaymentStatus.REQUIRES_ACTION}
)
"""Statuses that are called as the outcome of the charge is, and that may still change."""

REFUNDED: Final = "charge.refunded"
"""Stripe's event of a charge that was refunded, also in the dashboard; its status stays."""

_COUNTED: Final = frozenset({EventOutcome.FOREIGN, EventOutcome.MISMATCH})
"""Outcomes that the metrics count apart."""


class Delivery(msgspec.Struct, frozen=True):
    """A webhook request as it came; `headers` returns all its headers of a name."""

    provider: str
    headers: Callable[[str], Sequence[str]]
    body: bytes


ReceiptOutcome = Literal["accepted", "duplicate", "ignored"]


class Receipt(msgspec.Struct, frozen=True):
    """What became of a delivery: `accepted`, `duplicate` or `ignored` (none of ours)."""

    outcome: ReceiptOutcome
    event_id: str | None = None


async def receive(ctx: Context, delivery: Delivery) -> Receipt:
    """Keep an event durably. Raises NotFoundError, WebhookRefusedError or MalformedRequestError."""
    settings = ctx.settings.of_providers.get(delivery.provider)
    if delivery.provider not in ctx.providers or not (settings and settings.live_secrets):
        raise NotFoundError("No such webhook")
    outcome = "error"
    try:
        receipt = await _receive(ctx, delivery, settings.live_secrets)
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
    except disputes.NoPaymentError as error:
        await _put_off(ctx, event, str(error))
    except ImplausibleError as error:
        await _park(ctx, event, str(error)[:500])  # waiting makes no difference
    except (NotSentError, OutcomeUnknownError) as error:
        await _put_off(ctx, event, f"the provider does not say: {error}")
    except (ServiceError, RefusedError) as error:
        await _put_off(ctx, event, f"{type(error).__name__}: {error}")
    else:
        await store.processed(ctx.db, event, outcome, ctx.now())
        counted = outcome if outcome in _COUNTED else "ok"
        ctx.metrics.inc(m.WEBHOOK_EVENTS, provider=event.provider, outcome=counted)
        _log.info("webhook_processed", event_type=event.type, result=outcome)


async def _receive(ctx: Context, delivery: Delivery, secrets: Sequence[str]) -> Receipt:
    now, spec = ctx.now(), BY_NAME[delivery.provider]
    signatures = delivery.headers(spec.signature.header)
    try:
        spec.signature.verify(signatures, delivery.body, secrets, now.timestamp())
    except SignatureError as error:
        _log.warning("webhook_refused", provider=delivery.provider, reason=str(error))
        raise WebhookRefusedError from None
    try:
        event = spec.read_event(delivery.body)
    except EventError as error:
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
    if event.attempts >= PARK_TRIES and now - event.received_at >= PARK_AFTER:
        await _park(ctx, event, reason)
        return
    wait_s = full_jitter_s(event.attempts, first_s=FIRST_RETRY_S, most_s=MAX_RETRY_S)
    await store.put_off(ctx.db, event, until=now + timedelta(seconds=wait_s), error=reason)
    ctx.metrics.inc(m.WEBHOOK_EVENTS, provider=event.provider, outcome="error")
    _log.warning("webhook_put_off", event_type=event.type, reason=reason, wait_s=wait_s)


async def _park(ctx: Context, event: InboxEvent, reason: str) -> None:
    await store.park(ctx.db, event, error=reason, at=ctx.now())
    ctx.metrics.inc(m.WEBHOOK_EVENTS, provider=event.provider, outcome="parked")
    _log.error("webhook_parked", event_type=event.type, reason=reason)


async def _apply(ctx: Context, event: InboxEvent) -> EventOutcome:
    if event.provider not in ctx.providers:
        raise NotYetError("the provider is not configured here")
    match event.kind:
        case "dispute" if event.object_ref is not None:
            return await disputes.sync(ctx, event.provider, event.object_ref)
        case "fraud_warning" if event.object_ref is not None:
            return await disputes.warn(ctx, event.provider, event.object_ref)
        case "refund":
            return await _refund(ctx, event)
        case _:
            return await _charge(ctx, event)


async def _refund(ctx: Context, event: InboxEvent) -> EventOutcome:
    due = await store.find_refund(ctx.db, event)
    if due is None:
        return await _foreign_refund(ctx, event)
    refund = due.refund
    bind(payment_id=str(refund.payment_id), refund_id=str(refund.id), user_id=due.user_id)
    is_open = refund.status in _OPEN_REFUNDS
    if is_open:
        await reconcile_refund(ctx, due)
        recorded = await refund_store.get_refund(ctx.db, refund.id)
        if recorded is None or recorded.status == event.claimed_status:
            return EventOutcome.RECORDED
        # Another process has recorded it, perhaps by an older answer.
    payment = await payments.get_payment(ctx.db, refund.payment_id)
    followed = await _sync_refunds(ctx, payment) if payment else EventOutcome.UNCHANGED
    return EventOutcome.RECORDED if is_open else followed


async def _foreign_refund(ctx: Context, event: InboxEvent) -> EventOutcome:
    """Adopt a refund that none of ours is: it was made in the provider's dashboard."""
    orphan = await orphan_store.of_charge(ctx.db, event.provider, event.charge_ref)
    if orphan is not None:
        return await orphans.poll_refund(ctx, orphan)
    payment = await find_owner(ctx, event)
    if payment is None:
        return EventOutcome.FOREIGN
    bind(payment_id=str(payment.id), user_id=payment.user_id)
    if not payment.captured_minor:  # it was captured before, and no event of that has come
        outcome = await _of_payment(ctx, event, payment)
        payment = await payments.get_payment(ctx.db, payment.id) or payment
        if payment.status in CLOSED or payment.failure_code == REFUNDED_AND_FAILED:
            return outcome
    if payment.provider_ref != event.charge_ref or not payment.captured_minor:
        raise NotYetError("no refund of ours")
    return await _sync_refunds(ctx, payment)


async def _sync_refunds(ctx: Context, payment: PaymentRow) -> EventOutcome:
    return EventOutcome.of(changed=await provider_refunds.sync(ctx, payment))


async def _charge(ctx: Context, event: InboxEvent) -> EventOutcome:
    payment = await find_owner(ctx, event)
    if payment is None:
        return EventOutcome.FOREIGN
    bind(payment_id=str(payment.id), user_id=payment.user_id)
    return await _of_payment(ctx, event, payment)


async def _of_payment(ctx: Context, event: InboxEvent, payment: PaymentRow) -> EventOutcome:
    status = PaymentStatus(payment.status)
    stray = payment.provider_ref not in (None, event.charge_ref)
    if stray or status in CLOSED:
        return await orphans.check_charge(ctx, payment, event.charge_ref)
    if status is PaymentStatus.SUCCEEDED:
        return await _captured(ctx, event, payment)
    if status in (PaymentStatus.REVIEW, PaymentStatus.REVERSED):
        return EventOutcome.UNCHANGED  # for a person to decide, or done
    charge = await ctx.providers[event.provider].get_charge(event.charge_ref)
    if not bears_out(event, payment, charge):
        return EventOutcome.MISMATCH
    return await _advance(ctx, event, payment, charge)


async def _captured(ctx: Context, event: InboxEvent, payment: PaymentRow) -> EventOutcome:
    """Look what became of a charge that was booked, if its event says something new of it.

    The event of its own success comes with every payment, and is not worth a call.
    """
    if event.type == REFUNDED:
        return await _sync_refunds(ctx, payment)
    if event.claimed_status == ChargeOutcome.SUCCEEDED:
        return EventOutcome.UNCHANGED
    charge = await ctx.providers[event.provider].get_charge(event.charge_ref)
    return EventOutcome.of(changed=await reversals.reverse_capture(ctx, payment, charge))


async def _advance(
    ctx: Context, event: InboxEvent, payment: PaymentRow, charge: Charge
) -> EventOutcome:
    attempt = await payments.open_attempt(ctx.db, payment.id)
    if attempt is None:
        attempt = await reopen(ctx, event.event_id, payment, charge)
        if attempt is None:
            return EventOutcome.UNCHANGED
        return await record_provider_update(ctx, attempt, charge)
    if attempt.operation != "charge":
        return await _record_operation(ctx, attempt, charge)
    if attempt.payment.provider_ref is None and charge.attempt_id != attempt.id:
        # The attempt under way will name its own charge; then this one is known to be another.
        raise NotYetError("the charge is of another attempt")
    return await record_provider_update(ctx, attempt, charge)


async def _record_operation(ctx: Context, attempt: Attempt, charge: Charge) -> EventOutcome:
    if charge.outcome is OPERATED.get(attempt.operation) or charge.captured:
        return await record_provider_update(ctx, attempt, charge)
    if charge.outcome in (ChargeOutcome.AUTHORIZED, ChargeOutcome.REQUIRES_ACTION):
        return EventOutcome.UNCHANGED  # the operation has not happened yet
    raise NotYetError(f"{attempt.operation} is under way, and the charge is {charge.outcome}")


async def reopen(ctx: Context, cause: str, payment: PaymentRow, charge: Charge) -> Attempt | None:
    """Give a payment that waits for the buyer or for us an attempt; None if nothing changed.

    `cause` names the event, or what else found the change. Raises NotYetError.
    A charge that the provider has canceled is a cancellation. Any other update of a payment that
    waits for the buyer makes it `processing` again. One that is held was captured, as much of it as
    the provider says: in its dashboard, for instance.
    """
    status = PaymentStatus(payment.status)
    if not _is_update(status, charge.outcome):
        return None
    held = status is PaymentStatus.AUTHORIZED
    canceled = charge.outcome is ChargeOutcome.CANCELED or (
        held and charge.outcome is ChargeOutcome.DECLINED
    )
    captured = held and charge.captured > 0
    process = status is PaymentStatus.REQUIRES_ACTION and not canceled
    now = ctx.now()
    item = Reopen(
        attempt_id=new_id(now),
        payment_id=payment.id,
        status=status,
        operation="cancel" if canceled else "capture" if captured else "charge",
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


def _is_update(status: PaymentStatus, outcome: ChargeOutcome) -> bool:
    if status is PaymentStatus.REQUIRES_ACTION:
        return outcome is not ChargeOutcome.REQUIRES_ACTION
    if status is PaymentStatus.AUTHORIZED:
        return outcome in (ChargeOutcome.SUCCEEDED, *TAKEN_BACK)
    raise NotYetError(f"the payment is {status} and has no attempt")  # it has just got its outcome


async def record_provider_update(ctx: Context, attempt: Attempt, charge: Charge) -> EventOutcome:
    """Record what the provider says of its charge now.

    Raises NotYetError if another has recorded it by an older answer, which this one contradicts.
    """
    recorded = await record_provider_charge(ctx, attempt, charge)
    if not recorded.applied:
        present = await payments.get_payment(ctx.db, attempt.payment.id)
        if present and present.status in _ALIKE and present.status.value != charge.outcome.value:
            raise NotYetError(f"the payment is {present.status} by an older answer")
    return EventOutcome.RECORDED
