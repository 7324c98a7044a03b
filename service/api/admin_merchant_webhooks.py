"""Merchants' endpoints over HTTP, for operators."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from service.admin_views import DeliveryView, EndpointView, delivery_view, endpoint_view
from service.api.admin_operations import number
from service.api.admin_schemas import Note, Reason
from service.api.app_keys import CONTEXT
from service.api.schemas import Cursor, Limit
from service.merchant_webhooks.catalog import EventType
from service.store.merchant_webhook_endpoints import Change
from service.usecases import merchant_webhook_endpoints
from service.usecases.merchant_webhook_endpoints import Register, WithSecret
from service.web.endpoint import Call, Nothing, Reply
from service.web.parse import TEXT

Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2_048,
        pattern=TEXT,
        description="https, without user, password and fragment; at a public address",
        examples=["https://shop.example/hooks/payments"],
    ),
]
EventTypes = Annotated[
    tuple[EventType, ...],
    Meta(
        min_length=1, max_length=50, description="What it receives; without, all of today's types"
    ),
]
Description = Annotated[
    str, Meta(max_length=200, pattern=TEXT, examples=["the shop's order service"])
]


class RegisterEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merchant's endpoint; it receives events from its registration on."""

    url: Url
    note: Note
    event_types: EventTypes | None = None
    description: Description = ""


class ChangeEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change. A disabled endpoint receives nothing; pending deliveries wait."""

    note: Note
    url: Url | None = None
    event_types: EventTypes | None = None
    description: Description | None = None
    status: Literal["enabled", "disabled"] | None = None


class EndpointQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which endpoints."""

    state: Literal["enabled", "disabled", "closed", "all"] = "all"
    cursor: Cursor | None = None
    limit: Limit = 20


class DeliveryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deliveries; `exhausted` are those that are not tried any more by themselves."""

    state: Literal["pending", "succeeded", "exhausted", "canceled", "all"] = "all"
    cursor: Annotated[int, Meta(ge=1, le=2**62)] | None = None
    limit: Limit = 20


class EndpointWithSecret(msgspec.Struct, frozen=True):
    """An endpoint and its secret, which is never shown again.

    Until `previous_until`, if it is set, messages are signed with the secret before as well.
    """

    endpoint: EndpointView
    secret: str
    previous_until: datetime | None


class EndpointPage(msgspec.Struct, frozen=True):
    """Endpoints, oldest first; `next_cursor` is null on the last page."""

    endpoints: tuple[EndpointView, ...]
    next_cursor: UUID | None


class DeliveryPage(msgspec.Struct, frozen=True):
    """Deliveries, newest first; `next_cursor` is null on the last page."""

    deliveries: tuple[DeliveryView, ...]
    next_cursor: int | None


async def register_endpoint(call: Call[RegisterEndpoint, Nothing]) -> Reply:
    """Register an endpoint."""
    body = call.body
    made = await merchant_webhook_endpoints.register(
        call.app(CONTEXT),
        Register(body.url, body.event_types, body.description),
        actor=call.caller.user_id,
        reason=body.note,
    )
    return Reply(201, _with_secret(made))


async def list_endpoints(call: Call[Nothing, EndpointQuery]) -> Reply:
    """List endpoints, oldest first."""
    query = call.query
    found = await merchant_webhook_endpoints.list_endpoints(
        call.app(CONTEXT), shown=query.state, after=query.cursor, limit=query.limit + 1
    )
    page = found[: query.limit]
    cursor = page[-1].id if len(found) > query.limit else None
    return Reply(200, EndpointPage(tuple(map(endpoint_view, page)), cursor))


async def get_endpoint(call: Call[Nothing, Nothing]) -> Reply:
    """Read an endpoint."""
    row = await merchant_webhook_endpoints.get(call.app(CONTEXT), call.ids["endpoint_id"])
    return Reply(200, endpoint_view(row))


async def change_endpoint(call: Call[ChangeEndpoint, Nothing]) -> Reply:
    """Change an endpoint."""
    body = call.body
    types = None if body.event_types is None else [*dict.fromkeys(body.event_types)]
    row = await merchant_webhook_endpoints.change(
        call.app(CONTEXT),
        call.ids["endpoint_id"],
        Change(body.url, types, body.description, body.status),  # type: ignore[arg-type]
        actor=call.caller.user_id,
        reason=body.note,
    )
    return Reply(200, endpoint_view(row))


async def close_endpoint(call: Call[Reason, Nothing]) -> Reply:
    """Close an endpoint for good."""
    row = await merchant_webhook_endpoints.close(
        call.app(CONTEXT),
        call.ids["endpoint_id"],
        actor=call.caller.user_id,
        reason=call.body.note,
    )
    return Reply(200, endpoint_view(row))


async def rotate_secret(call: Call[Reason, Nothing]) -> Reply:
    """Give an endpoint a new secret."""
    made = await merchant_webhook_endpoints.rotate(
        call.app(CONTEXT),
        call.ids["endpoint_id"],
        actor=call.caller.user_id,
        reason=call.body.note,
    )
    return Reply(200, _with_secret(made))


async def send_test(call: Call[Reason, Nothing]) -> Reply:
    """Send an endpoint a test event."""
    row = await merchant_webhook_endpoints.send_test(
        call.app(CONTEXT),
        call.ids["endpoint_id"],
        actor=call.caller.user_id,
        reason=call.body.note,
    )
    return Reply(202, delivery_view(row))


async def list_deliveries(call: Call[Nothing, DeliveryQuery]) -> Reply:
    """List an endpoint's deliveries, newest first."""
    query = call.query
    found = await merchant_webhook_endpoints.list_deliveries(
        call.app(CONTEXT),
        call.ids["endpoint_id"],
        state=query.state,
        before=query.cursor,
        limit=query.limit + 1,
    )
    page = found[: query.limit]
    cursor = page[-1].id if len(found) > query.limit else None
    return Reply(200, DeliveryPage(tuple(map(delivery_view, page)), cursor))


async def redeliver(call: Call[Reason, Nothing]) -> Reply:
    """Send a delivery once more."""
    row = await merchant_webhook_endpoints.redeliver(
        call.app(CONTEXT),
        call.ids["endpoint_id"],
        number(call.path_slugs["delivery"], "No such delivery"),
        actor=call.caller.user_id,
        reason=call.body.note,
    )
    return Reply(202, delivery_view(row))


def _with_secret(made: WithSecret) -> EndpointWithSecret:
    return EndpointWithSecret(
        endpoint_view(made.endpoint), made.secret, made.endpoint.previous_until
    )
