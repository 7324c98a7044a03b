"""Money that could not be refunded: an operator retries the refund, or records how it was done.

`retry` tries the refund once more. `record` books it as done, on the operator's evidence: a refund
made at the provider's dashboard, or a transfer. Of two operators one decides.
"""

from functools import partial
from uuid import UUID

from msgspec.structs import replace

from service.domain.refund import RefundStatus
from service.errors import NotFoundError
from service.ids import new_id
from service.logs import bind, correlation_id, get_logger
from service.store import manual_refunds as store
from service.store import orphans as orphan_store
from service.store import payments as payment_store
from service.store import refunds as refund_store
from service.store.manual_refunds import EndOrphan, RefundAgain
from service.store.orphans import OrphanRow
from service.store.refunds import DueRefund, RefundRow
from service.usecases import refunds
from service.usecases.admin_commands import AdminCommand, decide, invalid
from service.usecases.context import Context
from service.usecases.idempotency import CommandResponse
from service.views import encode, orphan_view, refund_view

_log = get_logger(__name__)

OK, ACCEPTED = 200, 202
MISSING = "a failed refund of what can't be granted, or one that came back"


async def retry_orphan(ctx: Context, command: AdminCommand) -> CommandResponse:
    """Have the refund of an orphan in review tried again; 202 with the orphan.

    Raises NotFoundError, IllegalTransitionError and the errors of idempotency keys.
    """
    orphan = await _orphan(ctx, command.subject_id)
    again = replace(orphan, status="pending", attempts=0, refund_ref=None)
    return await _end_orphan(ctx, command, again, "retry", "orphan_capture_retried")


async def record_orphan(ctx: Context, command: AdminCommand) -> CommandResponse:
    """Book an orphan in review as refunded; 200 with the orphan. Raises as retry_orphan."""
    orphan = await _orphan(ctx, command.subject_id)
    ref = _reference(command, orphan.amount_minor)
    done = replace(orphan, status="refunded", refund_ref=ref, last_error=None)
    return await _end_orphan(ctx, command, done, "record", "orphan_capture_refunded")


async def retry_refund(ctx: Context, command: AdminCommand) -> CommandResponse:
    """Begin a refund in place of one that failed for good or came back; 202 with it.

    The completer sends it. Raises as retry_orphan.
    """
    due, came_back = await _refund_in_place(ctx, command.subject_id)
    answer = CommandResponse(ACCEPTED, encode(refund_view(due.refund)))
    again = _again(command, due, came_back=came_back)
    begin = partial(store.refund_again, ctx.db, item=again)
    answered = await decide(ctx, command, answer, "refund", "retry", begin, ready=MISSING)
    if not answered.replayed:
        _log.warning("refund_retried_by_operator", actor=command.actor)
    return answered


async def record_refund(ctx: Context, command: AdminCommand) -> CommandResponse:
    """Book what replaces a refund that failed for good or came back; 200 with it."""
    due, came_back = await _refund_in_place(ctx, command.subject_id)
    ref = _reference(command, due.refund.amount_minor)
    row = replace(due.refund, status=RefundStatus.SUCCEEDED)
    answer = CommandResponse(OK, encode(refund_view(row)))
    again = _again(command, due, came_back=came_back)
    outcome_item = refunds.outcome_item(due, row, ref)
    begin = partial(store.refund_again, ctx.db, item=again, outcome_item=outcome_item)
    count = partial(refunds.count_order, ctx)
    answered = await decide(
        ctx, command, answer, "refund", "record", begin, ready=MISSING, count=count
    )
    if not answered.replayed:
        _log.warning("refund_recorded_by_operator", actor=command.actor)
    return answered


async def dismiss_refund(ctx: Context, command: AdminCommand) -> CommandResponse:
    """End the question what becomes of a refund that came back; 200 with the refund.

    The buyer gets no money: he has it already, or keeps his games. Raises as retry_orphan.
    """
    refund = await refund_store.get_refund(ctx.db, command.subject_id)
    if refund is None or not refund.reversed:
        raise NotFoundError("No such refund: only one that came back is to be decided")
    bind(payment_id=str(refund.payment_id))
    answer = CommandResponse(OK, encode(refund_view(refund)))
    begin = partial(store.dismiss_reversal, ctx.db, at=ctx.now())
    answered = await decide(ctx, command, answer, "refund", "dismiss", begin, ready=MISSING)
    if not answered.replayed:
        _log.warning("refund_dismissed_by_operator", actor=command.actor)
    return answered


async def _orphan(ctx: Context, orphan_id: UUID) -> OrphanRow:
    orphan = await orphan_store.get(ctx.db, orphan_id)
    if orphan is None:
        raise NotFoundError("No such orphan capture")
    bind(payment_id=str(orphan.payment_id), provider=orphan.provider)
    return orphan


async def _end_orphan(
    ctx: Context, command: AdminCommand, row: OrphanRow, action: str, event: str
) -> CommandResponse:
    pending = row.status == "pending"
    item = EndOrphan(
        id=row.id,
        provider=row.provider,
        status=row.status,
        event=event,
        refund_ref=row.refund_ref,
        retry_keys=[new_id(ctx.now())] if pending else [],
        correlation_id=correlation_id(),
        at=ctx.now(),
    )
    answer = CommandResponse(ACCEPTED if pending else OK, encode(orphan_view(row)))
    begin = partial(store.end_orphan, ctx.db, item=item)
    answered = await decide(ctx, command, answer, "orphan_capture", action, begin)
    if not answered.replayed:
        _log.warning(
            "orphan_capture_decided_by_operator",
            orphan_id=str(row.id),
            actor=command.actor,
            outcome=row.status,
        )
    return answered


async def _refund_in_place(ctx: Context, refund_id: UUID) -> tuple[DueRefund, bool]:
    """Return a new refund in place of one that failed, and whether that one had come back.

    It is of what came back, or else of all that is left.
    """
    failed = await refund_store.get_refund(ctx.db, refund_id)
    payment = await payment_store.get_payment(ctx.db, failed.payment_id) if failed else None
    if failed is None or payment is None or not _may_replace(failed):
        raise NotFoundError(f"No such refund: only {MISSING} can be tried again")
    bind(payment_id=str(payment.id), provider=payment.provider)
    now = ctx.now()
    # What is left as we look; the store refuses if that is 0 or has changed since.
    left = payment.captured_minor - payment.refunded_minor - payment.refund_pending_minor
    amount_minor = failed.amount_minor if failed.reversed else left
    row = refunds.new_row(payment, new_id(now), amount_minor, failed.reason, now)
    return refunds.due_of(payment, row), failed.reversed


def _may_replace(failed: RefundRow) -> bool:
    return failed.reversed or failed.reason == "grant_failed"


def _again(command: AdminCommand, due: DueRefund, *, came_back: bool) -> RefundAgain:
    return RefundAgain(
        refund_id=due.refund.id,
        payment_id=due.refund.payment_id,
        in_place_of=command.subject_id,
        reversed=came_back,
        reason=due.refund.reason,
        provider=due.provider,
        amount_minor=due.refund.amount_minor,
        correlation_id=due.correlation_id,
        at=due.refund.created_at,
    )


def _reference(command: AdminCommand, amount_minor: int) -> str:
    evidence = command.evidence
    # Nothing is left if it was decided before: then this is a repeat, or is refused for that.
    if amount_minor and evidence.amount_minor not in (None, amount_minor):
        raise invalid("$.evidence.amount", f"what is to be refunded is {amount_minor}")
    if evidence.provider_ref is None:
        raise invalid("$.evidence.provider_ref", "needed: name the refund or the transfer")
    return evidence.provider_ref
