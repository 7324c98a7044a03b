"""Refund a payment, in part or in full: reserve, ask the provider, record the outcome."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from service import metric_catalog as m
from service.domain import ledger
from service.domain.money import Money
from service.domain.refund import RefundStatus
from service.errors import IdempotencyKeyInFlightError, StoreUnavailableError
from service.events import REFUND_REACHED
from service.ids import new_id
from service.logs import bind, correlation_id, get_logger
from service.providers.port import NotSentError, OutcomeUnknownError, RefundRequest, RefundResult
from service.retry import full_jitter_s
from service.store import refunds as store
from service.store.database import RefusedError
from service.store.idempotency import BeginOutcome
from service.store.payments import PaymentRow
from service.store.record_outcomes import EntryRow, RecordedOutcome
from service.store.refunds import BeginRefund, DueRefund, RecordRefundOutcome, RefundRow
from service.usecases.context import Context
from service.usecases.disputes import sync_of_charge
from service.usecases.idempotency import (
    CommandResponse,
    Lease,
    Request,
    present_answer,
    run,
    stored_answer,
)
from service.usecases.payments import get_payment
from service.usecases.record_outcome import MAX_UNKNOWN_WAIT_S
from service.views import encode, refund_view

_log = get_logger(__name__)

DISPUTED: Final = "charge_disputed"
"""The providers' code for a refund that they refuse because the buyer's bank is at it."""
_UNDECIDED: Final = frozenset({RefundStatus.UNKNOWN, RefundStatus.REVIEW})


class Refund(msgspec.Struct, frozen=True):
    """A request to refund; `amount_minor` None means all that is left."""

    request: Request
    payment_id: UUID
    amount_minor: int | None
    reason: str


async def refund(ctx: Context, command: Refund) -> CommandResponse:
    """Refund, or return the answer that this key already got.

    201 with the refund as it ended, also if it failed; 202 while the outcome is not known.
    """
    payment = await get_payment(ctx, command.payment_id, command.request.caller)
    bind(payment_id=str(payment.id), provider=payment.provider)

    async def created(begun: BeginOutcome) -> CommandResponse:
        return await _send(ctx, _due(item, begun, payment))

    with ctx.providers[payment.provider].admit():
        item = BeginRefund(
            **command.request.claim(ctx),
            refund_id=new_id(ctx.now()),
            payment_id=payment.id,
            amount_minor=command.amount_minor,
            reason=command.reason,
        )
        begin = partial(store.begin_refund, ctx.db, item)
        return await run(ctx, begin, "payment", created=created, resumed=partial(_resume, ctx))


async def list_refunds(ctx: Context, payment_id: UUID, user_id: str) -> list[RefundRow]:
    """Return the refunds of the user's payment, oldest first."""
    await get_payment(ctx, payment_id, user_id)
    return await store.list_refunds(ctx.db, payment_id)


async def reconcile_refund(ctx: Context, due: DueRefund) -> CommandResponse:
    """Ask the provider what became of a refund; if it has no record, send it under the same key.

    Raises OutcomeUnknownError without an answer, if the refund is another's to resolve.
    """
    request = _request(due)
    try:
        provider = ctx.providers[due.provider]
        result = await provider.find_refund(request) or await provider.refund(request)
        return await _record_result(ctx, due, result)
    except (NotSentError, OutcomeUnknownError, RefusedError) as error:
        return await _record_unknown(ctx, due, str(error), checks=due.checks + 1)


def _due(item: BeginRefund, begun: BeginOutcome, payment: PaymentRow) -> DueRefund:
    if begun.amount is None or payment.provider_ref is None:
        raise StoreUnavailableError  # a refund is of a captured payment
    row = new_row(payment, item.refund_id, begun.amount.minor, item.reason, item.at)
    return replace(due_of(payment, row), lease=item.locked_until)


def new_row(
    payment: PaymentRow, refund_id: UUID, amount_minor: int, reason: str, at: datetime
) -> RefundRow:
    """Return a refund of a payment that begins now."""
    return RefundRow(
        id=refund_id,
        payment_id=payment.id,
        status=RefundStatus.PENDING,
        amount_minor=amount_minor,
        currency=payment.currency,
        reason=reason,
        failure_code=None,
        created_at=at,
        updated_at=at,
    )


def due_of(payment: PaymentRow, row: RefundRow) -> DueRefund:
    """Return a refund with what the provider needs of its payment; it is nobody's to resolve."""
    charge_ref = payment.provider_ref or ""
    return DueRefund(0, correlation_id(), payment.provider, payment.user_id, charge_ref, row)


