"""What merchants are told: every type of event, when it is sent, and what it holds.

Ids, states and amounts, and nothing of a person but the user id. The database writes the events
(migration 0012); tests hold it to these types, and docs/reference/webhooks.md is made from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
"""Sent only when an operator asks for it, whatever the endpoint has asked for."""


class PaymentData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payment as it stood then; all amounts are minor units of `currency`."""

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
    """The refund, and how much its payment has captured and given back with it."""

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
    """The dispute as it stood then; all amounts are minor units of `currency`.

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
    """What a card's network suspects; `actionable` while a refund may still spare a dispute."""

    fraud_warning_id: UUID
    payment_id: UUID
    order_id: UUID
    user_id: str
    fraud_type: str
    actionable: bool


class TestData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which endpoint was to be tried."""

    endpoint_id: UUID


@dataclass(frozen=True, slots=True)
class MerchantEvent:
    """A type of event: `entity` reaches `status`, and `data` says what is sent."""

    entity: str
    status: str
    meaning: str
    data: type[msgspec.Struct]


def _payment(status: str, meaning: str) -> MerchantEvent:
    return MerchantEvent("payment", status, meaning, PaymentData)


def _refund(status: str, meaning: str) -> MerchantEvent:
    return MerchantEvent("refund", status, meaning, RefundData)


def _dispute(status: str, meaning: str) -> MerchantEvent:
    return MerchantEvent("dispute", status, meaning, DisputeData)


CATALOGUE: Final[Mapping[EventType, MerchantEvent]] = MappingProxyType(
    {
        "payment.succeeded": _payment("succeeded", "The money is captured: the order is paid."),
        "payment.requires_action": _payment("requires_action", "The buyer has to act at the bank."),
        "payment.authorized": _payment("authorized", "The money is held and can be captured."),
        "payment.failed": _payment("failed", "No money was taken; the order can be paid again."),
        "payment.canceled": _payment("canceled", "The payment was given up; nothing is held."),
        "payment.expired": _payment("expired", "A hold ran out; nothing is held."),
        "payment.review": _payment("review", "A person has to find out what became of it."),
        "payment.reversed": _payment(
            "reversed", "The provider took the money back; the order is canceled, its games go."
        ),
        "refund.succeeded": _refund("succeeded", "The money is on its way back to the buyer."),
        "refund.failed": _refund(
            "failed", "The provider did not refund, or the money came back: it is still here."
        ),
        "order.fulfilled": MerchantEvent(
            "order", "fulfilled", "All games of the order are granted.", OrderData
        ),
        "dispute.created": _dispute("created", "The buyer's bank disputes a payment, or asks."),
        "dispute.updated": _dispute("updated", "A dispute has moved on, or money of it."),
        "dispute.won": _dispute("won", "The bank has decided for us."),
        "dispute.lost": _dispute("lost", "The bank has decided for the buyer."),
        "fraud_warning.created": MerchantEvent(
            "fraud_warning", "created", "A card's network suspects fraud.", FraudWarningData
        ),
    }
)
"""Every event that an endpoint can ask for, by its type."""


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of every message; `timestamp` is when it happened, not when it was sent."""

    type: str
    timestamp: datetime
    data: msgspec.Raw
