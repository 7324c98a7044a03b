"""Orders over HTTP."""

from collections import Counter
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from service import errors as e
from service.api.common import CONTEXT, READ, WRITE, PageQuery
from service.domain.order import MAX_ITEMS, MAX_QUANTITY, OrderStatus
from service.errors import ProblemField, ValidationFailedError
from service.store import orders as store
from service.store.rows import Page
from service.usecases import orders
from service.views import OrderView, order_view
from service.web.endpoint import Call, Endpoint, Nothing, Reply
from service.web.parse import IDEMPOTENT_REPLAYED

GameId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}(?!\n)$", examples=["game-1"])]


class OrderItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One game of an order."""

    game_id: GameId
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)] = 1


class CreateOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order; prices come from the Game Catalog. A game is named once."""

    currency: Literal["EUR", "GBP", "JPY", "USD"]
    items: Annotated[tuple[OrderItem, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class OrderQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which of the caller's orders."""

    status: OrderStatus | None = None


async def create_order(call: Call[CreateOrder, Nothing]) -> Reply:
    """Create an order at the catalog's prices; a key makes a repeat harmless."""
    _refuse_repeated_games(call.body)
    answer = await orders.create_order(
        call.app(CONTEXT),
        orders.CreateOrder(
            user_id=call.caller.user_id,
            currency=call.body.currency,
            wanted=tuple((item.game_id, item.quantity) for item in call.body.items),
            key=call.key,
            fingerprint=call.fingerprint,
        ),
    )
    headers = {"Location": f"/v1/orders/{answer.resource_id}"}
    if answer.replayed:
        headers[IDEMPOTENT_REPLAYED] = "true"
    return Reply(answer.status, answer.body, headers)


async def list_orders(call: Call[Nothing, OrderQuery]) -> Reply:
    """List your orders, newest first."""
    found = await store.list_orders(
        call.app(CONTEXT).db, call.caller.user_id, **msgspec.structs.asdict(call.query)
    )
    return Reply(200, found.map(order_view))


async def get_order(call: Call[Nothing, Nothing]) -> Reply:
    """Read an order."""
    order = await orders.get_order(call.app(CONTEXT), call.ids["order_id"], call.caller.user_id)
    return Reply(200, order_view(order))


async def cancel_order(call: Call[Nothing, Nothing]) -> Reply:
    """Cancel an order that nobody is paying."""
    order = await orders.cancel_order(call.app(CONTEXT), call.ids["order_id"], call.caller.user_id)
    return Reply(200, order_view(order))


def _refuse_repeated_games(body: CreateOrder) -> None:
    times = Counter(item.game_id for item in body.items)
    problems = tuple(
        ProblemField(f"$.items[{index}].game_id", "stands in the order twice; raise its quantity")
        for index, item in enumerate(body.items)
        if times[item.game_id] > 1
    )
    if problems:
        raise ValidationFailedError(fields=problems)


ONE: Final = "/v1/orders/{order_id}"
ROUTES: Final = (
    Endpoint(
        "POST", "/v1/orders", create_order, WRITE, {201: OrderView}, tag="orders",
        errors=(e.GameUnavailableError, e.AmountNotPayableError, e.IntegrationUnavailableError),
        key_optional=True, begins=True,
    ),
    Endpoint("GET", "/v1/orders", list_orders, READ, {200: Page[OrderView]}, tag="orders"),
    Endpoint("GET", ONE, get_order, READ, {200: OrderView}, tag="orders"),
    Endpoint(
        "POST", f"{ONE}/cancel", cancel_order, WRITE, {200: OrderView}, tag="orders",
        errors=(e.IllegalTransitionError, e.LivePaymentExistsError),
    ),
)  # fmt: skip
