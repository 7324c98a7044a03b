"""What the API takes. Each type validates and describes itself: bounds are in the annotations."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from service.domain.order import MAX_ITEMS, MAX_QUANTITY
from service.views import (
    EventView,
    LedgerEntryView,
    OrderView,
    PaymentView,
    RefundView,
)
from service.web.parse import TEXT, OptionalBody

GameId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}(?!\n)$", examples=["game-1"])]
Amount = Annotated[int, Meta(ge=1, le=10**12, description="Minor units", examples=[1999])]
Limit = Annotated[int, Meta(ge=1, le=100)]
Cursor = Annotated[UUID, Meta(description="`next_cursor` of the page before")]
PaymentMethod = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_]{1,128}(?!\n)$",
        description="The provider's token of a payment method; never a card number",
        examples=["pm_ok"],
    ),
]


class OrderItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One game of an order."""

    game_id: GameId
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)] = 1


class CreateOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order; prices come from the Game Catalog. A game is named once."""

    currency: Literal["EUR", "GBP", "JPY", "USD"]
    items: Annotated[tuple[OrderItem, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class CreatePayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payment of an order's total."""

    order_id: UUID
    provider: Annotated[str, Meta(pattern=r"^[a-z]{1,32}(?!\n)$")] | None = None
    capture: Literal["automatic", "manual"] = "automatic"
    payment_method: PaymentMethod = "pm_ok"


class CapturePayment(OptionalBody, frozen=True, forbid_unknown_fields=True):
    """A capture; without an amount, of all that is authorized. The rest is released."""

    amount: Amount | None = None


class CreateRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refund; without an amount, of all that is left."""

    reason: Annotated[str, Meta(min_length=1, max_length=200, pattern=TEXT)] = (
        "requested_by_customer"
    )
    amount: Amount | None = None


class OrderQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the caller's orders."""

    cursor: Cursor | None = None
    limit: Limit = 20
    status: Literal["pending", "paid", "fulfilled", "canceled", "expired", "refunded"] | None = None


class PaymentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the caller's payments."""

    order_id: UUID | None = None
    cursor: Cursor | None = None
    limit: Limit = 20


class LedgerQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose ledger entries."""

    payment_id: UUID


class OrderPage(msgspec.Struct, frozen=True):
    """Orders, newest first; `next_cursor` is null on the last page."""

    orders: tuple[OrderView, ...]
    next_cursor: UUID | None


class PaymentPage(msgspec.Struct, frozen=True):
    """Payments, newest first; `next_cursor` is null on the last page."""

    payments: tuple[PaymentView, ...]
    next_cursor: UUID | None


class RefundList(msgspec.Struct, frozen=True):
    """A payment's refunds, oldest first."""

    refunds: tuple[RefundView, ...]


class Timeline(msgspec.Struct, frozen=True):
    """What happened to a payment, oldest first."""

    events: tuple[EventView, ...]


class LedgerEntries(msgspec.Struct, frozen=True):
    """A payment's ledger entries, oldest first."""

    entries: tuple[LedgerEntryView, ...]


class Pending(msgspec.Struct, frozen=True):
    """Work that is not finished."""

    outbox: int
    unresolved_payments: int
    paid_not_granted: int


class Invariants(msgspec.Struct, frozen=True):
    """Rows that break each money invariant (0 when all is well), and unfinished work."""

    invariants: dict[str, int]
    pending: Pending
