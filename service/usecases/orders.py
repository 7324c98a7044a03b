"""Orders: create at the catalog's prices, read, list, cancel, expire."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import msgspec
from msgspec.structs import replace

from service import metric_catalog as m
from service.domain import order as domain
from service.domain.amounts import described
from service.domain.money import Money
from service.errors import (
    AmountNotPayableError,
    GameUnavailableError,
    IllegalTransitionError,
    LivePaymentExistsError,
    NotFoundError,
    ProblemField,
)
from service.ids import new_id
from service.integrations.game_catalog import Game
from service.logs import get_logger
from service.store import idempotency
from service.store import orders as store
from service.store.database import RefusedError
from service.store.idempotency import BeginOutcome
from service.store.orders import ItemRow, NewOrder, OrderRow
from service.usecases.context import Context
from service.usecases.idempotency import CommandResponse, replay, run
from service.views import encode, order_view

_log = get_logger(__name__)


class CreateOrder(msgspec.Struct, frozen=True):
    """A request for an order of (game id, quantity) pairs; `fingerprint` is hexadecimal."""

    user_id: str
    currency: str
    wanted: tuple[tuple[str, int], ...]
    key: str | None
    fingerprint: str


async def create_order(ctx: Context, command: CreateOrder) -> CommandResponse:
    """Create an order, or return the answer that this key already got; see `resource_id`."""
    if command.key is not None:
        # Before the catalog is asked: a repeat gets its answer whatever has become of the games.
        known = await idempotency.find(
            ctx.db, command.user_id, command.key, fingerprint=command.fingerprint, at=ctx.now()
        )
        if known is not None:
            return replay(known, "order")
    order = _new_order(ctx, command, await _items(ctx, command))
    body = encode(order_view(_pending(order)))
    if command.key is not None:
        order = replace(order, response_body=body.decode())

    async def created(begun: BeginOutcome) -> CommandResponse:
        ctx.metrics.inc(m.ORDERS, status=domain.OrderStatus.PENDING)
        _log.info("order_created", order_id=str(order.id), total_minor=order.total_minor)
        return CommandResponse(201, body, resource_id=begun.resource_id)

    return await run(ctx, partial(ctx.create_orders.submit, order), "order", created=created)


async def get_order(ctx: Context, order_id: UUID, user_id: str) -> OrderRow:
    """Return the user's order; raise NotFoundError, also for another user's."""
    order = await store.get_order(ctx.db, order_id, user_id)
    if order is None:
        raise NotFoundError("No such order")
    return order


async def cancel_order(ctx: Context, order_id: UUID, user_id: str) -> OrderRow:
    """Cancel a pending order; once more on a canceled one changes nothing."""
    found = await store.cancel_order(ctx.db, order_id, user_id, ctx.now())
    if found == "live_payment":
        raise LivePaymentExistsError("A payment of this order is under way; it decides first")
    if found not in {"done", domain.OrderStatus.CANCELED, None}:
        raise IllegalTransitionError(f"The order is {found} and cannot be canceled")
    if found == "done":
        ctx.metrics.inc(m.ORDERS, status=domain.OrderStatus.CANCELED)
        _log.info("order_canceled", order_id=str(order_id))
    return await get_order(ctx, order_id, user_id)


async def expire_orders(ctx: Context, limit: int) -> int:
    """Expire orders that nobody paid in time; return how many."""
    try:
        expired = await store.expire_orders(ctx.db, ctx.now(), limit)
    except RefusedError as error:
        if error.constraint != "order_close":
            raise
        return 0  # somebody began to pay one of them just now; the next run sees that
    if expired:
        ctx.metrics.inc(m.ORDERS, expired, status=domain.OrderStatus.EXPIRED)
        _log.info("orders_expired", count=expired)
    return expired


async def _items(ctx: Context, command: CreateOrder) -> list[domain.OrderItem]:
    games = await ctx.game_catalog.games([game_id for game_id, _ in command.wanted])
    _refuse_unavailable(games, command.currency)
    _refuse_unpayable(ctx, games, command)
    return [
        domain.OrderItem(
            game.id, game.title, quantity, Money(game.prices[command.currency], command.currency)
        )
        for game, (_, quantity) in zip(games, command.wanted, strict=True)
        if game is not None
    ]


def _pending(order: NewOrder) -> OrderRow:
    return OrderRow(
        order.id,
        order.user_id,
        domain.OrderStatus.PENDING,
        order.currency,
        order.total_minor,
        order.at,
        order.at,
        order.expires_at,
        order.items,
    )


def _new_order(ctx: Context, command: CreateOrder, items: Sequence[domain.OrderItem]) -> NewOrder:
    total, now = domain.total(items), ctx.now()
    return NewOrder(
        id=new_id(now),
        user_id=command.user_id,
        currency=total.currency,
        total_minor=total.minor,
        items=tuple(
            ItemRow(item.game_id, item.title, item.quantity, item.unit_price.minor)
            for item in sorted(items, key=lambda item: item.game_id)
        ),
        at=now,
        expires_at=now + timedelta(seconds=ctx.settings.order_ttl_s),
        key=command.key,
        fingerprint=command.fingerprint,
    )


def _refuse_unavailable(games: Sequence[Game | None], currency: str) -> None:
    reasons = [_unavailable(game, currency) for game in games]
    problems = tuple(
        ProblemField(f"$.items[{index}].game_id", reason)
        for index, reason in enumerate(reasons)
        if reason
    )
    if problems:
        raise GameUnavailableError(fields=problems)


def _unavailable(game: Game | None, currency: str) -> str:
    """Return why a game can't be ordered; empty if it can."""
    price = game.prices.get(currency, -1) if game is not None and game.available else -1
    if price == 0:
        return f"costs nothing in {currency}, and what is free is not sold here"
    return "" if price > 0 else f"is not for sale in {currency}"


def _refuse_unpayable(ctx: Context, games: Sequence[Game | None], command: CreateOrder) -> None:
    """Raise AmountNotPayableError if no provider takes the total, before anything computes with it.

    Prices are the catalog's, and may be any integer.
    """
    currency = command.currency
    minor = sum(
        game.prices[currency] * quantity
        for game, (_, quantity) in zip(games, command.wanted, strict=True)
        if game is not None
    )
    if not ctx.providers.taking(ctx.providers, minor, currency):
        limits = (provider.limits for provider in ctx.providers.values())
        raise AmountNotPayableError(described(limits, currency))
