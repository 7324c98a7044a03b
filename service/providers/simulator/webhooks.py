"""The simulator's events, written as Stripe writes them, of objects of its own."""

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
    "fraud_warning": "fraud_warning",
}
_OURS: Final = frozenset({"charge", "refund", *_CLAIMS})


class _Object(EventObject, frozen=True):
    reference: str | None = None
    idempotency_key: str | None = None
    charge: Ref | None = None


_decoder: Final = msgspec.json.Decoder(Body[_Object])


def read_event(raw: bytes) -> ProviderEvent | None:
    """Return what an event is about, None if it is none of ours; raise EventError."""
    body = decode(raw, _decoder, _OURS)
    if body is None:
        return None
    found, own = body.data.object, uuid_in(body.data.object.idempotency_key)
    if found.object == "charge":
        return of_charge(body, found.id, uuid_in(found.reference), own)
    if found.charge is None:
        return None
    if found.object == "refund":
        return of_refund(body, found.charge, own)
    return of_claim(body, _CLAIMS[found.object], found.charge)
