"""Merchants' endpoints for operators: register, change, rotate, close, try, look, send again."""

import re
from datetime import timedelta
from typing import Final, get_args
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from service import addresses
from service.errors import (
    IllegalTransitionError,
    NotFoundError,
    ProblemField,
    ValidationFailedError,
    WebhookEndpointsFullError,
    WebhooksNotSetUpError,
    WebhookUrlTakenError,
)
from service.ids import new_id
from service.logs import get_logger
from service.merchant_webhooks import signing
from service.merchant_webhooks.catalog import TEST, EventType
from service.settings import Settings
from service.store import merchant_webhook_deliveries as deliveries
from service.store import merchant_webhook_endpoints as store
from service.store.merchant_webhook_deliveries import DeliveryRow, State
from service.store.merchant_webhook_endpoints import Change, EndpointRow, NewEndpoint, UrlTakenError
from service.store.rows import Page
from service.usecases import audit
from service.usecases.audit import By
from service.usecases.context import Context

_log = get_logger(__name__)

OVERLAP: Final = timedelta(hours=24)
"""How long the secret before signs as well: a day, for a receiver that deploys daily."""

ALL_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)
_HTTPS_PORT: Final = 443
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


class Register(msgspec.Struct, frozen=True):
    """An endpoint to register; without types, of all that there are today."""

    url: str
    event_types: tuple[EventType, ...] | None
    description: str


class WithSecret(msgspec.Struct, frozen=True):
    """An endpoint and its secret, which is shown now and not again."""

    endpoint: EndpointRow
    secret: str


async def register(ctx: Context, item: Register, by: By) -> WithSecret:
    """Register an endpoint, enabled.

    Raises WebhooksNotSetUpError, ValidationFailedError, WebhookUrlTakenError or
    WebhookEndpointsFullError.
    """
    keys, key_name = _keys(ctx.settings)
    check_url(item.url, ctx.settings)
    now, identifier = ctx.now(), new_id()
    types = list(dict.fromkeys(item.event_types or ALL_TYPES))
    new = NewEndpoint(identifier, item.url, [*types], item.description, key_name, now)
    facts = {"url": item.url, "event_types": types}
    action = audit.entry(ctx, "webhook_endpoint", identifier, "register", by, **facts)
    try:
        row = await store.create(ctx.db, new, action)
    except UrlTakenError:
        raise WebhookUrlTakenError from None
    if row is None:
        raise WebhookEndpointsFullError(f"There are {store.MAX_ENDPOINTS}; close one first")
    _log.warning("webhook_endpoint_registered", endpoint_id=str(row.id), actor=by.actor)
    return WithSecret(row, signing.derive(keys, key_name, row.id, row.secret_version))


async def change(ctx: Context, endpoint_id: UUID, item: Change, by: By) -> EndpointRow:
    """Change what is given; raise NotFoundError, ValidationFailedError, WebhookUrlTakenError."""
    if item.url is not None:
        check_url(item.url, ctx.settings)
    given = {name: value for name, value in msgspec.structs.asdict(item).items() if value}
    action = audit.entry(ctx, "webhook_endpoint", endpoint_id, "change", by, **given)
    try:
        row = await store.change(ctx.db, endpoint_id, item, at=ctx.now(), action=action)
    except UrlTakenError:
        raise WebhookUrlTakenError from None
    row = _found(row)
    _log.warning(
        "webhook_endpoint_changed", endpoint_id=str(endpoint_id), actor=by.actor, state=row.status
    )
    return row


async def rotate(ctx: Context, endpoint_id: UUID, by: By) -> WithSecret:
    """Give an endpoint a new secret; the one before signs as well for OVERLAP.

    Raises WebhooksNotSetUpError or NotFoundError.
    """
    keys, key_name = _keys(ctx.settings)
    now = ctx.now()
    row = _found(
        await store.rotate(
            ctx.db,
            endpoint_id,
            secret_key=key_name,
            until=now + OVERLAP,
            at=now,
            action=audit.entry(ctx, "webhook_endpoint", endpoint_id, "rotate", by),
        )
    )
    _log.warning("webhook_endpoint_rotated", endpoint_id=str(endpoint_id), actor=by.actor)
    return WithSecret(row, signing.derive(keys, key_name, row.id, row.secret_version))


