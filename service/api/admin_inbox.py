"""Parked events of providers, over HTTP: an operator's decisions."""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from service import errors as e
from service.admin_views import ParkedEvent, parked_view
from service.api.common import ADMIN, CONTEXT, Note, by
from service.store import inbox as store
from service.store.inbox import Dismissal
from service.store.rows import Page, whole
from service.usecases import admin_inbox
from service.web.endpoint import Call, Endpoint, Nothing, Reply
from service.web.parse import TEXT

PARKED_SHOWN: Final = 100

Provider = Annotated[str, Meta(min_length=1, max_length=64, pattern=TEXT, examples=["simulator"])]


class ParkedEventRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A parked event, and why an operator decides on it."""

    provider: Provider
    event_id: Annotated[
        str, Meta(pattern=r"^[\x20-\x7e]{1,255}(?!\n)$", examples=["evt_1Pgc76B7WZ01zgkW"])
    ]
    note: Note


class DismissParked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which parked events to dismiss, and why: those of a provider that all of it is true of.

    Events that name a payment or a refund of ours are left out unless `named` is true.
    """

    provider: Provider
    note: Note
    type: (
        Annotated[
            str,
            Meta(pattern=r"^[\x21-\x7e]{1,255}(?!\n)$", description="Only events of this type"),
        ]
        | None
    ) = None
    parked_before: (
        Annotated[datetime, Meta(tz=True, description="Only those parked before")] | None
    ) = None
    named: Annotated[
        bool, Meta(description="Also those that name a payment or a refund of ours")
    ] = False


class Dismissed(msgspec.Struct, frozen=True):
    """How many events were dismissed; `more` if there may be others, for another call."""

    dismissed: int
    more: bool


async def list_parked_webhooks(call: Call[Nothing, Nothing]) -> Reply:
    """List parked events, the latest first; at most a hundred."""
    found = await store.parked(call.app(CONTEXT).db, limit=PARKED_SHOWN)
    return Reply(200, whole(found).map(parked_view))


async def replay_parked_webhook(call: Call[ParkedEventRef, Nothing]) -> Reply:
    """Process a parked event again."""
    return await _end_parked(call, again=True)


async def dismiss_parked_webhook(call: Call[ParkedEventRef, Nothing]) -> Reply:
    """Dismiss a parked event."""
    return await _end_parked(call, again=False)


async def dismiss_parked_webhooks(call: Call[DismissParked, Nothing]) -> Reply:
    """Dismiss parked events in bulk."""
    body = call.body
    which = Dismissal(body.provider, body.type, body.parked_before, body.named)
    count = await admin_inbox.dismiss_parked(call.app(CONTEXT), which, by(call))
    return Reply(200, Dismissed(count, more=count == admin_inbox.DISMISSED_AT_ONCE))


async def _end_parked(call: Call[ParkedEventRef, Nothing], *, again: bool) -> Reply:
    row = await admin_inbox.end_parked(
        call.app(CONTEXT),
        call.body.provider,
        call.body.event_id,
        by(call),
        again=again,
    )
    return Reply(200, parked_view(row))


_WEBHOOKS: Final = "/v1/admin/webhooks"
_REFUSED: Final = (e.NotFoundError, e.IllegalTransitionError)
ROUTES: Final = (
    Endpoint(
        "GET", f"{_WEBHOOKS}/parked", list_parked_webhooks, ADMIN, {200: Page[ParkedEvent]},
        tag="admin",
    ),
    Endpoint(
        "POST", f"{_WEBHOOKS}/replay", replay_parked_webhook, ADMIN, {200: ParkedEvent},
        tag="admin", errors=_REFUSED,
    ),
    Endpoint(
        "POST", f"{_WEBHOOKS}/dismiss", dismiss_parked_webhook, ADMIN, {200: ParkedEvent},
        tag="admin", errors=_REFUSED,
    ),
    Endpoint(
        "POST", f"{_WEBHOOKS}/dismiss-all", dismiss_parked_webhooks, ADMIN, {200: Dismissed},
        tag="admin",
    ),
)  # fmt: skip
