"""What a payment is: what a request asks for, and what it is answered."""

import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

LOCK = timedelta(seconds=30)


class CreatePayment(BaseModel):
    """A payment of an order's total."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order_id: UUID
    provider: Literal["simulator"] | None = None
    capture: Literal["automatic"] = "automatic"
    payment_method: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,128}$")] = "pm_ok"


@dataclass
class Payment:
    """What a request wants to make; `begin` fills in the order's amount."""

    caller: str
    key: str
    fingerprint: bytes
    order_id: UUID
    capture: str
    payment_method: str
    correlation_id: str
    at: datetime
    id: UUID
    attempt_id: UUID
    ledger_id: UUID
    provider: str = "simulator"
    amount_minor: int = 0
    currency: str = ""
    done_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def locked_until(self) -> datetime:
        return self.at + LOCK


def new_payment(user: str, key: str, correlation_id: str, body: CreatePayment) -> Payment:
    canonical = b"POST /v1/payments\n" + body.model_dump_json().encode()
    return Payment(
        caller=user,
        key=key,
        fingerprint=hashlib.sha256(canonical).digest(),
        order_id=body.order_id,
        capture=body.capture,
        payment_method=body.payment_method,
        correlation_id=correlation_id,
        at=datetime.now(UTC),
        id=uuid7(),
        attempt_id=uuid7(),
        ledger_id=uuid7(),
    )


def uuid7() -> UUID:
    """Return an id that sorts by time (RFC 9562, 5.7)."""
    random = secrets.randbits(74)
    value = time.time_ns() // 1_000_000 << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62
    return UUID(int=value | random & (1 << 62) - 1)


def view(payment: Payment, status: str, at: datetime | None) -> str:
    """Return the answer's body; without `at` the payment is done now."""
    if at is None:
        at = payment.done_at = datetime.now(UTC)
    return json.dumps(
        {
            "id": str(payment.id),
            "order_id": str(payment.order_id),
            "status": status,
            "provider": payment.provider,
            "capture": payment.capture,
            "currency": payment.currency,
            "amount": payment.amount_minor,
            "captured": payment.amount_minor if status == "succeeded" else 0,
            "refunded": 0,
            "refund_pending": 0,
            "failure_code": None,
            "next_action": None,
            "created_at": payment.at.isoformat(),
            "updated_at": at.isoformat(),
        },
        separators=(",", ":"),
    )
