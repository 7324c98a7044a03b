"""Orders: create at the catalogue's prices, read, list, cancel, expire."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from service import metric_catalog as m
from service.domain import order as domain
from service.domain.money import Money
from service.errors import (
    FieldError,
    GameUnavailableError,
    IllegalTransitionError,
    LivePaymentExistsError,
    NotFoundError,
)
from service.ids import new_id
from service.integrations.game_catalog import Game
from service.logs import get_logger
from service.store import orders as store
from service.store.database import RefusedError
from service.store.orders import ItemRow, NewOrder, OrderRow
from service.usecases.context import Context

_log = get_logger(__name__)


async def create_order(
    ctx: Context, *, user_id: str, currency: str, wanted: Sequence[tuple[str, int]]
) -> OrderRow:
    """Create an order of (game id, quantity) pairs; raise GameUnavailableError."""
    games = await ctx.game_catalog.games([game_id for game_id, _ in wanted])
    _refuse_unavailable(games, currency)
    items = [
        domain.OrderItem(game.id, game.title, quantity, Money(game.prices[currency], currency))
        for game, (_, quantity) in zip(games, wanted, strict=True)
        if game is not None
    ]
    order = _new_order(ctx, user_id, items)
    await ctx.create_orders.submit(order)
    ctx.metrics.inc(m.ORDERS, status=domain.OrderStatus.PENDING)
    _log.info("order_created", order_id=str(order.id), total_minor=order.total_minor)
    return OrderRow(
        order.id,
        user_id,
        domain.OrderStatus.PENDING,
        order.currency,
        order.total_minor,
        order.at,
        order.at,
        order.expires_at,
        order.items,
    )


async def get_order(ctx: Context, order_id: UUID, user_id: str) -> OrderRow:
    """Return the user's order; raise NotFoundError, also for another user's."""
    order = await store.get_order(ctx.db, order_id, user_id)
    if order is None:
        raise NotFoundError("No such order")
    return order


async def list_orders(
    ctx: Context, user_id: str, *, before: UUID | None, status: str | None, limit: int
) -> list[OrderRow]:
    """Return the user's orders, newest first."""
    return await store.list_orders(ctx.db, user_id, before=before, status=status, limit=limit)


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


def _new_order(ctx: Context, user_id: str, items: Sequence[domain.OrderItem]) -> NewOrder:
    total, now = domain.total(items), ctx.now()
    return NewOrder(
        id=new_id(now),
        user_id=user_id,
        currency=total.currency,
        total_minor=total.minor,
        items=tuple(
            ItemRow(item.game_id, item.title, item.quantity, item.unit_price.minor)
            for item in sorted(items, key=lambda item: item.game_id)
        ),
        at=now,
        expires_at=now + timedelta(seconds=ctx.settings.order_ttl_s),
    )


def _refuse_unavailable(games: Sequence[Game | None], currency: str) -> None:
    problems = tuple(
        FieldError(f"$.items[{index}].game_id", f"is not for sale in {currency}")
        for index, game in enumerate(games)
        if game is None or not game.available or game.prices.get(currency, 0) <= 0
    )
    if problems:
        raise GameUnavailableError(fields=problems)
