"""Disputes and warnings of fraud that wait for a person: an operator closes them with evidence."""

from functools import partial

from msgspec.structs import replace

from service.admin_views import admin_dispute_view, fraud_warning_view
from service.errors import NotFoundError
from service.logs import bind, correlation_id, get_logger
from service.store import dispute_review as store
from service.store import disputes, fraud_warnings
from service.store.dispute_review import CloseDispute, CloseWarning
from service.usecases.admin_commands import AdminCommand, decide, invalid
from service.usecases.context import Context
from service.usecases.idempotency import CommandResponse
from service.views import encode

_log = get_logger(__name__)

OK = 200
WAITING = "waiting for a person"
LOST = "lost"


class Close(AdminCommand, frozen=True, kw_only=True):
    """A decision on a dispute; `revoke` takes the games of its payment back."""

    revoke: bool = False


async def close_dispute(ctx: Context, command: Close) -> CommandResponse:
    """End the review of a dispute; 200 with it.

    Raises NotFoundError, IllegalTransitionError, ValidationFailedError and the errors of
    idempotency keys.
    """
    row = await disputes.get(ctx.db, command.subject_id)
    if row is None:
        raise NotFoundError("No such dispute")
    bind(payment_id=str(row.payment_id), provider=row.provider)
    if command.revoke and row.status != LOST:
        raise invalid(
            "$.revoke", f"games are taken back when a dispute is lost; it is {row.status}"
        )
    answer = CommandResponse(
        OK, encode(admin_dispute_view(replace(row, review=None, updated_at=ctx.now())))
    )
    item = CloseDispute(
        id=row.id,
        review=row.review or "",  # never ready, unless this is the same request again
        revoke=command.revoke,
        correlation_id=correlation_id(),
        at=ctx.now(),
    )
    action = "revoke" if command.revoke else "close"
    begin = partial(store.close_dispute, ctx.db, item=item)
    answered = await decide(ctx, command, answer, "dispute", action, begin, ready=WAITING)
    if not answered.replayed:
        _log.warning("dispute_closed_by_operator", actor=command.actor, outcome=action)
    return answered


async def close_warning(ctx: Context, command: AdminCommand) -> CommandResponse:
    """End a warning of fraud; 200 with it. Raises as close_dispute."""
    row = await fraud_warnings.get(ctx.db, command.subject_id)
    if row is None:
        raise NotFoundError("No such warning")
    bind(payment_id=str(row.payment_id), provider=row.provider)
    done = replace(row, status="closed", updated_at=ctx.now())
    answer = CommandResponse(OK, encode(fraud_warning_view(done)))
    item = CloseWarning(row.id, correlation_id(), ctx.now())
    begin = partial(store.close_warning, ctx.db, item=item)
    answered = await decide(ctx, command, answer, "fraud_warning", "close", begin, ready=WAITING)
    if not answered.replayed:
        _log.warning("fraud_warning_closed_by_operator", actor=command.actor)
    return answered
