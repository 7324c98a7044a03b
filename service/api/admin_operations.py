"""The outbox, reconciliation and the seals of the audit trails over HTTP, for operators."""

from typing import Final

from service.admin_views import difference_view, message_view, run_view, seal_view
from service.api.admin_schemas import (
    DifferencePage,
    DifferenceQuery,
    OutboxPage,
    OutboxQuery,
    PageQuery,
    Reason,
    RunPage,
    SealPage,
    SealQuery,
)
from service.api.app_keys import CONTEXT
from service.errors import NotFoundError
from service.usecases import admin_outbox, audit, reconcile
from service.web.endpoint import Call, Nothing, Reply

MAX_ID_DIGITS: Final = 18
"""Any message's id has fewer: bigint ends at 19 digits."""


async def list_outbox(call: Call[Nothing, OutboxQuery]) -> Reply:
    """List messages of the outbox, oldest first."""
    query = call.query
    found = await admin_outbox.list_messages(
        call.app(CONTEXT), state=query.state, after=query.cursor or 0, limit=query.limit + 1
    )
    page = found[: query.limit]
    cursor = page[-1].id if len(found) > query.limit else None
    return Reply(200, OutboxPage(tuple(map(message_view, page)), cursor))


async def replay_message(call: Call[Reason, Nothing]) -> Reply:
    """Send a message once more."""
    message = await admin_outbox.replay(
        call.app(CONTEXT),
        number(call.path_slugs["message"], "No such message"),
        actor=call.caller.user_id,
        reason=call.body.note,
    )
    return Reply(200, message_view(message))


async def request_run(call: Call[Reason, Nothing]) -> Reply:
    """Ask for a reconciliation run."""
    run = await reconcile.request_run(
        call.app(CONTEXT), actor=call.caller.user_id, reason=call.body.note
    )
    return Reply(202, run_view(run))


async def get_run(call: Call[Nothing, Nothing]) -> Reply:
    """Read a reconciliation run."""
    return Reply(200, run_view(await reconcile.get_run(call.app(CONTEXT), call.ids["run_id"])))


async def list_runs(call: Call[Nothing, PageQuery]) -> Reply:
    """List reconciliation runs, newest first."""
    query = call.query
    found = await reconcile.list_runs(call.app(CONTEXT), before=query.cursor, limit=query.limit + 1)
    page = found[: query.limit]
    cursor = page[-1].id if len(found) > query.limit else None
    return Reply(200, RunPage(tuple(map(run_view, page)), cursor))


async def list_differences(call: Call[Nothing, DifferenceQuery]) -> Reply:
    """List differences, oldest first."""
    query = call.query
    found = await reconcile.list_differences(
        call.app(CONTEXT),
        shown=query.state,
        kind=query.kind,
        after=query.cursor,
        limit=query.limit + 1,
    )
    page = found[: query.limit]
    cursor = page[-1].id if len(found) > query.limit else None
    return Reply(200, DifferencePage(tuple(map(difference_view, page)), cursor))


async def list_seals(call: Call[Nothing, SealQuery]) -> Reply:
    """List seals of the audit trails, newest first."""
    query = call.query
    found = await audit.list_seals(call.app(CONTEXT), before=query.cursor, limit=query.limit + 1)
    page = found[: query.limit]
    cursor = page[-1].id if len(found) > query.limit else None
    return Reply(200, SealPage(tuple(map(seal_view, page)), cursor))


def number(word: str, missing: str) -> int:
    """Return the id in a path; one that can't be any names nothing: NotFoundError."""
    if not (word.isascii() and word.isdecimal() and len(word) <= MAX_ID_DIGITS):
        raise NotFoundError(missing)
    return int(word)
