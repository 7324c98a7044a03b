"""What waits for a person, and the resolution of payments and refunds in review with evidence."""

from functools import partial
from typing import Literal

from msgspec.structs import replace

from service.domain.payment import REFUNDED_AND_FAILED, PaymentDecision, PaymentStatus
from service.domain.refund import RefundStatus
from service.errors import NotFoundError
from service.ids import new_id
from service.logs import bind, get_logger
from service.store import payments as payment_store
from service.store import refunds as refund_store
from service.store import review as store
from service.store.payments import Attempt, PaymentRow
from service.store.refunds import RefundRow
from service.usecases import refunds
from service.usecases.admin_commands import AdminCommand, decide, invalid
from service.usecases.context import Context
from service.usecases.idempotency import CommandResponse
from service.usecases.record_outcome import announce, outcome_item
from service.views import encode, payment_view, refund_view

_log = get_logger(__name__)

OK = 200
MISMATCHES = frozenset({"amount_mismatch", "capture_mismatch"})
"""Reviews in which the provider named another amount: who says `succeeded` must name it too."""


class Resolve(AdminCommand, frozen=True, kw_only=True):
    """A decision on a payment or refund in review."""

    outcome: Literal["succeeded", "failed", "canceled"]


async def resolve_payment(ctx: Context, command: Resolve) -> CommandResponse:
    """Resolve a payment in review; 200 with the payment.

    `succeeded` books exactly our amount, and all that follows from it. Raises NotFoundError,
    IllegalTransitionError, ValidationFailedError and the errors of idempotency keys.
    """
    payment = await payment_store.get_payment(ctx.db, command.subject_id)
    if payment is None:
        raise NotFoundError("No such payment")
    bind(payment_id=str(payment.id), provider=payment.provider)
    _check(command, payment)
    decision = _decision(command, payment)
    resolved = _resolved(ctx, command, payment, decision)
    answer = CommandResponse(OK, encode(payment_view(resolved)))
    item = outcome_item(ctx, Attempt(new_id(), "review", payment), decision, resolved, None)
    begin = partial(store.resolve_payment, ctx.db, outcome_item=item)
    count = partial(announce, ctx, resolved)
    answered = await decide(
        ctx, command, answer, "payment", f"resolve_{command.outcome}", begin, count=count
    )
    if not answered.replayed:
        _log.warning("payment_resolved_by_operator", actor=command.actor, outcome=command.outcome)
    return answered


async def resolve_refund(ctx: Context, command: Resolve) -> CommandResponse:
    """Resolve a refund in review; 200 with the refund. Raises as resolve_payment."""
    if command.outcome == "canceled":
        raise invalid("$.outcome", "a refund has succeeded or failed")
    refund = await refund_store.get_refund(ctx.db, command.subject_id)
    payment = await payment_store.get_payment(ctx.db, refund.payment_id) if refund else None
    if refund is None or payment is None:
        raise NotFoundError("No such refund")
    bind(payment_id=str(payment.id), provider=payment.provider)
    if command.evidence.amount_minor not in (None, refund.amount_minor):
        raise invalid("$.evidence.amount", f"the refund is of {refund.amount_minor}")
    row = _resolved_refund(ctx, command, refund)
    answer = CommandResponse(OK, encode(refund_view(row)))
    item = replace(
        refunds.outcome_item(refunds.due_of(payment, refund), row, command.evidence.provider_ref),
        of_status=[RefundStatus.REVIEW],
    )
    begin = partial(store.resolve_refund, ctx.db, outcome_item=item)
    count = partial(refunds.count_order, ctx)
    answered = await decide(
        ctx, command, answer, "refund", f"resolve_{command.outcome}", begin, count=count
    )
    if not answered.replayed:
        _log.warning("refund_resolved_by_operator", actor=command.actor, outcome=command.outcome)
    return answered


def _check(command: Resolve, payment: PaymentRow) -> None:
    """Raise ValidationFailedError for evidence that does not carry the outcome."""
    evidence = command.evidence
    known = payment.provider_ref
    if known is not None and evidence.provider_ref not in (None, known):
        raise invalid("$.evidence.provider_ref", f"the provider's charge is {known}")
    if command.outcome != "succeeded":
        return
    if payment.failure_code == REFUNDED_AND_FAILED:
        raise invalid("$.outcome", "the charge has failed: nothing of it is ours")
    if known is None and evidence.provider_ref is None:
        raise invalid("$.evidence.provider_ref", "needed: refunds are made on the charge")
    if evidence.amount_minor is None and payment.failure_code in MISMATCHES:
        raise invalid("$.evidence.amount", "needed: the provider named another amount before")
    if evidence.amount_minor not in (None, payment.amount_minor):
        raise invalid(
            "$.evidence.amount",
            f"the payment is of {payment.amount_minor}; give another amount back at the provider"
            " and resolve as failed",
        )


def _decision(command: Resolve, payment: PaymentRow) -> PaymentDecision:
    status = PaymentStatus(command.outcome)
    if status is PaymentStatus.SUCCEEDED:
        return PaymentDecision(status, payment.amount_minor)
    return PaymentDecision(status, 0, f"review_{status}")


def _resolved(
    ctx: Context, command: Resolve, payment: PaymentRow, decision: PaymentDecision
) -> PaymentRow:
    return replace(
        payment,
        status=decision.status,
        captured_minor=decision.captured_minor,
        provider_ref=payment.provider_ref or command.evidence.provider_ref,
        failure_code=decision.failure_code,
        updated_at=ctx.now(),
    )


def _resolved_refund(ctx: Context, command: Resolve, refund: RefundRow) -> RefundRow:
    failure_code = None if command.outcome == "succeeded" else "review_failed"
    return replace(refund, status=command.outcome, failure_code=failure_code, updated_at=ctx.now())
