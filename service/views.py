"""What the API answers: the shapes of orders, payments and refunds, and nothing internal."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from service.domain.payment import NextAction, PaymentStatus
from service.store.orders import OrderRow
from service.store.orphans import OrphanRow
from service.store.payments import LedgerRow, PaymentRow, TimelineRow
from service.store.refunds import RefundRow

encode = msgspec.json.Encoder().encode


class OrderItemView(msgspec.Struct, frozen=True):
    """One game of an order; the price is a copy's, in minor units."""

    game_id: str
    title: str
    quantity: int
    unit_price: int


class OrderView(msgspec.Struct, frozen=True):
    """An order; `total` is in minor units of `currency`."""

    id: UUID
    status: str
    currency: str
    total: int
    items: tuple[OrderItemView, ...]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime


class NextActionView(msgspec.Struct, frozen=True):
    """What the buyer has to do: visit `redirect_url`, or let the provider's script take it on."""

    type: str
    redirect_url: str | None
    client_secret: str | None


class PaymentView(msgspec.Struct, frozen=True):
    """A payment; all amounts are minor units of `currency`.

    `next_action` is there while the payment requires one and the provider tells which.
    """

    id: UUID
    order_id: UUID
    status: str
    provider: str
    capture: str
    currency: str
    amount: int
    captured: int
    refunded: int
    refund_pending: int
    failure_code: str | None
    next_action: NextActionView | None
    created_at: datetime
    updated_at: datetime


class RefundView(msgspec.Struct, frozen=True):
    """A refund; `amount` is in minor units of `currency`.

    `origin` is `api`, or `provider` for one that was made in the provider's dashboard.
    """

    id: UUID
    payment_id: UUID
    status: str
    amount: int
    currency: str
    reason: str
    origin: str
    failure_code: str | None
    created_at: datetime
    updated_at: datetime


class OrphanCapture(msgspec.Struct, frozen=True):
    """A charge that pays no payment; `amount` is in minor units of `currency`."""

    id: UUID
    payment_id: UUID
    provider: str
    provider_ref: str
    status: str
    amount: int
    currency: str
    refund_ref: str | None
    last_error: str | None
    created_at: datetime


class EventView(msgspec.Struct, frozen=True):
    """Something that happened to a payment."""

    seq: int
    at: datetime
    event: str
    data: dict[str, Any]
    correlation_id: str


class LedgerEntryView(msgspec.Struct, frozen=True):
    """One side of a movement of money; debit > 0, credit < 0."""

    transaction_id: UUID
    kind: str
    account: str
    amount: int
    currency: str
    at: datetime


def order_view(row: OrderRow) -> OrderView:
    """Return the order as the API shows it."""
    return OrderView(
        id=row.id,
        status=row.status,
        currency=row.currency,
        total=row.total_minor,
        items=tuple(
            OrderItemView(item.game_id, item.title, item.quantity, item.unit_price_minor)
            for item in row.items
        ),
        created_at=row.created_at,
        updated_at=row.updated_at,
        expires_at=row.expires_at,
    )


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


def refund_view(row: RefundRow) -> RefundView:
    """Return the refund as the API shows it."""
    return RefundView(
        id=row.id,
        payment_id=row.payment_id,
        status=row.status,
        amount=row.amount_minor,
        currency=row.currency,
        reason=row.reason,
        origin=row.origin,
        failure_code=row.failure_code,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def orphan_view(row: OrphanRow) -> OrphanCapture:
    """Return the orphan capture as the API shows it."""
    return OrphanCapture(
        id=row.id,
        payment_id=row.payment_id,
        provider=row.provider,
        provider_ref=row.provider_ref,
        status=row.status,
        amount=row.amount_minor,
        currency=row.currency,
        refund_ref=row.refund_ref,
        last_error=row.last_error,
        created_at=row.created_at,
    )


def event_view(row: TimelineRow) -> EventView:
    """Return the event as the API shows it."""
    return EventView(row.seq, row.at, row.event, row.data, row.correlation_id)


def ledger_view(row: LedgerRow) -> LedgerEntryView:
    """Return the ledger entry as the API shows it."""
    return LedgerEntryView(
        row.transaction_id, row.kind, row.account, row.amount_minor, row.currency, row.at
    )
