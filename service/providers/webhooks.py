"""From a webhook's body to what it is about. Of an event only its references count.

The body is the provider's (its signature was checked before), and still every field is bounded.
"""

import hashlib
from collections.abc import Collection
from typing import Annotated, Any, Final, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

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


class EventObject(msgspec.Struct, frozen=True):
    """What an event is about, as far as every provider names it."""

    id: Ref
    object: Name
    status: Name | None = None


Found = TypeVar("Found", bound=EventObject)


class Data(msgspec.Struct, Generic[Found], frozen=True):
    """What an event holds."""

    object: Found


class Body(msgspec.Struct, Generic[Found], frozen=True):
    """An event as Stripe and the simulator write it."""

    type: Name
    data: Data[Found]
    id: Name | None = None


def decode(
    raw: bytes, decoder: msgspec.json.Decoder[Body[Found]], ours: Collection[str]
) -> Body[Found] | None:
    """Return an event, None if its object is none of `ours`; raise EventError."""
    try:
        if _kind(msgspec.json.decode(raw)) not in ours:
            return None
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(str(error)[:200]) from None


def _kind(event: Any) -> str:
    """Return what an event's object is; "" for one without: a thin event, a ping."""
    if not isinstance(event, dict) or not event:
        raise EventError("no event")
    for name in ("data", "object", "object"):
        event = event.get(name) if isinstance(event, dict) else None
    return event if isinstance(event, str) else ""


def of_charge(
    body: Body[Found], ref: str, payment_id: UUID | None = None, attempt_id: UUID | None = None
) -> ProviderEvent:
    """Return an event of a charge; the ids are those that we gave the provider with it."""
    return ProviderEvent(
        event_id=_event_id(body),
        kind="charge",
        type=body.type,
        charge_ref=ref,
        payment_id=payment_id,
        attempt_id=attempt_id,
        claimed_status=body.data.object.status,
    )


def of_refund(body: Body[Found], charge_ref: str, refund_id: UUID | None) -> ProviderEvent:
    """Return an event of a refund; `refund_id` is the one that we gave the provider with it."""
    return ProviderEvent(
        event_id=_event_id(body),
        kind="refund",
        type=body.type,
        charge_ref=charge_ref,
        refund_ref=body.data.object.id,
        refund_id=refund_id,
        claimed_status=body.data.object.status,
    )


def of_claim(
    body: Body[Found], kind: Literal["dispute", "fraud_warning"], charge_ref: str
) -> ProviderEvent:
    """Return an event of what somebody says against a charge."""
    return ProviderEvent(
        event_id=_event_id(body),
        kind=kind,
        type=body.type,
        charge_ref=charge_ref,
        object_ref=body.data.object.id,
        claimed_status=body.data.object.status,
    )


def _event_id(body: Body[Found]) -> str:
    """Return the event's id, or one made of what it says: the same news is the same event."""
    if body.id is not None:
        return body.id
    found = body.data.object
    said = "\n".join((found.id, body.type, found.status or ""))
    return DERIVED + hashlib.sha256(said.encode()).hexdigest()


def uuid_in(text: str | None) -> UUID | None:
    """Return a UUID, or None where there is none."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
