"""From a webhook's body to what it is about. Of an event only its references count.

The body is the provider's (its signature was checked before), and still every field is bounded.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

MAX_NAME: Final = 255
DERIVED: Final = "derived:"

Name = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{1,255}(?!\n)$")]
"""Visible ASCII: ids of events, types and statuses of every provider."""

Ref = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,255}(?!\n)$")]
"""What a charge or refund is called at a provider. Such names go into URLs, where a dot or a slash
would ask for something else than a charge."""


class EventError(ValueError):
    """The body is not an event of this provider; the message says why."""


class ProviderEvent(msgspec.Struct, frozen=True):
    """What an event is about; `claimed_status` is what it says, which is not believed."""

    event_id: str
    kind: Literal["charge", "refund", "dispute", "fraud_warning"]
    type: str
    charge_ref: str
    refund_ref: str | None = None
    payment_id: UUID | None = None
    attempt_id: UUID | None = None
    refund_id: UUID | None = None
    object_ref: str | None = None
    """The dispute's or the warning's own id."""
    claimed_status: str | None = None


class _Object(msgspec.Struct, frozen=True):
    """The union of what we read of a charge, a PaymentIntent and a refund."""

    id: Ref
    object: Name
    status: Name | None = None
    reference: str | None = None
    idempotency_key: str | None = None
    charge: Ref | None = None
    payment_intent: Ref | None = None
    metadata: dict[str, str] | None = None


class _Data(msgspec.Struct, frozen=True):
    object: _Object


class _Body(msgspec.Struct, frozen=True):
    type: Name
    data: _Data
    id: Name | None = None


_OURS: Final[Mapping[str, frozenset[str]]] = {
    "simulator": frozenset({"charge", "refund", "dispute", "fraud_warning"}),
    "stripe": frozenset(
        {"payment_intent", "charge", "refund", "dispute", "radar.early_fraud_warning"}
    ),
}
"""Objects of which a provider's events matter; a payment lives by no other."""

_OF_CHARGES: Final[Mapping[str, Literal["refund", "dispute", "fraud_warning"]]] = {
    "refund": "refund",
    "dispute": "dispute",
    "fraud_warning": "fraud_warning",
    "radar.early_fraud_warning": "fraud_warning",
}
"""What is about a charge without being one, and its kind to us."""

_body: Final = msgspec.json.Decoder(_Body)


def read(provider: str, raw: bytes) -> ProviderEvent | None:
    """Return what an event is about, None if it is none of ours; raise EventError."""
    try:
        if _kind(msgspec.json.decode(raw)) not in _OURS[provider]:
            return None
        body = _body.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(str(error)[:200]) from None
    return _READERS[provider](body, body.data.object)


def _kind(event: Any) -> str:
    """Return what an event's object is; "" for one without: a thin event, a ping."""
    if not isinstance(event, dict) or not event:
        raise EventError("no event")
    for name in ("data", "object", "object"):
        event = event.get(name) if isinstance(event, dict) else None
    return event if isinstance(event, str) else ""


def _of_simulator(body: _Body, found: _Object) -> ProviderEvent | None:
    own = _uuid(found.idempotency_key)
    if found.object in _OF_CHARGES and found.charge is None:
        return None
    if found.object == "refund":
        return _refund(body, found.charge or "", own)
    if found.object in _OF_CHARGES:
        return _of_charge(body, found.charge or "")
    return _charge(body, found.id, _uuid(found.reference), own)


def _of_stripe(body: _Body, found: _Object) -> ProviderEvent | None:
    ours = found.metadata or {}
    if found.object == "payment_intent":
        return _charge(body, found.id, _uuid(ours.get("payment_id")), _uuid(ours.get("attempt_id")))
    if found.payment_intent is None:  # of something that is sold without a PaymentIntent
        return None
    if found.object == "refund":
        return _refund(body, found.payment_intent, _uuid(ours.get("refund_id")))
    if found.object in _OF_CHARGES:
        return _of_charge(body, found.payment_intent)
    return _charge(body, found.payment_intent, None, None)


_READERS: Final[Mapping[str, Callable[[_Body, _Object], ProviderEvent | None]]] = {
    "simulator": _of_simulator,
    "stripe": _of_stripe,
}


def _charge(
    body: _Body, ref: str, payment_id: UUID | None, attempt_id: UUID | None
) -> ProviderEvent:
    return ProviderEvent(
        event_id=_event_id(body),
        kind="charge",
        type=body.type,
        charge_ref=ref,
        payment_id=payment_id,
        attempt_id=attempt_id,
        claimed_status=body.data.object.status,
    )


def _refund(body: _Body, charge_ref: str, refund_id: UUID | None) -> ProviderEvent:
    return ProviderEvent(
        event_id=_event_id(body),
        kind="refund",
        type=body.type,
        charge_ref=charge_ref,
        refund_ref=body.data.object.id,
        refund_id=refund_id,
        claimed_status=body.data.object.status,
    )


def _of_charge(body: _Body, charge_ref: str) -> ProviderEvent:
    return ProviderEvent(
        event_id=_event_id(body),
        kind=_OF_CHARGES[body.data.object.object],
        type=body.type,
        charge_ref=charge_ref,
        object_ref=body.data.object.id,
        claimed_status=body.data.object.status,
    )


def _event_id(body: _Body) -> str:
    """Return the event's id, or one made of what it says: the same news is the same event."""
    if body.id is not None:
        return body.id
    found = body.data.object
    said = "\n".join((found.id, body.type, found.status or ""))
    return DERIVED + hashlib.sha256(said.encode()).hexdigest()


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
