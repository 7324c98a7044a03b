"""Stripe's events: https://docs.stripe.com/api/events."""

from typing import Final, Literal

import msgspec

from service.providers.webhooks import (
    Body,
    EventObject,
    ProviderEvent,
    Ref,
    decode,
    of_charge,
    of_claim,
    of_refund,
    uuid_in,
)

_CLAIMS: Final[dict[str, Literal["dispute", "fraud_warning"]]] = {
    "dispute": "dispute",
    "radar.early_fraud_warning": "fraud_warning",
}
_OURS: Final = frozenset({"payment_intent", "charge", "refund", *_CLAIMS})
"""Objects of which events matter; a payment lives by no other."""


class _Object(EventObject, frozen=True):
    payment_intent: Ref | None = None
    metadata: dict[str, str] | None = None


_decoder: Final = msgspec.json.Decoder(Body[_Object])


def read_event(raw: bytes) -> ProviderEvent | None:
    """Return what an event is about, None if it is none of ours; raise EventError."""
    body = decode(raw, _decoder, _OURS)
    if body is None:
        return None
    found, ours = body.data.object, body.data.object.metadata or {}
    if found.object == "payment_intent":
        attempt_id = uuid_in(ours.get("attempt_id"))
        return of_charge(body, found.id, uuid_in(ours.get("payment_id")), attempt_id)
    if found.payment_intent is None:  # of something that is sold without a PaymentIntent
        return None
    if found.object == "refund":
        return of_refund(body, found.payment_intent, uuid_in(ours.get("refund_id")))
    if found.object in _CLAIMS:
        return of_claim(body, _CLAIMS[found.object], found.payment_intent)
    return of_charge(body, found.payment_intent)
