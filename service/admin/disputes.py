"""The commands about disputes and warnings of fraud."""

import argparse
from typing import Any
from uuid import UUID

import msgspec

from service.admin.commands import OK, Arguments, answered, command_of
from service.admin.output import Output
from service.dispute_views import admin_dispute_view
from service.domain.dispute import DisputeStatus
from service.domain.money import Money
from service.usecases import dispute_review, disputes
from service.usecases.context import Context


def add_looking(add: Any, paged: list[Any]) -> None:
    """Add the command that changes nothing."""
    listed = add("disputes", parents=paged, help="list disputes, newest first")
    listed.add_argument("--status", choices=[status.value for status in DisputeStatus])
    listed.add_argument("--before", type=UUID, metavar="ID", help="the last id of the page before")
    listed.set_defaults(command=show_disputes)


def add_acting(add: Any, parents: list[Any]) -> None:
    """Add the commands that end what waits for a person."""
    one = add("dispute-close", parents=parents, help="end the review of a dispute")
    one.add_argument("--revoke", action="store_true", help="take the games of a lost one back")
    one.add_argument("--provider-ref", metavar="REF", help="the dispute's id at the provider")
    warning = add("warning-close", parents=parents, help="end a warning of fraud")
    for command, kind in ((one, "dispute"), (warning, "warning")):
        command.add_argument("id", type=UUID)
        command.add_argument("--key", help="an idempotency key, to repeat the command safely")
        command.set_defaults(command=close, kind=kind)


async def show_disputes(ctx: Context, arguments: Arguments, out: Output) -> int:
    """Print disputes, newest first."""
    found = await disputes.page(
        ctx, status=arguments.status, before=arguments.before, limit=arguments.limit
    )
    items = list(map(admin_dispute_view, found))
    if not out.document({"disputes": items}):
        out.table(
            "Disputes",
            ("id", "status", "payment", "provider", "ref", "amount", "why", "answer by", "review"),
            [
                (i.id, i.status, i.payment_id, i.provider, i.provider_ref,
                 Money(i.amount, i.currency), i.reason, i.evidence_due_at, i.review)
                for i in items
            ],
        )  # fmt: skip
    return OK


async def close(ctx: Context, arguments: argparse.Namespace, out: Output) -> int:
    """End the review of a dispute, or a warning of fraud."""
    if arguments.kind == "warning":
        command = command_of(arguments, "close")
        return answered(await dispute_review.close_warning(ctx, command), arguments, out)
    verb = "revoke" if arguments.revoke else "close"
    closing = dispute_review.Close(
        **msgspec.structs.asdict(command_of(arguments, verb)), revoke=arguments.revoke
    )
    return answered(await dispute_review.close_dispute(ctx, closing), arguments, out)
