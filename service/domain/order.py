"""Orders: their states and their total."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from service.domain.money import Money


class OrderStatus(StrEnum):
    """The status of an order; `fulfilled` means that every game of it is granted.

    A refund that comes back makes a refunded order `paid` again, or `canceled` if its capture was
    taken back; a capture that is taken back cancels a paid one.
    """

    PENDING = "pending"
    PAID = "paid"
    FULFILLED = "fulfilled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REFUNDED = "refunded"


TRANSITIONS: Final[dict[OrderStatus, frozenset[OrderStatus]]] = {
    OrderStatus.PENDING: frozenset({OrderStatus.PAID, OrderStatus.CANCELED, OrderStatus.EXPIRED}),
    OrderStatus.PAID: frozenset(
        {OrderStatus.FULFILLED, OrderStatus.REFUNDED, OrderStatus.CANCELED}
    ),
    OrderStatus.FULFILLED: frozenset({OrderStatus.REFUNDED, OrderStatus.CANCELED}),
    OrderStatus.CANCELED: frozenset(),
    OrderStatus.EXPIRED: frozenset(),
    OrderStatus.REFUNDED: frozenset({OrderStatus.PAID, OrderStatus.CANCELED}),
}

MAX_ITEMS: Final = 20
"""Different games in an order; a cart is not a catalog."""

MAX_QUANTITY: Final = 10
"""Copies of one game: gifts for friends, not wholesale."""


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One game of an order at the price of its creation."""

    game_id: str
    title: str
    quantity: int
    unit_price: Money


def total(items: Iterable[OrderItem]) -> Money:
    """Return what the items cost together; they share one currency. Raise ValueError if none."""
    prices = [item.unit_price * item.quantity for item in items]
    if not prices:
        raise ValueError("an order has at least one item")
    result = prices[0]
    for price in prices[1:]:
        result = result + price
    return result