async def _send(ctx: Context, due: DueRefund) -> CommandResponse:
    try:
        result = await ctx.providers[due.provider].refund(_request(due))
    except NotSentError:
        code = "provider_unavailable"
        return await _record_outcome(ctx, due, RefundStatus.FAILED, None, code, supposed=True)
    except OutcomeUnknownError as error:
        return await _record_unknown(ctx, due, str(error), checks=0)
    return await _record_result(ctx, due, result)


async def _resume(ctx: Context, refund_id: UUID, lease: Lease) -> CommandResponse:
    due = await store.claim_due_refunds(
        ctx.db, at=lease.at, until=lease.until, limit=1, refund_id=refund_id
    )
    if not due:
        raise IdempotencyKeyInFlightError
    return await reconcile_refund(ctx, due[0])


async def _record_result(ctx: Context, due: DueRefund, result: RefundResult) -> CommandResponse:
    asked = Money(due.refund.amount_minor, due.refund.currency)
    if not result.succeeded:
        if result.failure_code == DISPUTED:  # we lack a dispute whose event is still on its way
            await sync_of_charge(ctx, due.provider, due.charge_ref)
        return await _record_outcome(
            ctx, due, RefundStatus.FAILED, result.provider_ref, result.failure_code or "rejected"
        )
    if result.amount != asked:
        return await _record_unknown(ctx, due, "amount_mismatch", checks=due.checks + 1)
    return await _record_outcome(ctx, due, RefundStatus.SUCCEEDED, result.provider_ref, None)


async def _record_unknown(
    ctx: Context, due: DueRefund, reason: str, *, checks: int
) -> CommandResponse:
    if due.lease is None:
        raise OutcomeUnknownError(reason)
    review = checks >= ctx.settings.unknown_max_checks and due.refund.status == RefundStatus.UNKNOWN
    status = RefundStatus.REVIEW if review else RefundStatus.UNKNOWN
    _log.warning("refund_outcome_unknown", reason=reason, checks=checks)
    first_s = ctx.settings.unknown_retry_s
    wait_s = full_jitter_s(checks + 1, first_s=first_s, most_s=MAX_UNKNOWN_WAIT_S)
    next_check_at = ctx.now() + timedelta(seconds=wait_s)
    code = "outcome_unknown"
    return await _record_outcome(ctx, due, status, None, code, next_check_at, supposed=True)


async def _record_outcome(
    ctx: Context,
    due: DueRefund,
    status: RefundStatus,
    provider_ref: str | None,
    failure_code: str | None,
    next_check_at: datetime | None = None,
    *,
    supposed: bool = False,
) -> CommandResponse:
    """Record it; `supposed` as in record_outcome.py: it counts while the refund is still ours."""
    row = replace(due.refund, status=status, failure_code=failure_code, updated_at=ctx.now())
    answer = CommandResponse(202 if status in _UNDECIDED else 201, encode(refund_view(row)))
    item = outcome_item(due, row, provider_ref, answer, next_check_at)
    item = replace(item, lease=due.lease if supposed else None)
    recorded = await store.record_refund_outcome(ctx.db, item)
    if not recorded.applied:
        return await present_answer(ctx.db, row.id)
    count_order(ctx, recorded)
    _log.info(REFUND_REACHED[status], refund_id=str(row.id), amount_minor=row.amount_minor)
    return answer if recorded.answer_kept else await stored_answer(ctx.db, row.id) or answer


def count_order(ctx: Context, recorded: RecordedOutcome) -> None:
    """Count an order that was refunded in full just now."""
    if recorded.order_refunded:
        ctx.metrics.inc(m.ORDERS, status="refunded")


def outcome_item(
    due: DueRefund,
    row: RefundRow,
    provider_ref: str | None,
    answer: CommandResponse | None = None,
    next_check_at: datetime | None = None,
) -> RecordRefundOutcome:
    """Return what the store writes; `row` is the refund as it leaves it."""
    amount = Money(due.refund.amount_minor, due.refund.currency)
    succeeded = row.status == RefundStatus.SUCCEEDED
    entries = ledger.refund(due.provider, amount) if succeeded else ()
    return RecordRefundOutcome(
        refund_id=row.id,
        payment_id=row.payment_id,
        status=row.status,
        provider_ref=provider_ref,
        failure_code=row.failure_code,
        next_check_at=next_check_at,
        ledger_id=new_id(),
        entries=json_entries(entries),
        correlation_id=due.correlation_id,
        at=row.updated_at,
        response_status=answer.status if answer else None,
        response_body=answer.body.decode() if answer else None,
    )


def json_entries(entries: Iterable[ledger.Entry]) -> str:
    """Return the entries of a transaction as the store's JSON array."""
    return encode(EntryRow.of(entries)).decode()


def _request(due: DueRefund) -> RefundRequest:
    return RefundRequest(
        refund_id=due.refund.id,
        charge_ref=due.charge_ref,
        amount=Money(due.refund.amount_minor, due.refund.currency),
    )
