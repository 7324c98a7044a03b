"""Orders over HTTP."""

from collections import Counter

from service.api.app_keys import CONTEXT
from service.api.schemas import CreateOrder, OrderPage, OrderQuery
from service.errors import FieldError, ValidationFailedError
from service.usecases import orders
from service.views import order_view
from service.web.endpoint import Call, Nothing, Reply
from service.web.parse import IDEMPOTENT_REPLAYED


async def create_order(call: Call[CreateOrder, Nothing]) -> Reply:
    """Create an order at the catalogue's prices; a key makes a repeat harmless."""
    _refuse_repeated_games(call.body)
    answer = await orders.create_order(
        call.app(CONTEXT),
        orders.CreateOrder(
            user_id=call.caller.user_id,
            currency=call.body.currency,
            wanted=tuple((item.game_id, item.quantity) for item in call.body.items),
            key=call.key,
            fingerprint=call.fingerprint.hex(),
        ),
    )
    headers = {"Location": f"/v1/orders/{answer.resource_id}"}
    if answer.replayed:
        headers[IDEMPOTENT_REPLAYED] = "true"
    return Reply(answer.status, answer.body, headers)


async def get_order(call: Call[Nothing, Nothing]) -> Reply:
    """Read one order."""
    order = await orders.get_order(call.app(CONTEXT), call.ids["order_id"], call.caller.user_id)
    return Reply(200, order_view(order))


async def list_orders(call: Call[Nothing, OrderQuery]) -> Reply:
    """List the caller's orders, newest first."""
    query = call.query
    found = await orders.list_orders(
        call.app(CONTEXT),
        call.caller.user_id,
        before=query.cursor,
        status=query.status,
        limit=query.limit + 1,  # one more tells whether there is a next page
    )
    page = found[: query.limit]
    cursor = page[-1].id if len(found) > query.limit else None
    return Reply(200, OrderPage(tuple(map(order_view, page)), cursor))


async def cancel_order(call: Call[Nothing, Nothing]) -> Reply:
    """Cancel an order that nobody is paying."""
    order = await orders.cancel_order(call.app(CONTEXT), call.ids["order_id"], call.caller.user_id)
    return Reply(200, order_view(order))


def _refuse_repeated_games(body: CreateOrder) -> None:
    times = Counter(item.game_id for item in body.items)
    problems = tuple(
        FieldError(f"$.items[{index}].game_id", "stands in the order twice; raise its quantity")
        for index, item in enumerate(body.items)
        if times[item.game_id] > 1
    )
    if problems:
        raise ValidationFailedError(fields=problems)