async def close(ctx: Context, endpoint_id: UUID, by: By) -> EndpointRow:
    """End an endpoint for good; raise NotFoundError."""
    action = audit.entry(ctx, "webhook_endpoint", endpoint_id, "close", by)
    row = _found(await store.close(ctx.db, endpoint_id, at=ctx.now(), action=action))
    _log.warning(
        "webhook_endpoint_changed", endpoint_id=str(endpoint_id), actor=by.actor, state=row.status
    )
    return row


async def get(ctx: Context, endpoint_id: UUID) -> EndpointRow:
    """Return an endpoint, also one that is closed; raise NotFoundError."""
    return _found(await store.get(ctx.db, endpoint_id))


async def list_deliveries(
    ctx: Context, endpoint_id: UUID, *, state: State, cursor: int | None, limit: int
) -> Page[DeliveryRow]:
    """Return an endpoint's deliveries, newest first; raise NotFoundError."""
    await get(ctx, endpoint_id)
    return await deliveries.list_deliveries(
        ctx.db, endpoint_id, state=state, cursor=cursor, limit=limit
    )


async def send_test(ctx: Context, endpoint_id: UUID, by: By) -> DeliveryRow:
    """Send a test event; raise NotFoundError or IllegalTransitionError (it isn't enabled)."""
    await get(ctx, endpoint_id)
    action = audit.entry(ctx, "webhook_endpoint", endpoint_id, "test", by)
    made = await deliveries.send_test(ctx.db, endpoint_id, type_=TEST, at=ctx.now(), action=action)
    if made is None:
        raise IllegalTransitionError("The endpoint is not enabled")
    return await _delivery(ctx, endpoint_id, made)


async def redeliver(ctx: Context, endpoint_id: UUID, delivery_id: int, by: By) -> DeliveryRow:
    """Send one again, with its schedule from the start; its receiver knows it by its id.

    Raises NotFoundError, or IllegalTransitionError: its endpoint isn't enabled, or it is canceled.
    """
    await _delivery(ctx, endpoint_id, delivery_id)
    action = audit.entry(
        ctx, "webhook_endpoint", endpoint_id, "redeliver", by, delivery_id=delivery_id
    )
    if not await deliveries.redeliver(
        ctx.db, endpoint_id, delivery_id, at=ctx.now(), action=action
    ):
        raise IllegalTransitionError("The endpoint is not enabled, or the delivery is canceled")
    _log.warning("webhook_redelivered_by_operator", delivery_id=delivery_id, actor=by.actor)
    return await _delivery(ctx, endpoint_id, delivery_id)


def check_url(url: str, settings: Settings) -> None:
    """Raise ValidationFailedError for a URL that nothing is sent to.

    Names are not looked up: what they mean is decided when a connection is made.
    """
    if problem := _problem(url, settings):
        raise ValidationFailedError(fields=(ProblemField("$.url", problem),))


def _problem(url: str, settings: Settings) -> str:
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        return "it is no URL"
    if not host or not url.isascii() or any(character <= " " for character in url):
        return "it is no URL with a host, in ASCII"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "it has a user, a password or a fragment"
    plain = settings.webhook_url_schemes == "http+https"
    if parts.scheme != "https" and not (plain and parts.scheme == "http"):
        return "it is not https"
    if port not in (None, _HTTPS_PORT) and not plain:
        return f"its port is not {_HTTPS_PORT}"
    return "" if _may_reach(host, settings) else "its address is not public"


def _may_reach(host: str, settings: Settings) -> bool:
    try:
        return addresses.is_allowed(host, settings.webhook_networks)
    except ValueError:
        # A name; but some libraries read one that ends in a number as an address (WHATWG URL, 3.5).
        return not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2])


def _keys(settings: Settings) -> tuple[dict[str, bytes], str]:
    keys = settings.webhook_keys
    if not keys:
        raise WebhooksNotSetUpError
    return keys, next(iter(keys))


async def _delivery(ctx: Context, endpoint_id: UUID, delivery_id: int) -> DeliveryRow:
    row = await deliveries.get_delivery(ctx.db, delivery_id)
    if row is None or row.endpoint_id != endpoint_id:
        raise NotFoundError("No such delivery")
    return row


def _found(row: EndpointRow | None) -> EndpointRow:
    if row is None:
        raise NotFoundError("No such webhook endpoint")
    return row
