"""What the API answers: the shapes of orders, payments and refunds, and nothing internal."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import TypeVar
from uuid import UUID

import msgspec
from msgspec.structs import replace

from service.domain.dispute import DisputeStatus
from service.domain.ledger import TransactionKind
from service.domain.order import OrderStatus
from service.domain.payment import CaptureMethod, NextAction, PaymentStatus
from service.domain.refund import RefundOrigin, RefundStatus
from service.store.orders import OrderRow
from service.store.orphans import OrphanStatus
from service.store.payments import PaymentRow, TimelineRow
from service.store.rows import Timestamp

ViewT = TypeVar("ViewT", bound=msgspec.Struct)

encode = msgspec.json.Encoder().encode


def viewer(view: type[ViewT]) -> Callable[[msgspec.Struct], ViewT]:
    """Return what shows a row as `view`: fields of the same names, amounts without `_minor`."""

    @cache
    def read(row: type[msgspec.Struct]) -> Callable[[msgspec.Struct], tuple[object, ...]]:
        have, wanted = row.__struct_fields__, view.__struct_fields__
        return attrgetter(*(name if name in have else f"{name}_minor" for name in wanted))

    def show(row: msgspec.Struct) -> ViewT:
        return view(*read(type(row))(row))

    return show


class OrderItemView(msgspec.Struct, frozen=True):
    """One game of an order; the price is a copy's, in minor units."""

    game_id: str
    title: str
    quantity: int
    unit_price: int


class OrderView(msgspec.Struct, frozen=True):
    """An order; `total` is in minor units of `currency`."""

    id: UUID
    status: OrderStatus
    currency: str
    total: int
    items: tuple[OrderItemView, ...]
    created_at: Timestamp
    updated_at: Timestamp
    expires_at: Timestamp


class NextActionView(msgspec.Struct, frozen=True):
    """What the buyer has to do: visit `redirect_url`, or let the provider's script take it on.

    `type` is the provider's own word for it.
    """

    type: str
    redirect_url: str | None
    client_secret: str | None


class PaymentView(msgspec.Struct, frozen=True):
    """A payment; all amounts are minor units of `currency`.

    `next_action` is there while the payment requires one and the provider tells which.
    """

    id: UUID
    order_id: UUID
    status: PaymentStatus
    provider: str
    capture: CaptureMethod
    currency: str
    amount: int
    captured: int
    refunded: int
    refund_pending: int
    failure_code: str | None
    next_action: NextActionView | None
    created_at: Timestamp
    updated_at: Timestamp


class RefundView(msgspec.Struct, frozen=True):
    """A refund; `amount` is in minor units of `currency`.

    `origin` is `api`, or `provider` for one that was made in the provider's dashboard.
    """

    id: UUID
    payment_id: UUID
    status: RefundStatus
    amount: int
    currency: str
    reason: str
    origin: RefundOrigin
    failure_code: str | None
    created_at: Timestamp
    updated_at: Timestamp


class DisputeView(msgspec.Struct, frozen=True):
    """A dispute of a payment; `amount` is in minor units of `currency`.

    `warning` is an inquiry of the buyer's bank, in which no money moves.
    """

    id: UUID
    payment_id: UUID
    status: DisputeStatus
    amount: int
    currency: str
    reason: str
    created_at: Timestamp
    updated_at: Timestamp
    closed_at: Timestamp | None


class OrphanCapture(msgspec.Struct, frozen=True):
    """A charge that pays no payment; `amount` is in minor units of `currency`."""

    id: UUID
    payment_id: UUID
    provider: str
    provider_ref: str
    status: OrphanStatus
    amount: int
    currency: str
    refund_ref: str | None
    last_error: str | None
    created_at: Timestamp


class EventView(TimelineRow, frozen=True):
    """Something that happened to a payment."""


class LedgerEntryView(msgspec.Struct, frozen=True):
    """One side of a movement of money; debit > 0, credit < 0."""

    transaction_id: UUID
    kind: TransactionKind
    account: str
    amount: int
    currency: str
    at: Timestamp


refund_view = viewer(RefundView)
dispute_view = viewer(DisputeView)
orphan_view = viewer(OrphanCapture)
event_view = viewer(EventView)
ledger_view = viewer(LedgerEntryView)
_item_view = viewer(OrderItemView)
_order_view = viewer(OrderView)


def order_view(row: OrderRow) -> OrderView:
    """Return the order as the API shows it."""
    return replace(_order_view(row), items=tuple(map(_item_view, row.items)))


def payment_view(row: PaymentRow, action: NextAction | None = None) -> PaymentView:
    """Return the payment as the API shows it."""
    return PaymentView(
        id=row.id,
        order_id=row.order_id,
        status=row.status,
        provider=row.provider,
        capture=row.capture_method,
        currency=row.currency,
        amount=row.amount_minor,
        captured=row.captured_minor,
        refunded=row.refunded_minor,
        refund_pending=row.refund_pending_minor,
        failure_code=row.failure_code,
        next_action=_action_view(action) if row.status == PaymentStatus.REQUIRES_ACTION else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _action_view(action: NextAction | None) -> NextActionView | None:
    if action is None:
        return None
    return NextActionView(action.kind, action.redirect_url, action.client_secret)
