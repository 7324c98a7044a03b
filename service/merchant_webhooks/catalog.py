"""The events that merchants receive: every type, when it is sent, and its data.

Ids, statuses and amounts; of a person only the user id. The database writes the events (migration
0012), tests compare them with these types, and docs/reference/webhooks.md is made from them.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal
from uuid import UUID

import msgspec

EventType = Literal[
    "payment.succeeded",
    "payment.requires_action",
    "payment.authorized",
    "payment.failed",
    "payment.canceled",
    "payment.expired",
    "payment.review",
    "payment.reversed",
    "refund.succeeded",
    "refund.failed",
    "order.fulfilled",
    "dispute.created",
    "dispute.updated",
    "dispute.won",
    "dispute.lost",
    "fraud_warning.created",
]
"""What an endpoint can ask for."""

TEST: Final = "webhook.test"
"""Sent only at an operator's request, whatever the endpoint has asked for."""


class PaymentData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payment as it was then; all amounts are minor units of `currency`."""

    payment_id: UUID
    order_id: UUID
    user_id: str
    status: str
    provider: str
    capture: Literal["automatic", "manual"]
    currency: str
    amount: int
    captured: int
    refunded: int
    failure_code: str | None


class RefundData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The refund, and how much its payment has captured and refunded with it."""

    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    user_id: str
    status: str
    currency: str
    amount: int
    payment_captured: int
    payment_refunded: int
    failure_code: str | None


class OrderData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The order and the payment that paid it; `total` is minor units of `currency`."""

    order_id: UUID
    payment_id: UUID
    user_id: str
    status: str
    currency: str
    total: int


class DisputeData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The dispute as it was then; all amounts are minor units of `currency`.

    `withdrawn` less `reinstated` is what the provider keeps; `evidence_due_at` is when the bank
    wants its answer by.
    """

    dispute_id: UUID
    payment_id: UUID
    order_id: UUID
    user_id: str
    status: str
    currency: str
    amount: int
    withdrawn: int
    reinstated: int
    reason: str
    evidence_due_at: datetime | None


class FraudWarningData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a card network suspects; `actionable` while a refund may still avoid a dispute."""

    fraud_warning_id: UUID
    payment_id: UUID
    order_id: UUID
    user_id: str
    fraud_type: str
    actionable: bool


class TestData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The endpoint that is tested."""

    endpoint_id: UUID


DATA: Final[Mapping[str, type[msgspec.Struct]]] = MappingProxyType(
    {
        "payment": PaymentData,
        "refund": RefundData,
        "order": OrderData,
        "dispute": DisputeData,
        "fraud_warning": FraudWarningData,
    }
)
"""What is sent, by the entity that an event's type begins with."""

CATALOG: Final[Mapping[EventType, str]] = MappingProxyType(
    {
        "payment.succeeded": "The money is captured: the order is paid.",
        "payment.requires_action": "The buyer has to act at the bank.",
        "payment.authorized": "The money is held and can be captured.",
        "payment.failed": "No money was taken; the order can be paid again.",
        "payment.canceled": "The payment was canceled; nothing is held.",
        "payment.expired": "A hold expired; nothing is held.",
        "payment.review": "A person has to find out its outcome.",
        "payment.reversed": "The provider took the money back; the order's games are revoked.",
        "refund.succeeded": "The money is on its way to the buyer.",
        "refund.failed": "The provider did not refund, or the money came back: it is still here.",
        "order.fulfilled": "All games of the order are granted.",
        "dispute.created": "The buyer's bank disputes a payment, or asks.",
        "dispute.updated": "A dispute has a new status, or money of it moved.",
        "dispute.won": "The bank has decided for us.",
        "dispute.lost": "The bank has decided for the buyer.",
        "fraud_warning.created": "A card network suspects fraud.",
    }
)
"""Every event that an endpoint can ask for, and when it is sent."""


def data_of(event_type: EventType) -> type[msgspec.Struct]:
    """Return the type of what an event sends."""
    return DATA[event_type.partition(".")[0]]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of every message; `timestamp` is when it happened, not when it was sent."""

    type: str
    timestamp: datetime
    data: msgspec.Raw
