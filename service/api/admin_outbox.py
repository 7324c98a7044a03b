"""The outbox over HTTP, for operators."""

from typing import Final

import msgspec

from service import errors as e
from service.admin_views import OutboxMessageView, message_view
from service.api.common import ADMIN, CONTEXT, NumberedPageQuery, Reason, by, number
from service.store import outbox as store
from service.store.outbox import State
from service.store.rows import Page
from service.usecases import deliver
from service.web.endpoint import Call, Endpoint, Nothing, Reply


class OutboxQuery(NumberedPageQuery, frozen=True, forbid_unknown_fields=True):
    """Which messages; `stuck` have failed three times or more and are still tried."""

    state: State = "stuck"


async def list_outbox(call: Call[Nothing, OutboxQuery]) -> Reply:
    """List messages of the outbox, oldest first."""
    found = await store.list_messages(call.app(CONTEXT).db, **msgspec.structs.asdict(call.query))
    return Reply(200, found.map(message_view))


async def replay_message(call: Call[Reason, Nothing]) -> Reply:
    """Send a message again."""
    message_id = number(call.path_slugs["message"], "No such message")
    message = await deliver.replay(call.app(CONTEXT), message_id, by(call))
    return Reply(200, message_view(message))


_OUTBOX: Final = "/v1/admin/outbox"
ROUTES: Final = (
    Endpoint("GET", _OUTBOX, list_outbox, ADMIN, {200: Page[OutboxMessageView]}, tag="admin"),
    Endpoint(
        "POST", f"{_OUTBOX}/{{message}}/replay", replay_message, ADMIN, {200: OutboxMessageView},
        tag="admin", errors=(e.IllegalTransitionError,),
    ),
)  # fmt: skip
