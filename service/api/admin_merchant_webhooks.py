"""Merchants' endpoints over HTTP, for operators."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from service import errors as e
from service.admin_views import DeliveryView, EndpointView, delivery_view, endpoint_view
from service.api.common import (
    ADMIN,
    CONTEXT,
    Note,
    NumberedPageQuery,
    PageQuery,
    Reason,
    by,
    number,
)
from service.merchant_webhooks.catalog import EventType
from service.store import merchant_webhook_endpoints as store
from service.store.merchant_webhook_deliveries import State
from service.store.merchant_webhook_endpoints import Change, Shown
from service.store.rows import Page, Timestamp
from service.usecases import merchant_webhook_endpoints
from service.usecases.merchant_webhook_endpoints import Register, WithSecret
from service.web.endpoint import Call, Endpoint, Nothing, Reply
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


class EndpointQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which endpoints."""

    state: Shown = "all"


class DeliveryQuery(NumberedPageQuery, frozen=True, forbid_unknown_fields=True):
    """Which deliveries; `exhausted` are those that are not tried any more by themselves."""

    state: State = "all"


class EndpointWithSecret(msgspec.Struct, frozen=True):
    """An endpoint and its secret, which is never shown again.

    Until `previous_until`, if it is set, messages are signed with the secret before as well.
    """

    endpoint: EndpointView
    secret: str
    previous_until: Timestamp | None


async def register_webhook_endpoint(call: Call[RegisterEndpoint, Nothing]) -> Reply:
    """Register a merchant's endpoint."""
    body = call.body
    made = await merchant_webhook_endpoints.register(
        call.app(CONTEXT),
        Register(body.url, body.event_types, body.description),
        by(call),
    )
    return Reply(201, _with_secret(made))


async def list_webhook_endpoints(call: Call[Nothing, EndpointQuery]) -> Reply:
    """List merchants' endpoints, oldest first."""
    found = await store.list_endpoints(call.app(CONTEXT).db, **msgspec.structs.asdict(call.query))
    return Reply(200, found.map(endpoint_view))


async def get_webhook_endpoint(call: Call[Nothing, Nothing]) -> Reply:
    """Read a merchant's endpoint."""
    row = await merchant_webhook_endpoints.get(call.app(CONTEXT), call.ids["endpoint_id"])
    return Reply(200, endpoint_view(row))


async def change_webhook_endpoint(call: Call[ChangeEndpoint, Nothing]) -> Reply:
    """Change, disable or enable an endpoint."""
    body = call.body
    types = None if body.event_types is None else [*dict.fromkeys(body.event_types)]
    row = await merchant_webhook_endpoints.change(
        call.app(CONTEXT),
        call.ids["endpoint_id"],
        Change(body.url, types, body.description, body.status),  # type: ignore[arg-type]
        by(call),
    )
    return Reply(200, endpoint_view(row))


async def close_webhook_endpoint(call: Call[Reason, Nothing]) -> Reply:
    """Close an endpoint."""
    row = await merchant_webhook_endpoints.close(
        call.app(CONTEXT), call.ids["endpoint_id"], by(call)
    )
    return Reply(200, endpoint_view(row))


async def rotate_webhook_secret(call: Call[Reason, Nothing]) -> Reply:
    """Give an endpoint a new secret."""
    made = await merchant_webhook_endpoints.rotate(
        call.app(CONTEXT), call.ids["endpoint_id"], by(call)
    )
    return Reply(200, _with_secret(made))


async def test_webhook_endpoint(call: Call[Reason, Nothing]) -> Reply:
    """Send an endpoint a test event."""
    row = await merchant_webhook_endpoints.send_test(
        call.app(CONTEXT), call.ids["endpoint_id"], by(call)
    )
    return Reply(202, delivery_view(row))


async def list_webhook_deliveries(call: Call[Nothing, DeliveryQuery]) -> Reply:
    """List an endpoint's deliveries, newest first."""
    found = await merchant_webhook_endpoints.list_deliveries(
        call.app(CONTEXT), call.ids["endpoint_id"], **msgspec.structs.asdict(call.query)
    )
    return Reply(200, found.map(delivery_view))


async def redeliver_webhook(call: Call[Reason, Nothing]) -> Reply:
    """Send a delivery again."""
    row = await merchant_webhook_endpoints.redeliver(
        call.app(CONTEXT),
        call.ids["endpoint_id"],
        number(call.path_slugs["delivery"], "No such delivery"),
        by(call),
    )
    return Reply(202, delivery_view(row))


def _with_secret(made: WithSecret) -> EndpointWithSecret:
    return EndpointWithSecret(
        endpoint_view(made.endpoint), made.secret, made.endpoint.previous_until
    )


_ALL: Final = "/v1/admin/webhook-endpoints"
_ONE: Final = f"{_ALL}/{{endpoint_id}}"
_TAG: Final = "merchant webhooks"
ROUTES: Final = (
    Endpoint(
        "POST", _ALL, register_webhook_endpoint, ADMIN, {201: EndpointWithSecret}, tag=_TAG,
        errors=(e.WebhooksNotSetUpError, e.WebhookUrlTakenError, e.WebhookEndpointsFullError),
    ),
    Endpoint("GET", _ALL, list_webhook_endpoints, ADMIN, {200: Page[EndpointView]}, tag=_TAG),
    Endpoint("GET", _ONE, get_webhook_endpoint, ADMIN, {200: EndpointView}, tag=_TAG),
    Endpoint(
        "PATCH", _ONE, change_webhook_endpoint, ADMIN, {200: EndpointView}, tag=_TAG,
        errors=(e.WebhookUrlTakenError,),
    ),
    Endpoint("POST", f"{_ONE}/close", close_webhook_endpoint, ADMIN, {200: EndpointView}, tag=_TAG),
    Endpoint(
        "POST", f"{_ONE}/rotate", rotate_webhook_secret, ADMIN, {200: EndpointWithSecret},
        tag=_TAG, errors=(e.WebhooksNotSetUpError,),
    ),
    Endpoint(
        "POST", f"{_ONE}/test", test_webhook_endpoint, ADMIN, {202: DeliveryView}, tag=_TAG,
        errors=(e.IllegalTransitionError,),
    ),
    Endpoint(
        "GET", f"{_ONE}/deliveries", list_webhook_deliveries, ADMIN, {200: Page[DeliveryView]},
        tag=_TAG,
    ),
    Endpoint(
        "POST", f"{_ONE}/deliveries/{{delivery}}/redeliver", redeliver_webhook, ADMIN,
        {202: DeliveryView}, tag=_TAG, errors=(e.IllegalTransitionError,),
    ),
)  # fmt: skip
